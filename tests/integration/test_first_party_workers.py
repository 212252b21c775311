"""auth, ratelimit and logger with two workers: limits by claim hold over both, and one file has the lines of both."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from gateway_plugin_sdk.testing import ScriptedUpstream

from tests.integration.test_first_party_plugins import SECRET, token
from tests.ports import free_port
from tests.protocols.alternating import port_in_turn
from tests.workers import exchange, lines_until, status_of

CONFIG = """
listen: 127.0.0.1:{port}
workers: 2
log: {{format: json}}
plugins:
  - {{name: logger, config: {{path: {log}, fields: [pid, status, "claim:org.id", refusal], missing: "null"}}}}
  - {{name: auth, config: {{secret: "{secret}"}}}}
  - {{name: ratelimit, config: {{quota: 30, window: 1d, key: "claim:org.id"}}}}
routes:
  - {{id: all, path_prefix: /, target: "{upstream}"}}
"""


async def status(port: int, org: int) -> str:
    field = token(sub=f"user {org}", org={"id": org})["Authorization"]
    return status_of(await exchange(port, "GET /", f"Authorization: {field}"))


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_limits_by_claim_hold_over_all_workers_and_all_lines_are_there(tmp_path: Path) -> None:
    port, log, file = free_port(), tmp_path / "access.log", tmp_path / "gateway.yaml"
    with ScriptedUpstream() as upstream:
        file.write_text(CONFIG.format(port=port, log=log, secret=SECRET, upstream=upstream.url))
        command = [sys.executable, "-m", "gateway_core.cli", "run", "-c", str(file)]
        gateway = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE)
        try:
            await lines_until(gateway, "listening on")
            async with port_in_turn(port) as own:
                statuses = [
                    (org, each)
                    for _ in range(10)
                    for org in (1, 2)
                    for each in await asyncio.gather(*(status(own, org) for _ in range(5)))
                ]
        finally:
            gateway.send_signal(signal.SIGTERM)
            _, errors = await gateway.communicate()

    expected = {(1, "200"): 30, (1, "429"): 20, (2, "200"): 30, (2, "429"): 20}
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert Counter(statuses) == expected
    assert Counter((line["claim:org.id"], str(line["status"])) for line in lines) == expected
    assert Counter(line["refusal"] for line in lines) == {None: 60, "ratelimit": 40}
    assert len({line["pid"] for line in lines}) == 2
    assert [line for line in errors.decode().splitlines() if not line.startswith("{")] == []
