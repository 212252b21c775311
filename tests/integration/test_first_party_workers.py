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
from tests.workers import lines_until

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
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    field = token(sub=f"user {org}", org={"id": org})["Authorization"]
    head = f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: {field}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode())
    response = await reader.read()
    writer.close()
    await writer.wait_closed()
    return response.split(b" ", 2)[1].decode()


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
            statuses = [
                (org, each)
                for _ in range(10)
                for org in (1, 2)
                for each in await asyncio.gather(*(status(port, org) for _ in range(5)))
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
