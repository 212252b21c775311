from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.environment import Environment
from tests.end_to_end.kit import (
    PATIENCE,
    Gateway,
    Upstream,
    close,
    eventually,
    get,
    get_json,
    get_over_both,
    in_flight,
)
from tests.end_to_end.load import clients

Start = Callable[..., Gateway]


@pytest.fixture
def admin(tmp_path: object) -> str:
    return f"unix:{tmp_path}/admin.sock"


def config(upstream: Upstream, admin: str, *, path: str = "/load", workers: int = 2, more: str = "") -> str:
    return (
        f"listen: 127.0.0.1:0\nworkers: {workers}\nadmin: {{listen: '{admin}'}}\n"
        f"routes:\n  - {{id: it, path: {path}, target: '{upstream.url}'}}\n{more}"
    )


async def workers_of(admin: str) -> list[dict[str, Any]]:
    status = await get_json(admin, "/config")
    assert isinstance(status["workers"], list)
    return status["workers"]


async def pids(admin: str) -> set[int]:
    return {worker["pid"] for worker in await workers_of(admin)}


async def test_all_workers_run_the_configuration_in_force(start: Start, upstream: Upstream, admin: str) -> None:
    gateway = start(config(upstream, admin))
    await gateway.ready()
    before = await workers_of(admin)

    line = await gateway.rewrites(config(upstream, admin, path="/other"))

    after = await workers_of(admin)
    assert "routes changed: " in line
    assert [worker["pid"] for worker in after] == [worker["pid"] for worker in before]
    versions = {worker["version"] for worker in after}
    assert len(versions) == 1
    assert versions != {worker["version"] for worker in before}
    await gateway.stops()


async def test_a_killed_worker_is_replaced_while_the_others_serve(start: Start, upstream: Upstream, admin: str) -> None:
    gateway = start(config(upstream, admin))
    url = await gateway.ready()
    before = await pids(admin)
    victim = min(before)

    async with clients(url, 4) as load:
        await load.answered_more(20)
        os.kill(victim, signal.SIGKILL)
        await gateway.says(f"pid {victim}. ended unexpectedly .signal 9, .* and is replaced")
        await load.answered_more(20)
    async with asyncio.timeout(PATIENCE):
        while len(now := await pids(admin)) < 2 or victim in now:  # noqa: ASYNC110  # there is no event to wait for
            await asyncio.sleep(0.05)

    assert before - now == {victim}
    await gateway.stops()


async def test_workers_are_replaced_one_by_one_without_a_lost_answer(
    start: Start, upstream: Upstream, admin: str
) -> None:
    gateway = start(config(upstream, admin))
    url = await gateway.ready()
    before = await pids(admin)

    async with clients(url) as load:
        await load.answered_more(20)
        line = await gateway.rewrites(config(upstream, admin, workers=3))
        await load.answered_more(20)

    assert "workers replaced one by one, since their number is 3 now" in line
    assert load.lost == []
    assert len(await pids(admin) - before) == 3
    await gateway.stops()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("workers", [1, 2])
async def test_sigusr2_restarts_the_program_without_a_lost_answer(
    start: Start, upstream: Upstream, admin: str, workers: int
) -> None:
    gateway = start(config(upstream, admin, workers=workers))
    url = await gateway.ready()
    pid = gateway.process.pid

    async with clients(url) as load:
        for _ in range(2):
            await load.answered_more(20)
            after = len(gateway.lines)
            gateway.signal(signal.SIGUSR2)
            await gateway.says("^listening on", after=after)
        await load.answered_more(20)

    assert load.lost == []
    assert gateway.process.pid == pid
    assert len(await workers_of(admin)) == workers
    line = await gateway.rewrites(config(upstream, admin, path="/new", workers=workers))
    assert "routes changed: " in line
    assert (await get(url, "/new"))[0] == 200
    await gateway.stops()


UNSTARTABLE = """
import os
from gateway_plugin_sdk import Plugin

class Tiny(Plugin[dict]):
    name = "tiny"
    config_schema = {"type": "object"}

    async def start(self):
        if os.path.exists(%r):
            raise RuntimeError("it does not start any more")
"""
"""A plugin whose failure no validation can foresee."""


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_program_whose_workers_cannot_serve_leaves_the_old_ones_in_place(
    start: Start, upstream: Upstream, admin: str, environment: Environment, tmp_path: Path
) -> None:
    fault = tmp_path / "fault"
    environment.install("1.0", code=UNSTARTABLE % str(fault))
    route = f"  - {{id: private, path: /private, target: '{upstream.url}', plugins: [{{name: tiny}}]}}\n"
    gateway = start(config(upstream, admin, more=route), python=environment.python)
    url = await gateway.ready()
    before = await pids(admin)
    fault.touch()

    async with clients(url) as load:
        await load.answered_more(20)
        gateway.signal(signal.SIGUSR2)
        await gateway.says("the workers of the new program cannot serve, the old ones go on")
        await gateway.says("the new program has taken over")
        await load.answered_more(20)

    assert load.lost == []
    assert await pids(admin) == before
    line = await gateway.rewrites(config(upstream, admin, path="/new"))
    assert "removed" in line
    assert (await get(url, "/new"))[0] == 200
    await gateway.stops()


async def test_counters_never_go_back_when_workers_are_replaced(start: Start, upstream: Upstream, admin: str) -> None:
    gateway = start(config(upstream, admin))
    url = await gateway.ready()
    for _ in range(7):
        assert (await get(url, "/load"))[0] == 200
    assert await answered(admin) == 7

    await gateway.rewrites(config(upstream, admin, workers=1))
    assert (await get(url, "/load"))[0] == 200
    await eventually(admin, "/metrics", 'route="it",status="200"} 8.0')
    await gateway.stops()


async def answered(admin: str) -> float:
    _, text = await get(admin, "/metrics")
    lines = [line for line in text.splitlines() if line.startswith("gateway_requests_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def test_a_plugin_that_does_not_start_keeps_the_old_configuration_everywhere(
    start: Start, upstream: Upstream, admin: str
) -> None:
    gateway = start(config(upstream, admin))
    url = await gateway.ready()
    before = await workers_of(admin)

    broken = config(
        upstream,
        admin,
        path="/other",
        more="plugins:\n  - {name: auth, config: {jwks_file: /nowhere/keys.json}}\n",
    )
    await gateway.rewrites(broken, "the old one stays in force")

    assert await workers_of(admin) == before
    assert (await get_over_both(url, "/load"))[0] == 200
    await gateway.stops()


async def test_a_request_in_flight_finishes_on_the_worker_that_leaves(
    start: Start, upstream: Upstream, admin: str
) -> None:
    gateway = start(config(upstream, admin, path="/slow"))
    clients = await in_flight(await gateway.ready(), upstream)

    await gateway.rewrites(config(upstream, admin, path="/slow", workers=1))
    upstream.go.set()

    assert [await each.answer() for each in clients] == [(200, "one GET /slow HTTP/1.1")] * 2
    close(clients)
    await gateway.stops()


async def test_workers_end_when_the_supervisor_is_killed(start: Start, upstream: Upstream, admin: str) -> None:
    gateway = start(config(upstream, admin))
    await gateway.ready()
    workers = await pids(admin)

    gateway.signal(signal.SIGKILL)
    await gateway.ends()

    await gone(workers)


async def gone(pids: set[int]) -> None:
    """Wait until none of these processes is there."""
    async with asyncio.timeout(PATIENCE):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                while True:
                    os.kill(pid, 0)
                    await asyncio.sleep(0.05)
