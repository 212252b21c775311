"""What clients see of upstreams that do not speak HTTP/1 to the letter, and of kept connections that went stale."""

from __future__ import annotations

import asyncio

import pytest

from tests.core.proxy.kit import Peer, Proxied, field

pytestmark = pytest.mark.one_protocol(reason="connections of HTTP/1")

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
TOLERANT = "\n    http1: {tolerant: true}"

REPAIRED = {
    "white space before a colon": b"HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length : 2\r\n\r\nok",
    "folded line": b"HTTP/1.1 200 OK\r\nX-A:\r\n b\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
    "two equal lengths": b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "chunks in 1.0": b"HTTP/1.0 200 OK\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "space behind a chunk size": CHUNKED + b"X-A: b\r\n\r\n2 \r\nok\r\n0\r\n\r\n",
    "only line feeds": b"HTTP/1.1 200 OK\nX-A: b\nContent-Length: 2\n\nok",
}
OTHERS_TAKE = {
    "length and coding": CHUNKED + b"X-A: b\r\nContent-Length: 9\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "two spaces": b"HTTP/1.1  200 OK\r\nX-A: b\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
    "a control byte": b"HTTP/1.1 200 OK\r\nX-A: b\x01\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
    "one line feed": b"HTTP/1.1 200 OK\r\nX-A: b\nContent-Length: 2\r\n\r\nok",
    "a line feed behind a chunk size": CHUNKED + b"X-A: b\r\n\r\n2\nok\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("response", REPAIRED.values(), ids=list(REPAIRED))
async def test_a_repaired_response_goes_on_as_it_should_have_been(proxied: Proxied, response: bytes) -> None:
    gateway, upstream = await proxied(response)

    for number in (1, 2):
        status, head, body = await gateway.ask(GET)
        assert (status, field(head, b"x-a"), field(head, b"content-length"), body) == (200, b"b", b"2", b"ok")
        assert head.startswith(b"HTTP/1.1 200 OK\r\nX-A: b\r\n")
        assert upstream.connections == number


@pytest.mark.parametrize("response", OTHERS_TAKE.values(), ids=list(OTHERS_TAKE))
async def test_what_has_no_single_reading_is_a_502_unless_the_upstream_may_do_so(
    proxied: Proxied, response: bytes
) -> None:
    strict, _ = await proxied(response)
    tolerant, upstream = await proxied(response, upstream_extra=TOLERANT)

    assert (await strict.ask(GET))[0] == 502
    for number in (1, 2):
        status, head, body = await tolerant.ask(GET)
        assert (status, field(head, b"x-a"), body) == (200, b"b", b"ok")
        assert head.startswith(b"HTTP/1.1 200 OK\r\nX-A: b")
        assert upstream.connections == number


@pytest.mark.parametrize("garbage", [b"\r\n", b"x", b"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"])
@pytest.mark.parametrize("when", ["at once", "with the next request"])
async def test_bytes_behind_a_response_never_reach_the_next_client(proxied: Proxied, garbage: bytes, when: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(OK + garbage if when == "at once" else OK)
        await peer.head()
        await peer.send(garbage)
        await peer.rest()

    gateway, upstream = await proxied(script)

    for _ in range(3):
        status, _, body = await gateway.ask(GET)
        assert (status, body) == (200, b"ok")
    assert upstream.connections == 3


async def test_the_trailer_field_goes_on_where_trailers_do(proxied: Proxied) -> None:
    released = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(CHUNKED + b"Trailer: X-Sum, Content-Length\r\n\r\n2\r\nok\r\n")
        await released.wait()
        await peer.send(b"0\r\nX-Sum : 1\r\nContent-Length: 9\r\n\r\n")
        await peer.rest()

    gateway, _ = await proxied(script)
    client = await gateway.connect()
    await client.send(GET)
    head = await client.head()
    released.set()

    assert field(head, b"trailer") == b"X-Sum"
    assert (await client.reader.readuntil(b"\r\n\r\n")).endswith(b"ok\r\n0\r\nX-Sum: 1\r\n\r\n")
