"""Large bodies that go from socket to socket within the kernel, on uvloop."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest
import uvloop
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import BodyFilter, Request, Response
from gateway_core.proxy import splice
from gateway_core.proxy.splice import BodySink

from tests.core.proxy.kit import Peer, Plugins, RunningProxy, bytes_of_endpoints, run_proxy, turns, until

SIZE = 6 << 20
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
Scenario = Callable[[RunningProxy], Awaitable[None]]
Serve = Callable[[Peer], Awaitable[None]]


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def body_of(seed: int) -> bytes:
    return Random(seed).randbytes(SIZE)


async def whole(peer: Peer) -> None:
    """Send a large body for each request."""
    number = 0
    while True:
        await peer.head()
        number += 1
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE + body_of(number))


def run(folder: Path, serve: Serve, scenario: Scenario, extra: str = "", plugins: Plugins = ()) -> None:
    """Run a scenario on uvloop, and see that nothing of it is left."""

    async def main() -> None:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await serve(Peer(reader, writer))
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        config = f'routes: [{{id: all, path_prefix: /, target: "{url}"{extra}}}]'
        async with run_proxy(config, folder, plugins) as gateway:
            await asyncio.wait_for(scenario(gateway), 30)
            await until(lambda: not splice.in_progress)
        server.close()

    uvloop.run(main())


async def begun(gateway: RunningProxy) -> Peer:
    """Return a client that has read the head of a body that is being spliced, and that reads no further."""
    client = await gateway.connect()
    await client.send(GET)
    await client.head()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it can be read
    await until(lambda: splice.in_progress)
    return client


async def received_of(client: Peer) -> tuple[bytes, int]:
    """Return a body, and how often it was seen to be spliced while it came."""
    received, seen = b"", 0
    while len(received) < SIZE and (data := await client.reader.read(SIZE - len(received))):
        received += data
        seen += len(splice.in_progress)
    return received, seen


def test_every_byte_arrives_and_the_connections_go_on(tmp_path: Path) -> None:
    async def scenario(gateway: RunningProxy) -> None:
        client = await gateway.connect()
        for number in (1, 2):
            await client.send(GET)
            await client.head()

            received, seen = await received_of(client)

            assert received == body_of(number)  # of one upstream connection
            assert seen
            head = len(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
            assert bytes_of_endpoints(gateway)[0] == number * (SIZE + head)
        client.close()

    run(tmp_path, whole, scenario)


def test_a_client_that_reads_slowly_holds_little_and_gets_every_byte(tmp_path: Path) -> None:
    async def scenario(gateway: RunningProxy) -> None:
        client = await begun(gateway)
        (connection,) = cast("Any", gateway.proxy.connections.open)
        await until(lambda: connection.waiting_bytes)

        await turns(20)
        assert connection.waiting_bytes <= 1 << 18

        client.writer.transport.resume_reading()  # type: ignore[attr-defined]  # it can be read
        assert await client.exactly(SIZE) == body_of(1)

    run(tmp_path, whole, scenario)


def test_a_client_that_takes_nothing_is_let_go(tmp_path: Path) -> None:
    async def scenario(gateway: RunningProxy) -> None:
        await begun(gateway)
        (connection,) = cast("Any", gateway.proxy.connections.open)
        await until(lambda: connection.waiting_bytes)

        await gateway.pass_time(gateway.proxy.limits.write_timeout + 1)

        await until(lambda: not gateway.proxy.exchanges)
        assert not splice.in_progress

    run(tmp_path, whole, scenario)


def test_a_client_that_leaves_ends_it_and_no_descriptor_is_left(tmp_path: Path) -> None:
    async def scenario(gateway: RunningProxy) -> None:
        (await begun(gateway)).close()
        await until(lambda: not gateway.proxy.exchanges and not gateway.proxy.connections)
        before = open_descriptors()
        for _ in range(3):
            (await begun(gateway)).reset()
            await until(lambda: not gateway.proxy.exchanges and not gateway.proxy.connections)

        await until(lambda: open_descriptors() <= before + 1)

    run(tmp_path, whole, scenario)


def test_a_body_that_ends_early_is_cut_off(tmp_path: Path) -> None:
    async def serve(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * SIZE) + body_of(1))

    async def scenario(gateway: RunningProxy) -> None:
        client = await gateway.connect()
        await client.send(GET)
        await client.head()

        assert await client.rest() == body_of(1)

    run(tmp_path, serve, scenario)


def test_an_upstream_that_stalls_is_given_up(tmp_path: Path) -> None:
    never = asyncio.Event()

    async def serve(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * SIZE) + body_of(1))
        await never.wait()

    async def scenario(gateway: RunningProxy) -> None:
        client = await gateway.connect()
        await client.send(GET)
        await client.head()
        assert await client.exactly(SIZE) == body_of(1)
        assert splice.in_progress

        assert await gateway.passing(10, client.rest()) == b""
        assert not splice.in_progress
        never.set()

    run(tmp_path, serve, scenario, ", timeouts: {idle: 5s}")


class Looks(Plugin[Any]):
    """Looks at the body."""

    name = "looks"
    config_model = None

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        response.add_body_filter(BodyFilter, observe=True)


def test_a_body_that_a_plugin_looks_at_is_not_spliced(tmp_path: Path) -> None:
    async def scenario(gateway: RunningProxy) -> None:
        client = await gateway.connect()
        await client.send(GET)
        await client.head()

        received, seen = await received_of(client)

        assert received == body_of(1)
        assert not seen

    run(tmp_path, whole, scenario, ", plugins: [{name: looks}]", [Looks])


def test_without_descriptors_a_body_goes_the_usual_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(flags: int) -> tuple[int, int]:
        raise OSError(errno.EMFILE, f"no pipe with {flags}")

    monkeypatch.setattr(os, "pipe2", fails)

    async def scenario(gateway: RunningProxy) -> None:
        status, _, body = await gateway.ask(GET)

        assert (status, body) == (200, body_of(1))

    run(tmp_path, whole, scenario)


def test_a_connection_without_a_descriptor_is_left_alone() -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)
        tls = BodySink(_Tls(), lambda size, waiting: None)

        assert splice.splice(writer.transport, tls, SIZE, lambda size: None) is None  # type: ignore[arg-type]
        del reader
        writer.close()
        theirs.close()

    uvloop.run(main())


class _Tls(asyncio.Transport):
    def get_extra_info(self, name: str, default: object = None) -> object:
        return self if name in {"ssl_object", "socket"} else default
