"""Tunnels and streams that outlive many reloads keep no configuration but the one in force."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Record, Request, Response
from gateway_core.routing import Router
from gateway_core.snapshot import CompiledRoute, Snapshot
from gateway_core.testing import RunningGateway
from gateway_core.testing.loop_thread import LoopThread, eventually
from gateway_core.testing.stream_server import StreamServer

from tests.integration.servers.before import gateway_before
from tests.integration.wire import Wire
from tests.protocols.running import spoken_to_in_turn

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n"


class Watches(Plugin[Any]):
    """Has hooks of the phases before and behind a stream."""

    name = "watches"

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        response.headers["X-Path"] = request.path

    @hookimpl
    def gateway_log(self, request: Request, response: Response, record: Record) -> None:
        """Be called at the end."""


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Echo in a tunnel; begin a stream, and send an event whenever something of the request's body comes."""
    head = await reader.readuntil(b"\r\n\r\n")
    if head.startswith(b"PUT"):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        return
    is_stream = head.startswith(b"POST")
    writer.write(STREAM if is_stream else SWITCH)
    while data := await reader.read(65536):
        writer.write(b"5\r\nevent\r\n" if is_stream else data)


@pytest.fixture
def upstream() -> Iterator[str]:
    thread, server = LoopThread("long-lived upstream"), StreamServer(serve)
    yield f"http://127.0.0.1:{thread.run(server.start())}"
    thread.run(server.close())
    thread.close()


def config(url: str, number: int, routes: int, plugins: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a configuration with a number in it, and with this many routes beside the one that is used."""
    more = [{"id": f"r{each}", "path": f"/{number}/{each}", "target": "u"} for each in range(routes)]
    return {
        "listen": [{"name": "only", "address": "127.0.0.1:0"}],
        "upstreams": [{"name": "u", "endpoints": [{"url": url}]}],
        "routes": [{"id": "all", "path_prefix": "/", "target": "u", "plugins": plugins}, *more],
    }


def open_tunnel(gateway: RunningGateway) -> Wire:
    wire = Wire.to(gateway)
    wire.send(b"GET /t HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
    assert wire.message().status == 101
    return wire


def open_stream(gateway: RunningGateway) -> Wire:
    wire = Wire.to(gateway)
    wire.send(b"POST /s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
    wire.until(b"begin")
    return wire


def live(kind: type[Any]) -> int:
    gc.collect()
    return sum(isinstance(each, kind) for each in gc.get_objects())


@pytest.mark.parametrize("plugins", [[], [{"name": "watches"}]], ids=["plain", "hooked"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_what_outlives_a_reload_keeps_no_snapshot(upstream: str, loop: str, plugins: list[dict[str, Any]]) -> None:
    before = {kind: live(kind) for kind in (Snapshot, Router, CompiledRoute)}
    with ExitStack() as stack:
        running = stack.enter_context(gateway_before(upstream, loop, plugins=[Watches]))
        gateway = stack.enter_context(spoken_to_in_turn(running))
        tunnels, streams, idle = [], [], []
        for number in range(8):
            gateway.reload(config(upstream, number, 20, plugins))
            idle.append(stack.enter_context(Wire.to(gateway)))
            idle[-1].send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
            assert idle[-1].message().status == 200
            tunnels.append(stack.enter_context(open_tunnel(gateway)))
            streams.append(stack.enter_context(open_stream(gateway)))
        gateway.reload(config(upstream, 99, 20, plugins))

        # The one in force, and the one before it while it is being retired; a stream has one route of its own.
        eventually(lambda: live(Snapshot) - before[Snapshot] <= 2)
        eventually(lambda: live(Router) - before[Router] <= 2)
        assert live(CompiledRoute) - before[CompiledRoute] <= 2 * 21 + len(tunnels) + len(streams)

        for tunnel in tunnels:
            tunnel.send(b"hello")
            assert tunnel.exactly(5) == b"hello"
        for stream in streams:
            stream.send(b"1\r\nx\r\n")
            stream.until(b"event")
