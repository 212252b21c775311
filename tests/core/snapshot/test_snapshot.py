from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from gateway_core import memory
from gateway_core.config import LoadedConfig
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Record, Request, Response
from gateway_core.snapshot import Environment, Snapshot, SnapshotHolder, compile_snapshot

from tests.core.proxy.kit import Peer, run_proxy, until

Load = Callable[[str], LoadedConfig]


def text(tag: str) -> str:
    return f"plugins: [{{name: noted, config: {{tag: {tag}}}}}]\n"


async def test_the_old_snapshot_ends_at_once_if_nothing_is_under_way(
    load_text: Load, environment: Environment, noted: list[str]
) -> None:
    holder = SnapshotHolder()
    holder.swap((await compile_snapshot(load_text(text("one")), environment)).snapshot)

    holder.swap((await compile_snapshot(load_text(text("two")), environment)).snapshot)
    await holder.aclose()

    assert noted == ["start one", "start two", "stop one", "stop two"]


async def test_the_old_snapshot_ends_with_its_last_exchange(
    load_text: Load, environment: Environment, noted: list[str]
) -> None:
    holder = SnapshotHolder()
    old = (await compile_snapshot(load_text(text("one")), environment)).snapshot
    holder.swap(old)
    old.active += 2

    holder.swap((await compile_snapshot(load_text(text("two")), environment)).snapshot)
    old.release()
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(holder.retirement) == 1
    assert "stop one" not in noted

    old.release()
    await holder.retirement.aclose()
    assert noted[-1] == "stop one"
    assert len(holder.retirement) == 0
    await holder.aclose()


async def test_closing_ends_snapshots_with_exchanges_under_way_too(
    load_text: Load, environment: Environment, noted: list[str]
) -> None:
    holder = SnapshotHolder()
    old = (await compile_snapshot(load_text(text("one")), environment)).snapshot
    holder.swap(old)
    old.active += 1
    holder.swap((await compile_snapshot(load_text(text("two")), environment)).snapshot)

    await holder.aclose()
    old.release()

    assert sorted(noted[2:]) == ["stop one", "stop two"]


async def test_a_snapshot_that_nothing_uses_is_freed_little_by_little(
    load_text: Load, environment: Environment
) -> None:
    routes = "".join(f"  - {{id: r{n}, path: /a{n % 7}/b{n}/:id, target: 'http://127.0.0.1:1'}}\n" for n in range(300))
    loaded = load_text("routes:\n" + routes)
    left = [weakref.ref(each) for each in loaded.config.routes]
    snapshot = (await compile_snapshot(loaded, environment)).snapshot
    del loaded
    await snapshot.aclose()

    alive = [sum(each() is not None for each in left) for _ in snapshot.clear()]

    assert alive[-1] == 0
    assert max(before - after for before, after in pairwise([300, *alive])) == 1


async def test_nothing_of_a_snapshot_that_is_taken_apart_waits_in_a_new_list(
    load_text: Load, environment: Environment
) -> None:
    """The collector looks through all that a new list refers to, in one turn of the loop."""
    routes = "".join(f"  - {{id: r{n}, path: /a/b{n}/:id, target: 'http://127.0.0.1:1'}}\n" for n in range(1000))
    snapshot = (await compile_snapshot(load_text("routes:\n" + routes), environment)).snapshot
    await snapshot.aclose()
    memory.freeze()

    longest = 0
    for number, _ in enumerate(snapshot.clear()):
        if number % 500 == 0:
            young = gc.get_objects(generation=0)
            longest = max(longest, *(len(each) for each in young if isinstance(each, (list, tuple, dict))))
            del young

    assert longest < 300


async def test_requests_have_turns_while_a_snapshot_of_many_routes_is_closed(
    load_text: Load, environment: Environment
) -> None:
    routes = "".join(f"- {{id: r{number}, path: /{number}, respond: {{status: 200}}}}\n" for number in range(1000))
    snapshot = (await compile_snapshot(load_text(f"routes:\n{routes}"), environment)).snapshot
    closing = asyncio.get_running_loop().create_task(snapshot.aclose())

    turns = 0
    while not closing.done():
        await asyncio.sleep(0)
        turns += 1

    assert turns >= 5


async def test_every_configuration_in_a_row_is_retired(
    load_text: Load, environment: Environment, noted: list[str]
) -> None:
    holder = SnapshotHolder()
    for number in range(10):
        holder.swap((await compile_snapshot(load_text(text(f"t{number}")), environment)).snapshot)
    await holder.aclose()

    assert len(noted) == 20
    assert len(environment.instances) == 0


RELOADS = 50
UPGRADE = b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
GET = b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"


class Logs(Plugin[Any]):
    """Notes whether its instance still runs when a request is logged."""

    name = "p"
    config_schema = {"type": "object"}
    logged: list[tuple[int, bool]] = []
    stopped: list[int] = []

    @hookimpl
    def gateway_log(self, request: Request, response: Response, record: Record) -> None:
        number = self.config["number"]
        self.logged.append((number, number not in self.stopped))

    async def stop(self) -> None:
        self.stopped.append(self.config["number"])


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Switch protocols and echo, or begin a response that never ends."""
    head = await reader.readuntil(b"\r\n\r\n")
    if b"Upgrade" in head:
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    else:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
    await reader.read()
    writer.close()


def config(port: int, number: int) -> str:
    return f"""
upstreams: [{{name: u, endpoints: [{{url: "http://127.0.0.1:{port}"}}]}}]
plugins: [{{name: p, config: {{number: {number}}}}}]
routes: [{{id: all, path_prefix: /, target: u}}]
"""


async def test_streams_and_tunnels_over_reloads_keep_their_chains_and_no_snapshot(tmp_path: Path) -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    Logs.logged.clear()
    Logs.stopped.clear()
    async with server, run_proxy(config(port, 0), tmp_path, [Logs]) as gateway:
        holder = gateway.proxy.holder
        snapshots: list[weakref.ref[Snapshot]] = [weakref.ref(holder.current)]
        clients: list[Peer] = []
        for number in range(1, RELOADS + 1):
            for request in (UPGRADE, GET):
                client = await gateway.connect()
                await client.send(request)
                await client.head()
                clients.append(client)
            await gateway.reload(config(port, number))
            snapshots.append(weakref.ref(holder.current))
        await until(lambda: not len(holder.retirement))
        gc.collect()

        alive = [snapshot() for snapshot in snapshots if snapshot() is not None]
        assert alive == [holder.current]
        assert gateway.proxy.in_flight == 2 * RELOADS
        assert Logs.stopped == []

        del alive
        for client in clients:
            client.reset()
        await until(lambda: not gateway.proxy.in_flight)

        assert sorted(Logs.logged) == sorted((number, True) for number in range(RELOADS) for _ in range(2))
        await until(lambda: len(Logs.stopped) == RELOADS)
