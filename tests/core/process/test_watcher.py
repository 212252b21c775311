"""Two workers and a watcher: what is checked and discovered is so once, and what was found outlives the process."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from gateway_core.clock import SystemClock
from gateway_core.config import GatewayConfig, LoadedConfig
from gateway_core.process.supervisor import Supervisor
from gateway_core.process.watcher import WatcherProcess, WatcherRefusedError
from gateway_core.reload.bundle import ConfigBundle
from gateway_core.tasks import Yielder
from gateway_core.testing.stream_server import StreamServer
from gateway_core.upstreams.finding_store import FindingStore

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


@pytest.fixture
async def checked() -> AsyncIterator[Checked]:
    checked = Checked()
    server = StreamServer(checked.serve)
    checked.port = await server.start()
    yield checked
    await server.close()


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


async def test_checks_of_grpc_are_made_there_as_well(supervisor: Supervisor, canon: Canon, checked: Checked) -> None:
    await put_in_force(supervisor, canon(config(checked.port, more="").replace("path: /health", "type: grpc")))

    endpoints = await shown(supervisor, lambda endpoint: not endpoint["healthy"])

    assert "is no response over HTTP/2" in str(endpoints[0])


async def test_a_reload_that_checks_elsewhere_ends_the_checks_of_before(
    supervisor: Supervisor, canon: Canon, checked: Checked
) -> None:
    await put_in_force(supervisor, canon(config(checked.port)))
    await shown(supervisor, lambda endpoint: endpoint["last_check_at"] is not None)

    await put_in_force(supervisor, canon(config(checked.port, "2h")))

    await shown(supervisor, lambda endpoint: endpoint["last_check_at"] is not None)
    assert checked.connections == 2, "one of each configuration"


class Told:
    """What one worker is told, kept as it would keep it."""

    def __init__(self, watcher: WatcherProcess) -> None:
        self.store = FindingStore()
        self.kinds: list[str] = []
        self._queue = watcher.findings.subscribe()

    async def until(self, kind: str) -> dict[str, Any]:
        """Take findings until one of this kind comes."""
        async with asyncio.timeout(30):
            while True:
                finding = await self._queue.get()
                self.store.apply(finding)
                self.kinds.append(finding["kind"])
                if finding["kind"] == kind and finding.get("results", True):
                    return finding


@pytest.fixture
async def watcher() -> AsyncIterator[WatcherProcess]:
    watcher = WatcherProcess(SystemClock())
    yield watcher
    await watcher.aclose()


@pytest.fixture
async def health_port() -> AsyncIterator[int]:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Close the connection."""

    server = StreamServer(accept)
    yield await server.start()
    await server.close()


def checking(port: int, more: str = "") -> str:
    check = f"health_check: {{type: tcp, interval: 50ms}}{more}"
    return f"upstreams: [{{name: u, endpoints: [{{url: 'http://127.0.0.1:{port}'}}], {check}}}]\nworkers: 2\n"


async def use(watcher: WatcherProcess, bundle: ConfigBundle) -> None:
    await watcher.use(bundle, await config_of(bundle))


async def config_of(bundle: ConfigBundle) -> GatewayConfig:
    return (await LoadedConfig.from_lines(bundle.lines, Yielder(SystemClock()))).config


async def test_no_process_is_started_for_a_configuration_that_has_nothing_to_watch(
    watcher: WatcherProcess, canon: Canon
) -> None:
    await use(watcher, canon("upstreams: [{name: u, endpoints: [{url: 'http://127.0.0.1:9'}]}]\n"))

    assert watcher.pid is None
    assert await watcher.report() == set()


async def test_what_it_finds_reaches_workers_that_start_later_as_well(
    watcher: WatcherProcess, canon: Canon, health_port: int
) -> None:
    early = Told(watcher)
    await use(watcher, canon(checking(health_port)))
    found = await early.until("health")

    late = Told(watcher)
    await late.until("health")

    assert found["results"][0][1] is True
    assert late.store.results.keys() == early.store.results.keys()


async def test_a_configuration_that_changes_nothing_here_is_not_sent(
    watcher: WatcherProcess, canon: Canon, health_port: int
) -> None:
    await use(watcher, canon(checking(health_port)))
    pid = watcher.pid

    os.kill(pid or 0, signal.SIGSTOP)
    await asyncio.wait_for(use(watcher, canon(checking(health_port) + "shutdown_timeout: 7s\n")), 30)

    os.kill(pid or 0, signal.SIGCONT)
    assert watcher.pid == pid


async def test_it_is_started_again_when_it_is_killed_and_what_it_found_stays(
    watcher: WatcherProcess, canon: Canon, health_port: int
) -> None:
    told = Told(watcher)
    await use(watcher, canon(checking(health_port)))
    await told.until("health")
    before, pid = dict(told.store.results), watcher.pid

    os.kill(pid or 0, signal.SIGKILL)
    lost = await told.until("lost")
    assert "signal 9" in lost["reason"]
    assert told.store.results.keys() == before.keys()

    await told.until("only")
    found = await told.until("health")
    assert watcher.pid not in {None, pid}
    assert {result[0] for result in found["results"]} == before.keys()


async def test_one_that_does_not_respond_is_replaced_when_there_is_something_else_to_watch(
    watcher: WatcherProcess, canon: Canon, health_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await use(watcher, canon(checking(health_port)))
    pid = watcher.pid or 0
    os.kill(pid, signal.SIGSTOP)

    with monkeypatch.context() as hurried:
        hurried.setattr("gateway_core.process.patience.MOST_STOPPED", 0.5)
        await use(watcher, canon(checking(health_port).replace("50ms", "60ms")))

    assert watcher.pid not in {None, pid}
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_one_that_is_stopped_ends_with_the_program(
    watcher: WatcherProcess, canon: Canon, health_port: int
) -> None:
    await use(watcher, canon(checking(health_port)))
    os.kill(watcher.pid or 0, signal.SIGSTOP)

    await asyncio.wait_for(watcher.aclose(), 30)


async def test_what_cannot_be_watched_is_refused_and_what_was_watched_goes_on(
    watcher: WatcherProcess, canon: Canon, health_port: int
) -> None:
    told = Told(watcher)
    await use(watcher, canon(checking(health_port)))
    await told.until("health")
    pid = watcher.pid

    unusable = checking(health_port, ", tls: {ca: /nowhere}").replace("http://", "https://").replace("tcp", "https")
    with pytest.raises(WatcherRefusedError, match="nowhere"):
        await use(watcher, canon(unusable))

    assert watcher.pid == pid
    await told.until("health")


async def test_its_metrics_are_those_of_the_gateway(watcher: WatcherProcess, canon: Canon) -> None:
    await use(watcher, canon("upstreams: [{name: u, discovery: {name: dns, config: {host: localhost}}}]\nworkers: 2\n"))

    (process,) = await watcher.report()

    names = watcher.ledger.last_report(process).series.keys()
    assert {"gateway_discovery_stale", "gateway_discovery_endpoints", "gateway_discovery_failures"} <= names


async def test_what_fails_in_it_is_asked_for_and_so_is_that_it_does_not_respond(
    watcher: WatcherProcess, canon: Canon
) -> None:
    assert (await watcher.status(1))["failing_tasks"] == {}
    await use(watcher, canon("upstreams: [{name: u, discovery: {name: dns, config: {host: localhost}}}]\nworkers: 2\n"))
    assert (await watcher.status(20))["failing_tasks"] == {}
    assert watcher.pid is not None

    os.kill(watcher.pid, signal.SIGSTOP)
    assert (await watcher.status(0.2))["failing_tasks"] == {"watch for all workers": "the watcher does not respond"}
    os.kill(watcher.pid, signal.SIGCONT)

    assert (await watcher.status(20))["failing_tasks"] == {}
