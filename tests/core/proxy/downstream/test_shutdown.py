"""Clients that say their last word and listen on, and clients that are gone."""

from __future__ import annotations

import asyncio

import pytest

from tests.core.proxy.kit import Peer, Proxied, turns, until

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("request_bytes", [GET, POST + b"hello", CHUNKED + b"2\r\nhi\r\n0\r\n\r\n"])
async def test_a_client_that_closes_its_half_gets_its_response(proxied: Proxied, request_bytes: bytes) -> None:
    gateway, _ = await proxied()
    client = await gateway.connect()

    await client.send(request_bytes)
    client.writer.write_eof()

    response = await asyncio.wait_for(client.rest(), 10)
    assert response.startswith(b"HTTP/1.1 200 OK\r\n")
    assert response.endswith(b"\r\n\r\nok")


async def test_every_request_before_the_end_gets_its_response(proxied: Proxied) -> None:
    gateway, upstream = await proxied()
    client = await gateway.connect()

    await client.send(GET * 3)
    client.writer.write_eof()

    assert (await asyncio.wait_for(client.rest(), 10)).count(b"HTTP/1.1 200 OK\r\n") == 3
    assert len(upstream.heads) == 3


async def test_a_response_under_way_reaches_its_end(proxied: Proxied) -> None:
    async def slowly(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        await ended.wait()
        await peer.send(b"cd")
        await peer.rest()

    ended = asyncio.Event()
    gateway, _ = await proxied(slowly)
    client = await gateway.connect()
    await client.send(GET)
    await client.head()

    client.writer.write_eof()
    await until(lambda: gateway.proxy.ending)
    ended.set()

    assert await asyncio.wait_for(client.rest(), 10) == b"abcd"


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"])
async def test_no_work_goes_on_for_long_for_a_client_that_may_be_gone(proxied: Proxied, begun: bytes) -> None:
    left = asyncio.Event()

    async def never(peer: Peer) -> None:
        await peer.head()
        await peer.send(begun)
        await peer.rest()
        left.set()

    gateway, _ = await proxied(never)
    client = await gateway.connect()
    await client.send(GET)
    await until(lambda: gateway.proxy.in_flight)

    client.close()

    await asyncio.wait_for(left.wait(), 10)
    await until(lambda: not gateway.proxy.ending and not gateway.proxy.connections)
    assert gateway.proxy.in_flight == 0


@pytest.mark.parametrize("cut", [b"", b"GET / HTT", POST + b"hel", CHUNKED + b"2\r\nhi\r\n"])
async def test_a_request_that_is_cut_short_is_not_waited_for(proxied: Proxied, cut: bytes) -> None:
    gateway, _ = await proxied()
    client = await gateway.connect()

    await client.send(cut)
    client.writer.write_eof()

    assert await asyncio.wait_for(client.rest(), 10) == b""
    await until(lambda: not gateway.proxy.connections and not gateway.proxy.in_flight)


@pytest.mark.parametrize("field", [b"Content-Length: 1000000", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("connection", [b"close", b"keep-alive"])
async def test_a_client_that_still_sends_its_body_is_not_reset(
    proxied: Proxied, field: bytes, connection: bytes
) -> None:
    gateway, _ = await proxied(extra="limits: {max_body_bytes: 10}")
    client = await gateway.connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: " + connection + b"\r\n" + field + b"\r\n\r\n")
    await client.send(b"14\r\n" + bytes(20) + b"\r\n")

    assert (await client.rest()).startswith(b"HTTP/1.1 413 ")

    for _ in range(10):
        await client.send(bytes(1000))
        await turns()
    assert not client.writer.transport.is_closing()
