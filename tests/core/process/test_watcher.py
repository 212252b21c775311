"""Two workers and a watcher: what is checked and discovered is so once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable

import pytest
from gateway_core.process.supervisor import Supervisor

from tests.core.process.conftest import Canon, ask, put_in_force


class Checked:
    """A server that counts what connects to it."""

    def __init__(self) -> None:
        self.connections = 0
        self.open = 0
        self.port = 0
        self.changed = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.changed.set()
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        writer.close()


@pytest.fixture
async def checked() -> AsyncIterator[Checked]:
    checked = Checked()
    server = await asyncio.start_server(checked.serve, "127.0.0.1", 0)
    checked.port = server.sockets[0].getsockname()[1]
    yield checked
    server.close()


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    supervisor = Supervisor()
    yield supervisor
    await supervisor.stop(1)


def config(port: int, interval: str = "1h", more: str = "") -> str:
    check = f"health_check: {{path: /health, interval: {interval}, jitter: 0}}"
    upstreams = [f"{{name: {name}, endpoints: [{{url: 'http://127.0.0.1:{port}'}}], {check}}}" for name in ("a", "b")]
    return (
        f"listen: '127.0.0.1:0'\nworkers: 2\nupstreams: [{', '.join(upstreams)}]\n"
        f"routes: [{{id: a, path: /a, target: a}}, {{id: b, path: /b, target: b}}]\n{more}"
    )


async def shown(supervisor: Supervisor, holds: Callable[[dict[str, object]], bool]) -> list[dict[str, object]]:
    """Wait until every worker's every endpoint is as wanted."""
    async with asyncio.timeout(30):
        while True:
            upstreams = (await supervisor.status())["upstreams"]
            endpoints: list[dict[str, object]] = [each for upstream in upstreams for each in upstream["endpoints"]]
            if endpoints and all(map(holds, endpoints)):
                return endpoints
            await asyncio.sleep(0.02)


async def test_an_endpoint_is_checked_once_whatever_the_number_of_workers_and_upstreams(
    supervisor: Supervisor, canon: Canon, checked: Checked
) -> None:
    await put_in_force(supervisor, canon(config(checked.port)))

    endpoints = await shown(supervisor, lambda endpoint: endpoint["last_check_at"] is not None)

    assert len(endpoints) == 4
    assert checked.connections == 1


async def test_workers_serve_by_what_is_known_while_the_watcher_is_gone_and_follow_the_next_one(
    supervisor: Supervisor, canon: Canon, checked: Checked
) -> None:
    await put_in_force(supervisor, canon(config(checked.port, "100ms")))
    await shown(supervisor, lambda endpoint: endpoint["last_check_at"] is not None)
    status = await supervisor.status()

    os.kill(status["watcher"], signal.SIGKILL)
    assert await ask(supervisor.urls()[0], "/a") == (200, "ok")
    checked.changed.clear()
    await asyncio.wait_for(checked.changed.wait(), 30)

    assert {worker["pid"] for worker in (await supervisor.status())["workers"]} == {
        worker["pid"] for worker in status["workers"]
    }


async def test_a_reload_that_checks_elsewhere_ends_the_checks_of_before(
    supervisor: Supervisor, canon: Canon, checked: Checked
) -> None:
    await put_in_force(supervisor, canon(config(checked.port)))
    await shown(supervisor, lambda endpoint: endpoint["last_check_at"] is not None)

    await put_in_force(supervisor, canon(config(checked.port, "2h")))

    await shown(supervisor, lambda endpoint: endpoint["last_check_at"] is not None)
    assert checked.connections == 2, "one of each configuration"
