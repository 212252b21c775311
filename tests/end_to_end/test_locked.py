"""A gateway with ``--locked`` while its environment drifts."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.environment import PLUGIN, Environment
from tests.end_to_end.kit import PATIENCE, Gateway, Upstream, eventually, get_json
from tests.end_to_end.load import clients

Start = Callable[..., Gateway]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


async def settled(admin: str, count: int) -> dict[str, Any]:
    """Wait until so many workers serve."""
    async with asyncio.timeout(PATIENCE):
        while len((status := await get_json(admin, "/config"))["workers"]) != count:  # noqa: ASYNC110  # no event
            await asyncio.sleep(0.05)
    assert isinstance(status, dict)
    return status


async def test_no_worker_ever_runs_code_that_is_not_locked(
    start: Start, upstream: Upstream, environment: Environment, tmp_path: Path
) -> None:
    environment.install("1.0")
    lock, admin = tmp_path / "plugins.lock", f"unix:{tmp_path}/admin.sock"
    assert environment.gateway("plugins", "lock", "--file", lock).returncode == 0
    text = (
        f"listen: 127.0.0.1:0\nworkers: 2\nadmin: {{listen: '{admin}'}}\n"
        f"routes:\n  - {{id: load, path: /load, target: '{upstream.url}', plugins: [{{name: tiny}}]}}\n"
    )
    gateway = start(text, f"--locked={lock}", python=environment.python)
    url = await gateway.ready()
    first, second = [worker["pid"] for worker in (await settled(admin, 2))["workers"]]

    # A crash without drift.
    os.kill(first, signal.SIGKILL)
    await gateway.says("ended unexpectedly")
    await eventually(admin, "/metrics", "gateway_worker_crashes_total 1.0")
    third = ({worker["pid"] for worker in (await settled(admin, 2))["workers"]} - {first, second}).pop()

    # The same version with other code: neither a reload nor a restart takes it in.
    environment.install("1.0", code=PLUGIN % ("pass", "which is not locked"))
    drift = "tiny: the files of gateway-plugin-tiny 1.0 are not those that were locked"
    await gateway.says(drift)
    refusals = ((signal.SIGHUP, "SIGHUP: configuration rejected"), (signal.SIGUSR2, "SIGUSR2: .*not restarted"))
    for number, told in refusals:
        after = len(gateway.lines)
        gateway.signal(number)
        await gateway.says(told, after=after)
        await gateway.says(drift, after=after)

    # A crash with it: the other worker serves on, and everybody is told.
    async with clients(url, 2) as load:
        os.kill(second, signal.SIGKILL)
        await gateway.says("worker . cannot be replaced yet: .*plugins are not as they were locked: tiny is 1.0")
        await load.answered_more(20)
    await eventually(url, "/load", "tiny 1.0")
    status = await settled(admin, 1)
    assert [worker["pid"] for worker in status["workers"]] == [third]
    assert "not as they were locked" in status["missing_workers"][0]["reason"]
    await eventually(admin, "/metrics", "gateway_workers 1.0")
    await eventually(admin, "/metrics", "gateway_workers_wanted 2.0")

    # As it was.
    environment.install("1.0")
    assert (await settled(admin, 2))["missing_workers"] == []
    await eventually(url, "/load", "tiny 1.0")
    assert "which is not locked" not in gateway.text
    await gateway.stops()
