"""WebSocket and other upgrades: two connections joined after 101."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Record, Request, Response
from gateway_core.tasks import spawn

from tests.core.proxy.kit import Peer, Proxied, fields, turns, until

pytestmark = pytest.mark.http1_upstream

UPGRADE = b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"


async def echo(peer: Peer) -> None:
    await peer.head()
    await peer.send(SWITCH)
    while data := await peer.reader.read(65536):
        await peer.send(data)


@pytest.mark.one_protocol(reason="the key of a handshake is HTTP/1's")
async def test_the_protocol_that_was_asked_for_is_named_both_ways(proxied: Proxied) -> None:
    heads: list[bytes] = []

    async def switch(peer: Peer) -> None:
        heads.append(await peer.head())
        await peer.send(SWITCH.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Accept: abc\r\n\r\n"))
        await peer.rest()

    gateway, _ = await proxied(switch)
    client = await gateway.connect()

    await client.send(UPGRADE.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n\r\n"))
    head = await client.head()

    assert fields(heads[0], b"connection") == [b"Upgrade"]
    assert fields(heads[0], b"upgrade") == [b"websocket"]
    assert fields(heads[0], b"sec-websocket-key") == [b"k"]
    assert head.startswith(b"HTTP/1.1 101 ")
    assert fields(head, b"upgrade") == [b"websocket"]
    assert fields(head, b"sec-websocket-accept") == [b"abc"]


@pytest.mark.one_protocol(reason="HTTP/2 has no Upgrade")
async def test_h2c_is_never_asked_of_an_upstream(proxied: Proxied) -> None:
    gateway, upstream = await proxied()

    status, _, _ = await gateway.ask(
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n"
    )

    assert status == 200
    assert fields(upstream.heads[0], b"upgrade") == []
    assert fields(upstream.heads[0], b"http2-settings") == []


@pytest.mark.parametrize(
    "fields_",
    [
        b"Connection: upgrade\r\nUpgrade: h2c\r\n",
        b"Connection: upgrade\r\nUpgrade: websocket, h2c\r\n",
        b"Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: tcp\r\n",
        b"Connection: upgrade\r\nUpgrade: websocket/13\r\n",
        b"Upgrade: tcp\r\n",
    ],
)
async def test_another_protocol_than_the_client_offered_is_502(proxied: Proxied, fields_: bytes) -> None:
    closed = asyncio.Event()

    async def switch(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 101 Switching Protocols\r\n" + fields_ + b"\r\nraw bytes")
        await peer.rest()
        closed.set()

    gateway, _ = await proxied(switch)

    status, head, body = await gateway.ask(UPGRADE)

    assert status == 502
    assert b"raw bytes" not in head + body
    await asyncio.wait_for(closed.wait(), 30)


@pytest.mark.one_protocol(reason="HTTP/2 has no Upgrade")
@pytest.mark.parametrize(
    "request_", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", UPGRADE.replace(b"Connection: Upgrade\r\n", b"")]
)
async def test_a_change_of_protocol_that_was_not_asked_for_is_502(proxied: Proxied, request_: bytes) -> None:
    gateway, _ = await proxied(SWITCH)

    assert (await gateway.ask(request_))[0] == 502


@pytest.mark.parametrize("named", [b"WebSocket", b"WEBSOCKET", b" websocket "])
async def test_the_name_of_a_protocol_has_no_case(proxied: Proxied, named: bytes) -> None:
    gateway, _ = await proxied(SWITCH.replace(b"websocket", named))
    client = await gateway.connect()

    await client.send(UPGRADE)

    assert (await client.head()).startswith(b"HTTP/1.1 101 ")


async def test_much_data_passes_both_ways_at_once(proxied: Proxied) -> None:
    gateway, _ = await proxied(echo)
    client = await gateway.connect()
    await client.send(UPGRADE)
    await client.head()
    data = bytes(range(256)) * 40_000

    sending = spawn(client.send(data), name="test")
    received = await asyncio.wait_for(client.exactly(len(data)), 20)
    await sending

    assert received == data


async def test_a_client_that_does_not_read_holds_the_upstream_back(proxied: Proxied) -> None:
    stuck = asyncio.Event()
    sent = 0

    async def pour(peer: Peer) -> None:
        nonlocal sent
        await peer.head()
        await peer.send(SWITCH)
        for _ in range(64):
            try:
                async with asyncio.timeout(1):
                    await peer.send(b"x" * (1 << 20))
            except TimeoutError:
                stuck.set()
                await peer.writer.drain()
            sent += 1
        peer.close()

    gateway, _ = await proxied(pour)
    client = await gateway.connect()
    await client.send(UPGRADE)
    await client.head()

    await asyncio.wait_for(stuck.wait(), 20)
    assert sent < 60
    assert len(await asyncio.wait_for(client.rest(), 30)) == 64 << 20


async def test_an_upstream_that_does_not_read_holds_the_client_back(proxied: Proxied) -> None:
    go_on = asyncio.Event()

    async def slow(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH)
        await go_on.wait()
        await peer.exactly(64 << 20)
        await peer.send(b"all")

    gateway, _ = await proxied(slow)
    client = await gateway.connect()
    await client.send(UPGRADE)
    await client.head()

    sending = spawn(client.send(b"x" * (64 << 20)), name="test")
    done, _ = await asyncio.wait([sending], timeout=1)
    assert not done
    go_on.set()

    assert await asyncio.wait_for(client.exactly(3), 30) == b"all"
    await sending


async def test_one_side_may_end_while_the_other_goes_on(proxied: Proxied) -> None:
    async def response_at_the_end(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH)
        everything = await peer.rest()
        await peer.send(everything[::-1])
        peer.close()

    gateway, _ = await proxied(response_at_the_end)
    client = await gateway.connect()
    await client.send(UPGRADE)
    await client.head()

    await client.send(b"abc")
    client.writer.write_eof()

    assert await asyncio.wait_for(client.rest(), 30) == b"cba"
    await until(lambda: gateway.proxy.in_flight == 0)


async def test_a_tunnel_without_a_byte_is_closed(proxied: Proxied) -> None:
    gateway, _ = await proxied(echo, upstream_extra="    timeouts: {idle: 300ms}")
    client = await gateway.connect()
    await client.send(UPGRADE)
    await client.head()

    assert await asyncio.wait_for(client.rest(), 30) == b""
    await until(lambda: gateway.proxy.in_flight == 0)


async def test_a_stuck_tunnel_is_closed_although_nobody_reads(proxied: Proxied) -> None:
    async def pour(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH)
        while True:
            await peer.send(b"x" * (1 << 20))

    gateway, _ = await proxied(pour, upstream_extra="    timeouts: {idle: 300ms}")
    client = await gateway.connect()
    cast("asyncio.Transport", client.writer.transport).pause_reading()
    await client.send(UPGRADE)
    await until(lambda: gateway.proxy.tunnels)
    [tunnel] = gateway.proxy.tunnels
    transport = tunnel._client.transport

    await until(lambda: gateway.proxy.in_flight == 0)
    await until(lambda: transport.get_write_buffer_size() == 0)


async def test_an_upstream_that_ends_the_tunnel_ends_it_for_the_client(proxied: Proxied) -> None:
    async def bye(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH + b"bye")
        peer.close()

    gateway, _ = await proxied(bye)
    client = await gateway.connect()
    await client.send(UPGRADE)
    await client.head()

    assert await asyncio.wait_for(client.rest(), 30) == b"bye"


async def test_a_tunnel_is_a_request_under_way_until_it_is_closed(proxied: Proxied) -> None:
    records: list[tuple[int, Record]] = []

    class Logs(Plugin[Any]):
        name = "p"

        @hookimpl
        def gateway_log(self, request: Request, response: Response, record: Record) -> None:
            records.append((response.status, record))

    gateway, _ = await proxied(echo, extra="plugins: [{name: p}]", plugins=[Logs])
    client = await gateway.connect()
    await client.send(UPGRADE)
    await client.head()
    await client.send(b"hello")
    await client.exactly(5)

    assert gateway.proxy.in_flight == 1
    assert len(gateway.proxy.connections) == 1
    assert gateway.proxy.holder.current.active == 1
    assert records == []

    client.close()
    await until(lambda: records)
    [(status, record)] = records
    assert status == 101
    assert (record.bytes_received, record.bytes_sent) == (5, 5)
    await until(lambda: gateway.proxy.in_flight == 0 and len(gateway.proxy.connections) == 0)
    assert gateway.proxy.holder.current.active == 0


async def test_draining_waits_for_a_tunnel_and_then_cuts_it_off(proxied: Proxied) -> None:
    gateway, _ = await proxied(echo)
    client = await gateway.connect()
    await client.send(UPGRADE)
    await client.head()

    draining = spawn(gateway.proxy.drain(0.5), name="test")
    await client.send(b"still there")
    assert await client.exactly(11) == b"still there"

    assert await asyncio.wait_for(client.rest(), 30) == b""
    await draining


@pytest.mark.one_protocol(reason="over HTTP/2 a connection that is one too many is closed without a response")
async def test_tunnels_count_as_connections(proxied: Proxied) -> None:
    gateway, _ = await proxied(echo, extra="limits: {max_connections: 1}")
    client = await gateway.connect()
    await client.send(UPGRADE)
    await client.head()

    assert (await gateway.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")).startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize("pieces", [2, 5])
async def test_bytes_sent_before_the_101_are_not_lost(proxied: Proxied, pieces: int) -> None:
    sent = asyncio.Event()

    async def late(peer: Peer) -> None:
        await peer.head()
        await sent.wait()
        await peer.send(SWITCH)
        while data := await peer.reader.read(65536):
            await peer.send(data)

    gateway, _ = await proxied(late)
    client = await gateway.connect()

    await client.send(UPGRADE)
    for n in range(pieces):
        await turns()
        await client.send(b"piece %d " % n)
    await turns()
    sent.set()
    await client.head()

    expected = b"".join(b"piece %d " % n for n in range(pieces))
    assert await asyncio.wait_for(client.exactly(len(expected)), 30) == expected


class Decides(Plugin[Any]):
    """A response hook over the head of a 101."""

    name = "p"
    config_schema = {"type": "object"}

    @hookimpl
    async def gateway_response(self, request: Request, response: Response) -> Response | None:
        await asyncio.sleep(0)
        if self.config.get("refuse"):
            return Response(403, b"no")
        response.headers["X-Hook"] = str(response.status)
        return None


async def test_response_hooks_see_the_head_of_a_101(proxied: Proxied) -> None:
    gateway, _ = await proxied(echo, extra="plugins: [{name: p}]", plugins=[Decides])
    client = await gateway.connect()

    await client.send(UPGRADE + b"early")
    head = await client.head()

    assert b"\r\nX-Hook: 101\r\n" in head
    assert await client.exactly(5) == b"early"


async def test_a_response_that_a_hook_returns_replaces_a_101_and_closes_the_upstreams_connection(
    proxied: Proxied,
) -> None:
    closed = asyncio.Event()

    async def serve(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        await peer.rest()
        closed.set()

    gateway, _ = await proxied(serve, extra="plugins: [{name: p, config: {refuse: true}}]", plugins=[Decides])

    status, _, body = await gateway.ask(UPGRADE)

    assert (status, body) == (403, b"no")
    await asyncio.wait_for(closed.wait(), 30)
    await until(lambda: not gateway.proxy.in_flight)


@pytest.mark.one_protocol(reason="HTTP/2 has no Upgrade")
async def test_bytes_behind_an_upgrade_never_reach_an_upstream_that_does_not_switch(proxied: Proxied) -> None:
    received: list[bytes] = []

    async def serve(peer: Peer) -> None:
        received.append(await peer.head())
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        received.append(await peer.rest())

    gateway, upstream = await proxied(serve)
    client = await gateway.connect()

    await client.send(UPGRADE + b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
    status, _, _ = await client.response()

    assert status == 200
    assert b"smuggled" not in b"".join(received)
    assert upstream.connections >= 1
