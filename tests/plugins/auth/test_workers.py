"""The real command with two workers: a proof that one of them accepted is refused by both."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import jwt
import pytest

from tests.plugins.auth.conftest import SECRET
from tests.plugins.tokens.proofs import Prover

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


@pytest.fixture
async def upstream() -> AsyncIterator[int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def visit(port: int, token: str, proof: str) -> tuple[str, str]:
    """Send a request over a connection of its own; return the status and the nonce that is given out."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: DPoP {token}\r\nDPoP: {proof}\r\n\r\n"
    writer.write(head.encode())
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    nonces = [line.partition(": ")[2] for line in answer.split("\r\n") if line.lower().startswith("dpop-nonce:")]
    return answer.split(" ", 2)[1], nonces[0] if nonces else ""


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_proof_counts_once_over_two_workers_and_they_share_their_nonces(tmp_path: Path, upstream: int) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(CONFIG.format(upstream=upstream, secret=SECRET))
    prover, uri = Prover(), "https://a.example/"
    token = jwt.encode({"sub": "alice", "cnf": {"jkt": prover.jkt}}, SECRET, "HS256")

    def proof(nonce: str | None = None) -> str:
        return prover.proof(token, uri, time.time(), nonce=nonce)  # noqa: TID251 - the gateway's clock is the machine's

    command = [sys.executable, "-m", "gateway_core.cli", "run", "-c", str(file)]
    gateway = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE)
    try:
        assert gateway.stderr is not None
        async with asyncio.timeout(100):
            while b"listening on" not in (line := await gateway.stderr.readline()):
                assert line, "the gateway ended"
        port = int(line.decode().rstrip().rpartition(":")[2])
        nonces = {nonce for _, nonce in await asyncio.gather(*[visit(port, token, proof()) for _ in range(20)])}
        nonce = max(nonces)
        counts = []
        for _ in range(5):
            one = proof(nonce)
            answers = await asyncio.gather(*[visit(port, token, one) for _ in range(10)])
            counts.append(Counter(status for status, _ in answers))
        fresh = await asyncio.gather(*[visit(port, token, proof(nonce)) for _ in range(20)])
    finally:
        gateway.send_signal(signal.SIGTERM)
        await gateway.communicate()

    assert len(nonces) <= 2, "of both workers, in one span of time or two"
    assert counts == [{"200": 1, "401": 9}] * 5
    assert {status for status, _ in fresh} == {"200"}
