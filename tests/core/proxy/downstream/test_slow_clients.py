"""Clients that read or write slowly cost nobody but themselves, and not for ever."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from functools import partial
from typing import Any

import hpack
import hyperframe.frame as hf
import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response

from tests.core.proxy.downstream.http2_client import PREFACE
from tests.core.proxy.kit import Peer, Proxied, RunningProxy, counts, turns, until

pytestmark = pytest.mark.one_protocol(reason="connections of HTTP/1")

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"


async def deaf_client(gateway: RunningProxy, request: bytes) -> socket.socket:
    """Send a request and read nothing."""
    loop = asyncio.get_running_loop()
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    await loop.sock_connect(client, ("127.0.0.1", gateway.port))
    await loop.sock_sendall(client, request)
    return client


async def read_to_the_end(client: socket.socket) -> None:
    while await asyncio.get_running_loop().sock_recv(client, 65536):
        pass


class Long(Plugin[object]):
    name = "p"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response:
        return Response(200, b"x" * 8_000_000)


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close", b"GET / HTTP/1.1\r\nHost: x", b"GET / HTTP/1.0"]
)
async def test_a_client_that_never_reads_its_last_response_is_let_go(proxied: Proxied, head: bytes) -> None:
    gateway, _ = await proxied(extra="limits: {write_timeout: 10s}\nplugins: [{name: p}]", plugins=[Long])
    with await deaf_client(gateway, head + b"\r\n\r\n"):
        await until(lambda: gateway.proxy.connections)
        while gateway.proxy.connections:
            await gateway.pass_time(11)


HTTP2_GET = (
    PREFACE
    + hf.SettingsFrame(0, settings={hf.SettingsFrame.INITIAL_WINDOW_SIZE: 1 << 24}).serialize()
    + hf.WindowUpdateFrame(0, window_increment=1 << 24).serialize()
    + hf.HeadersFrame(
        1,
        data=hpack.Encoder().encode([(":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", "/")]),
        flags=["END_HEADERS", "END_STREAM"],
    ).serialize()
)


@pytest.mark.parametrize("kind", ["response", "own response", "tunnel", "http2"])
async def test_nothing_is_kept_by_the_system_for_a_client_that_was_let_go_because_it_takes_nothing(
    proxied: Proxied, kind: str
) -> None:
    async def pour(peer: Peer) -> None:
        await peer.head()
        await peer.send(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n"
            if kind == "tunnel"
            else b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"
        )
        while True:
            await peer.send(b"x" * (1 << 20))

    extra = "limits: {write_timeout: 10s, idle_timeout: 10s}\n"
    extra += "plugins: [{name: p}]" if kind == "own response" else ""
    gateway, _ = await proxied(pour, extra=extra, upstream_extra="    timeouts: {idle: 10s}", plugins=[Long])
    upgrade = b"Connection: Upgrade\r\nUpgrade: other\r\n" if kind == "tunnel" else b""
    request = HTTP2_GET if kind == "http2" else b"GET / HTTP/1.1\r\nHost: x\r\n" + upgrade + b"\r\n"
    with await deaf_client(gateway, request) as client:
        await until(lambda: gateway.proxy.connections)
        while gateway.proxy.connections or gateway.proxy.tunnels:
            await gateway.pass_time(11)

        with pytest.raises(ConnectionResetError):
            await read_to_the_end(client)


async def test_a_slow_client_does_not_leave_a_deaf_connection_to_the_upstream(proxied: Proxied) -> None:
    asked = 0

    async def upstream(peer: Peer) -> None:
        nonlocal asked
        while True:
            await peer.head()
            asked += 1
            size = 2_000_000 + asked * 40_000
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)

    def is_asked(before: int) -> bool:
        return asked > before

    gateway, _ = await proxied(upstream)
    endpoint = gateway.proxy.holder.current.upstreams["u"].endpoints[0]
    pool: Any = None
    is_held_up = False
    with ExitStack() as stack:
        # What the system takes at once is its own affair: one of these sizes ends with a piece that is too much for it.
        while not is_held_up:
            before = asked
            stack.enter_context(await deaf_client(gateway, GET))
            await until(partial(is_asked, before))
            for _ in range(10):
                await turns()
                is_held_up = bool(counts(gateway))
                if not is_held_up:
                    break
            pool = endpoint.pool
            assert all(each.transport.is_reading() for each in pool.idle)


async def test_a_head_that_comes_byte_by_byte_behind_a_request_has_no_more_time_for_it(proxied: Proxied) -> None:
    gateway, _ = await proxied(extra="limits: {header_timeout: 40s}")
    client = await gateway.connect()
    await client.send(GET)
    await client.response()

    for byte in b"GETTTTTTTT":
        await client.send(bytes([byte]))
        await gateway.pass_time(5)
    response = await asyncio.wait_for(client.rest(), 30)

    assert response.startswith(b"HTTP/1.1 408 ")


async def test_a_lower_limit_of_requests_holds_for_connections_that_are_over_it_already(proxied: Proxied) -> None:
    gateway, _ = await proxied(extra="limits: {max_requests_per_connection: 100}")
    client = await gateway.connect()
    for _ in range(3):
        await client.send(GET)
        await client.response()

    await gateway.reload((gateway.folder / "gateway.yaml").read_text().replace("connection: 100", "connection: 2"))
    await client.send(GET)

    assert b"\r\nConnection: close\r\n" in await asyncio.wait_for(client.rest(), 30)
