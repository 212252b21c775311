"""What a gateway does without until something needs it."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from gateway_plugin_sdk.testing import ScriptedUpstream

from tests.integration.test_first_party_plugins import SECRET, token
from tests.ports import free_port
from tests.protocols.alternating import port_in_turn
from tests.workers import exchange, lines_until, status_of

CONFIG = """
listen: 127.0.0.1:{port}
plugins:
  - {{name: logger, config: {{path: {log}}}}}
  - {{name: auth, config: {{secret: "{secret}"}}}}
  - {{name: ratelimit, config: {{quota: 30, window: 1d}}}}
{more}
routes: [{{id: all, path_prefix: /, target: "{upstream}"}}]
"""

SERVED_BY_EACH_PLUGIN = """
import sys
from gateway_plugin_auth import Auth
from gateway_plugin_logger import Logger
from gateway_plugin_ratelimit import RateLimit
from gateway_plugin_sdk.testing import PluginHarness

sink = {"type": "file", "path": sys.argv[1]}
for plugin, config in (
    (Auth, {"secret": "x" * 32}), (RateLimit, {"quota": 1, "window": "1d"}), (Logger, {"sinks": [sink]}),
):
    with PluginHarness(plugin, config) as harness:
        print(*(harness.request().response.status for _ in range(2)))
print("prometheus_client" in sys.modules)
"""


def memory_map(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text()


@pytest.mark.parametrize(
    ("more", "is_loaded"), [("", False), ("admin: {{listen: 127.0.0.1:{admin}}}", True)], ids=["alone", "admin"]
)
async def test_aiohttp_takes_memory_only_where_something_needs_it(tmp_path: Path, more: str, is_loaded: bool) -> None:
    port, file = free_port(), tmp_path / "gateway.yaml"
    with ScriptedUpstream() as upstream:
        more = more.format(admin=free_port())
        values = {"port": port, "log": tmp_path / "log", "secret": SECRET, "upstream": upstream.url, "more": more}
        file.write_text(CONFIG.format(**values))
        command = [sys.executable, "-m", "gateway_core.cli", "run", "-c", str(file)]
        gateway = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE)
        try:
            await lines_until(gateway, "listening on")
            field = token(sub="user")["Authorization"]
            async with port_in_turn(port) as own:
                status = status_of(await exchange(own, "GET /", f"Authorization: {field}"))
            mapped = memory_map(gateway.pid)
        finally:
            gateway.send_signal(signal.SIGTERM)
            await gateway.communicate()

    assert status == "200"
    assert ("aiohttp/_http_parser" in mapped) is is_loaded


def test_plugins_count_without_the_library_that_only_metrics_with_more_to_them_need(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SERVED_BY_EACH_PLUGIN, str(tmp_path / "log")]

    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert printed.splitlines() == ["401 401", "200 429", "200 200", "False"]
