"""Log files of a real gateway that are no plain files: written to, never renamed."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from gateway_plugin_sdk.testing import ScriptedUpstream

from tests.ports import free_port
from tests.protocols.alternating import port_in_turn
from tests.workers import lines_until, statuses

CONFIG = """
listen: 127.0.0.1:{port}
plugins:
  - name: logger
    config:
      fields: [status]
      sinks: [{{type: file, path: {path}, flush_interval: 0s, rotate: {{max_size: 1, every: 1h}}}}]
routes:
  - {{id: all, path_prefix: /, target: "{upstream}"}}
"""


def contents(folder: Path) -> dict[str, str]:
    """Return the names in a folder, and where those that are links lead to."""
    return {each.name: str(each.readlink()) if each.is_symlink() else "" for each in sorted(folder.iterdir())}


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_link_to_standard_output_is_written_to_and_stays_a_link(tmp_path: Path) -> None:
    port, path, file = free_port(), tmp_path / "access.log", tmp_path / "gateway.yaml"
    path.symlink_to("/proc/self/fd/1")
    with ScriptedUpstream() as upstream:
        file.write_text(CONFIG.format(port=port, path=path, upstream=upstream.url))
        command = [sys.executable, "-m", "gateway_core.cli", "run", "-c", str(file)]
        gateway = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            await lines_until(gateway, "listening on")
            async with port_in_turn(port) as own:
                first = await statuses(own, 20)
                gateway.send_signal(signal.SIGUSR1)
                second = await statuses(own, 20)
        finally:
            gateway.send_signal(signal.SIGTERM)
            output, _ = await gateway.communicate()

    assert first == second == {"200": 20}
    assert [json.loads(line) for line in output.splitlines()] == [{"status": 200}] * 40
    assert contents(tmp_path) == {"access.log": "/proc/self/fd/1", "gateway.yaml": ""}


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("workers", [1, 2])
async def test_sigusr1_has_the_file_reopened_and_no_one_is_warned(tmp_path: Path, workers: int) -> None:
    port, path, file = free_port(), tmp_path / "access.log", tmp_path / "gateway.yaml"
    with ScriptedUpstream() as upstream:
        text = CONFIG.format(port=port, path=path, upstream=upstream.url).replace("max_size: 1, every: 1h", "every: 1h")
        file.write_text(f"workers: {workers}\n{text}")
        command = [sys.executable, "-m", "gateway_core.cli", "run", "-c", str(file)]
        gateway = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            await lines_until(gateway, "listening on")
            async with port_in_turn(port) as own:
                await statuses(own, 20)
            path.rename(tmp_path / "moved.log")
            gateway.send_signal(signal.SIGUSR1)
            async with asyncio.timeout(30):
                while not path.exists():  # noqa: ASYNC110  # made by another process, before a line is written
                    await asyncio.sleep(0.01)
        finally:
            gateway.send_signal(signal.SIGTERM)
            _, errors = await gateway.communicate()

    assert b"is not changed" not in errors
