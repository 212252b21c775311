"""The real command with two workers: a proof that one of them accepted is refused by both."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

import jwt
import pytest

from tests.plugins.auth.conftest import SECRET
from tests.plugins.tokens.proofs import Prover
from tests.workers import exchange, running, status_of, upstream_port

CONFIG = """
listen: 127.0.0.1:0
workers: 2
routes:
  - id: all
    path_prefix: /
    target: http://127.0.0.1:{upstream}
    plugins:
      - {{name: auth, config: {{secret: {secret}, dpop: {{origin: "https://a.example", nonce: true}}}}}}
"""


async def visit(port: int, token: str, proof: str) -> tuple[str, str]:
    """Send a request; return the status and the nonce that is given out."""
    response = await exchange(port, "GET /", f"Authorization: DPoP {token}", f"DPoP: {proof}")
    lines = response.decode().split("\r\n")
    nonces = [line.partition(": ")[2] for line in lines if line.lower().startswith("dpop-nonce:")]
    return status_of(response), nonces[0] if nonces else ""


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_proof_counts_once_over_two_workers_and_they_share_their_nonces(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    prover, uri = Prover(), "https://a.example/"
    token = jwt.encode({"sub": "alice", "cnf": {"jkt": prover.jkt}}, SECRET, "HS256")

    def proof(nonce: str | None = None) -> str:
        return prover.proof(token, uri, time.time(), nonce=nonce)  # noqa: TID251 - the gateway's clock is the machine's

    async with upstream_port() as upstream:
        file.write_text(CONFIG.format(upstream=upstream, secret=SECRET))
        async with running(file) as (_, port):
            nonces = {nonce for _, nonce in await asyncio.gather(*[visit(port, token, proof()) for _ in range(20)])}
            nonce = max(nonces)
            counts = []
            for _ in range(5):
                one = proof(nonce)
                answers = await asyncio.gather(*[visit(port, token, one) for _ in range(10)])
                counts.append(Counter(status for status, _ in answers))
            fresh = await asyncio.gather(*[visit(port, token, proof(nonce)) for _ in range(20)])

    assert len(nonces) <= 2, "of both workers, in one span of time or two"
    assert counts == [{"200": 1, "401": 9}] * 5
    assert {status for status, _ in fresh} == {"200"}
