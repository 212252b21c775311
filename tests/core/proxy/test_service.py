"""Limits, deadlines, drain, and what one connection may cost."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

import pytest
from gateway_core.proxy.upstream.http2_stream import LARGEST_WINDOW
from gateway_core.tasks import spawn

from tests.core.proxy.kit import Peer, Proxied, RunningProxy, StartProxy, fields, turns, until
from tests.protocols.choice import Protocols

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def never(peer: Peer) -> None:
    await peer.rest()


@pytest.mark.one_protocol(reason="connections of HTTP/1")
async def test_one_connection_too_many_is_a_503(proxied: Proxied) -> None:
    gateway, _ = await proxied(extra="limits: {max_connections: 2}")
    clients = [await gateway.connect() for _ in range(2)]
    for client in clients:
        await client.send(GET)
        assert (await client.response())[0] == 200

    response = await gateway.send(GET)

    assert response.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 1\r\n" in response
    clients[0].close()
    await until(lambda: len(gateway.proxy.connections) == 1)
    assert (await gateway.ask(GET))[0] == 200


@pytest.mark.one_protocol(reason="connections of HTTP/1")
async def test_one_connection_too_many_from_one_client_is_a_503(proxied: Proxied) -> None:
    gateway, _ = await proxied(extra="limits: {max_connections_per_client: 1}")
    client = await gateway.connect()
    await client.send(GET)
    await client.response()

    assert (await gateway.send(GET)).startswith(b"HTTP/1.1 503 ")
    other = Peer(*await asyncio.open_connection("127.0.0.1", gateway.port, local_addr=("127.0.0.2", 0)))
    await other.send(GET)
    assert (await other.response())[0] == 200
    other.reset()


@pytest.mark.one_protocol(reason="connections of HTTP/1")
async def test_a_request_too_many_is_a_503_at_once(proxied: Proxied) -> None:
    gateway, upstream = await proxied(never, extra="limits: {max_requests: 2}")
    clients = [await gateway.connect() for _ in range(2)]
    for client in clients:
        await client.send(GET)
    await until(lambda: gateway.proxy.in_flight == 2)

    status, head, _ = await gateway.ask(GET)

    assert (status, fields(head, b"retry-after")) == (503, [b"1"])
    assert upstream.connections == 2


@pytest.mark.one_protocol(reason="connections of HTTP/1")
async def test_a_connection_ends_after_its_last_request(proxied: Proxied) -> None:
    gateway, _ = await proxied(extra="limits: {max_requests_per_connection: 3}")
    client = await gateway.connect()

    await client.send(GET * 5)
    heads = [(await client.response())[1] for _ in range(3)]

    assert [fields(head, b"connection") for head in heads] == [[], [], [b"close"]]
    assert await client.rest() == b""


@pytest.mark.one_protocol(reason="connections of HTTP/1")
async def test_a_head_that_comes_byte_by_byte_has_its_time(proxied: Proxied) -> None:
    gateway, upstream = await proxied(extra="limits: {header_timeout: 30s}")
    client = await gateway.connect()

    for byte in GET[:10]:
        await client.send(bytes([byte]))
        await gateway.pass_time(4)  # less than the limit between two of them
    response = await asyncio.wait_for(client.rest(), 30)

    assert response.startswith(b"HTTP/1.1 408 ")
    assert upstream.connections == 0


@pytest.mark.one_protocol(reason="connections of HTTP/1")
async def test_a_later_head_has_its_time_too(proxied: Proxied) -> None:
    gateway, _ = await proxied(extra="limits: {header_timeout: 300ms}")
    client = await gateway.connect()
    await client.send(GET)
    await client.response()

    await client.send(GET[:10])
    response = await asyncio.wait_for(client.rest(), 30)

    assert response.startswith(b"HTTP/1.1 408 ")


@pytest.mark.one_protocol(reason="connections of HTTP/1")
async def test_a_connection_that_says_nothing_is_closed(proxied: Proxied) -> None:
    gateway, _ = await proxied(extra="limits: {header_timeout: 300ms}")
    client = await gateway.connect()

    assert await asyncio.wait_for(client.rest(), 30) == b""


async def test_an_idle_connection_is_closed_without_a_word(proxied: Proxied) -> None:
    gateway, _ = await proxied(extra="limits: {idle_timeout: 300ms}")
    client = await gateway.connect()
    await client.send(GET)
    await client.response()

    assert await asyncio.wait_for(client.rest(), 30) == b""


async def test_half_open_heads_keep_nobody_waiting(proxied: Proxied) -> None:
    gateway, _ = await proxied()
    slow = [await gateway.connect() for _ in range(50)]
    for client in slow:
        await client.send(GET[:20])

    for _ in range(20):
        assert (await asyncio.wait_for(gateway.ask(GET), 30))[0] == 200


BIG = 256 << 20
PIECE = bytes(1 << 18)


async def pour(peer: Peer) -> None:
    """Respond with a body that is larger than anybody's memory limit."""
    await peer.head()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG)
    for _ in range(BIG // len(PIECE)):
        await peer.send(PIECE)


async def slow_client(gateway: RunningProxy) -> socket.socket:
    """Return a connection whose client reads nothing unless asked to."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", gateway.port))
    return sock


def open_connections(gateway: RunningProxy) -> list[Any]:
    return list(gateway.proxy.connections.open)


def buffered(gateway: RunningProxy) -> int:
    """Return the bytes that wait in the proxy to be written to clients and upstreams."""
    size = 0
    for client in open_connections(gateway):
        size += client._transport.get_write_buffer_size() + client._input.size
        if client.intake.body is not None:
            size += len(client.intake.body.peek())
    exchanges: list[Any] = list(gateway.proxy.exchanges)
    for exchange in exchanges:
        relay = exchange._relay
        attempt = relay.attempt if relay is not None else None
        if attempt is not None and attempt._connection is not None:
            size += attempt._connection.transport.get_write_buffer_size()
    return size


@pytest.mark.one_protocol(reason="a bridge is too slow for its bytes")
async def test_a_large_response_to_a_slow_reader_takes_little_memory(proxied: Proxied) -> None:
    gateway, _ = await proxied(pour)
    client = await slow_client(gateway)
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(client, GET)
    most = 0
    for _ in range(200):
        await loop.sock_recv(client, 65536)
        most = max(most, buffered(gateway))
        await asyncio.sleep(0)
    for _ in range(50):
        most = max(most, buffered(gateway))
        await turns()
    client.close()

    assert 0 < most < 200_000


@pytest.mark.one_protocol(reason="a bridge is too slow for its bytes")
@pytest.mark.parametrize("framing", [b"Content-Length: %d" % BIG, b"Transfer-Encoding: chunked"])
async def test_a_large_upload_to_a_slow_upstream_takes_little_memory(proxied: Proxied, framing: bytes) -> None:
    async def slow(peer: Peer) -> None:
        await peer.head()
        cast("asyncio.Transport", peer.writer.transport).pause_reading()
        await asyncio.Event().wait()

    gateway, _ = await proxied(slow)
    client = await gateway.connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n")
    piece = PIECE if framing.startswith(b"Content") else b"%x\r\n%b\r\n" % (len(PIECE), PIECE)

    async def send() -> None:
        while True:
            await client.send(piece)

    sending, most = spawn(send(), name="test"), 0
    for _ in range(300):
        most = max(most, buffered(gateway))
        await turns()
    sending.cancel()

    assert 0 < most < 240_000


async def test_a_client_that_does_not_read_is_let_go(proxied: Proxied) -> None:
    gateway, _ = await proxied(pour, extra="limits: {write_timeout: 300ms}")
    client = await slow_client(gateway)
    await asyncio.get_running_loop().sock_sendall(client, GET)
    await until(lambda: gateway.proxy.in_flight == 1)

    await until(lambda: gateway.proxy.in_flight == 0 and len(gateway.proxy.connections) == 0)
    client.close()


@pytest.mark.http1_upstream
@pytest.mark.parametrize("last", [b"", b"Connection: close\r\n"])
async def test_a_client_that_does_not_read_a_whole_response_is_let_go(proxied: Proxied, last: bytes) -> None:
    size = 60_000
    gateway, _ = await proxied(
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size), extra="limits: {write_timeout: 300ms}"
    )
    client = await slow_client(gateway)
    for n in range(200):
        head = b"GET / HTTP/1.1\r\nHost: x\r\n" + (last if n == 199 else b"") + b"\r\n"
        await asyncio.get_running_loop().sock_sendall(client, head)

    await until(lambda: len(gateway.proxy.connections) == 1)
    await until(lambda: len(gateway.proxy.connections) == 0)
    client.close()


async def test_pipelined_responses_do_not_pile_up_for_a_client_that_does_not_read(
    proxied: Proxied, protocols: Protocols
) -> None:
    size = 1 << 20
    # What an upstream was lent over HTTP/2 may still come after its response is paused.
    lent = 0 if protocols.upstream == "http1" else LARGEST_WINDOW
    served = 0

    async def serve(peer: Peer) -> None:
        nonlocal served
        while True:
            await peer.head()
            served += 1
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))

    gateway, _ = await proxied(serve)
    client = await slow_client(gateway)
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(client, GET * 50)
    most = 0
    for _ in range(100):
        most = max(most, *(each._transport.get_write_buffer_size() for each in open_connections(gateway)), 0)
        await turns()

    assert most < 200_000 + lent
    assert served < 20
    received = 0
    async with asyncio.timeout(40):
        while received < 50 * size:
            received += len(await loop.sock_recv(client, 1 << 20))
    assert served == 50
    client.close()


@pytest.mark.one_protocol(reason="connections of HTTP/1")
async def test_draining_lets_requests_finish_and_closes_idle_connections(proxied: Proxied) -> None:
    go_on = asyncio.Event()

    async def serve(peer: Peer) -> None:
        while True:
            head = await peer.head()
            if b"/slow" in head:
                await go_on.wait()
            await peer.send(OK)

    gateway, _ = await proxied(serve)
    idle, busy = await gateway.connect(), await gateway.connect()
    await idle.send(GET)
    await idle.response()
    await busy.send(GET.replace(b"/ ", b"/slow "))
    await until(lambda: gateway.proxy.in_flight == 1)

    draining = spawn(gateway.proxy.drain(10), name="test")
    assert await asyncio.wait_for(idle.rest(), 30) == b""
    go_on.set()
    status, head, _ = await busy.response()

    assert (status, fields(head, b"connection")) == (200, [b"close"])
    assert await busy.rest() == b""
    await asyncio.wait_for(draining, 30)
    assert len(gateway.proxy.connections) == 0


@pytest.mark.one_protocol(reason="connections of HTTP/1")
async def test_a_client_between_two_requests_is_told_that_the_next_one_is_the_last(proxied: Proxied) -> None:
    gateway, _ = await proxied()
    client = await gateway.connect()
    await client.send(GET)
    await client.response()

    draining = spawn(gateway.proxy.drain(10), name="test")
    await until(lambda: not gateway.proxy.keeps_alive)
    await client.send(GET)
    status, head, _ = await client.response()

    assert (status, fields(head, b"connection")) == (200, [b"close"])
    assert await client.rest() == b""
    await draining


@pytest.mark.one_protocol(reason="connections of HTTP/1")
async def test_a_request_on_a_fresh_connection_gets_its_response_while_draining(proxied: Proxied) -> None:
    gateway, _ = await proxied()
    fresh = await gateway.connect()
    await until(lambda: len(gateway.proxy.connections) == 1)

    draining = spawn(gateway.proxy.drain(10), name="test")
    await until(lambda: not gateway.proxy.keeps_alive)
    await fresh.send(GET)
    status, head, _ = await fresh.response()

    assert (status, fields(head, b"connection")) == (200, [b"close"])
    await draining


async def test_a_request_that_has_arrived_gets_its_response_while_draining(proxied: Proxied) -> None:
    gateway, _ = await proxied()
    client = await gateway.connect()
    await client.send(GET)
    await client.response()
    client.writer.write(GET)  # in the kernel's hands before anything is closed

    draining = spawn(gateway.proxy.drain(10), name="test")

    assert (await client.response())[0] == 200
    await draining


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_an_upload_goes_on_while_draining(proxied: Proxied, framing: str) -> None:
    gateway, upstream = await proxied()
    client = await gateway.connect()
    if framing == "length":
        parts = [b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc", b"def"]
    else:
        parts = [b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"0\r\n\r\n"]
    await client.send(parts[0])
    await until(lambda: gateway.proxy.in_flight == 1)

    draining = spawn(gateway.proxy.drain(10), name="test")
    await until(lambda: not gateway.proxy.keeps_alive)
    await client.send(parts[1])

    assert (await client.response())[0] == 200
    assert upstream.bodies in ([b"abcdef"], [b"3\r\nabc\r\n0\r\n\r\n"])
    await draining


async def test_draining_comes_to_an_end(proxied: Proxied) -> None:
    gateway, _ = await proxied(never)
    client = await gateway.connect()
    await client.send(GET)
    await until(lambda: gateway.proxy.in_flight == 1)

    await asyncio.wait_for(gateway.proxy.drain(0.2), 30)

    await until(lambda: gateway.proxy.in_flight == 0 and len(gateway.proxy.connections) == 0)


async def test_a_refused_endpoint_is_told_to_the_log_only(proxied: Proxied, start_proxy: StartProxy) -> None:
    gateway = await start_proxy('routes: [{id: r, path_prefix: /, target: "http://127.0.0.1:9"}]')

    _, _, body = await gateway.ask(GET)

    assert b"127.0.0.1" not in body
    assert b"connect" not in body
