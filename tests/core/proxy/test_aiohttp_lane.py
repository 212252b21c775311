"""Requests of one connection in the aiohttp lane have nothing to do with each other."""

from __future__ import annotations

import asyncio

import pytest

from tests.core.proxy.kit import Peer, Proxied, field

CHUNKED = b"POST /1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
GET = b"GET /2 HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "trailer", [b"X-Trailer: 1\r\n", b"Authorization: Basic eA==\r\nHost: evil\r\n", b"X-One: 1\r\nX-Two: 2\r\n"]
)
async def test_trailers_of_one_request_do_not_get_into_the_next(proxied: Proxied, trailer: bytes) -> None:
    gateway, upstream = await proxied()
    client = await gateway.connect()

    await client.send(CHUNKED + b"2\r\nhi\r\n0\r\n" + trailer + b"\r\n" + GET)

    assert (await client.answer())[0] == 200
    assert (await client.answer())[0] == 200
    for line in trailer.split(b"\r\n")[:-1]:
        assert line.lower() not in upstream.heads[1].lower()
    assert field(upstream.heads[1], b"x-forwarded-host") == b"x"


@pytest.mark.parametrize("first", [CHUNKED + b"0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nExpect: x\r\n\r\n", GET])
@pytest.mark.parametrize("behind", [b"\0", b"GET / HTTP/1.1\r\nBad Name: x\r\n\r\n", b"GET / HTTP/1.1\nHost: x\n\n"])
async def test_a_request_is_answered_whatever_comes_behind_it(proxied: Proxied, first: bytes, behind: bytes) -> None:
    gateway, upstream = await proxied()

    answers = await gateway.send(first + behind)

    assert answers.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answers.count(b"HTTP/1.1 400 Bad Request\r\n") == 1
    assert len(upstream.heads) == 1


@pytest.mark.parametrize(
    "last", [b"POST / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"]
)
async def test_what_comes_behind_a_last_request_is_not_read(proxied: Proxied, last: bytes) -> None:
    gateway, upstream = await proxied()

    answers = await gateway.send(last + b"anything\r\n\r\n")

    assert answers.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answers.count(b"HTTP/1.1 ") == 1
    assert len(upstream.heads) == 1


@pytest.mark.parametrize("bad", [b"x\r\n", b"0\r\nA b\r\n\r\n", b"0\r\n\n"])
async def test_a_body_that_goes_wrong_later_is_a_400_at_once(proxied: Proxied, bad: bytes) -> None:
    async def waits(peer: Peer) -> None:
        await peer.head()
        began.set()
        await peer.rest()

    began = asyncio.Event()
    gateway, _ = await proxied(waits)
    client = await gateway.connect()
    await client.send(CHUNKED + b"2\r\nhi\r\n")
    await began.wait()

    await client.send(bad)

    assert (await client.rest()).startswith(b"HTTP/1.1 400 Bad Request\r\n")


async def test_many_requests_behind_each_other_do_not_pile_up(proxied: Proxied) -> None:
    gateway, upstream = await proxied()
    client = await gateway.connect()
    count = 400

    client.writer.write((CHUNKED + b"3e8\r\n" + b"a" * 1000 + b"\r\n0\r\n\r\n") * count)
    for _ in range(count):
        assert (await client.answer())[0] == 200

    assert len(upstream.heads) == count
