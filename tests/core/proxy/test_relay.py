"""An upstream's response and what the client gets of it."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any, cast

import pytest
from gateway_core.proxy.upstream.response_handler import MOST_INTERIM

from tests.core.proxy.kit import Peer, Proxied, fields, turns, until

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"
OLD_GET = b"GET / HTTP/1.0\r\nHost: x\r\n\r\n"


@pytest.mark.one_protocol(reason="framing")
@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_a_response_that_has_no_body_gets_none_and_poisons_nothing(proxied: Proxied, status: bytes) -> None:
    gateway, upstream = await proxied(b"HTTP/1.1 " + status + b"\r\nContent-Length: 4\r\n\r\nevil")
    client = await gateway.connect()

    for _ in range(3):
        await client.send(GET)
        head = await client.head()
        assert head.startswith(b"HTTP/1.1 " + status)

    assert fields(head, b"content-length") == ([] if status.startswith(b"204") else [b"4"])
    assert upstream.connections == 3


async def test_a_response_without_a_body_keeps_the_upstream_connection(proxied: Proxied) -> None:
    gateway, upstream = await proxied(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 400\r\nETag: a\r\n\r\n")
    client = await gateway.connect()

    for _ in range(3):
        await client.send(GET)
        assert fields(await client.head(), b"etag") == [b"a"]

    assert upstream.connections == 1


async def test_head_of_a_chunked_response_is_only_a_head(proxied: Proxied) -> None:
    gateway, upstream = await proxied(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: a\r\n\r\n")
    client = await gateway.connect()

    for _ in range(2):
        await client.send(HEAD)
        assert fields(await client.head(), b"etag") == [b"a"]

    assert upstream.connections == 1


@pytest.mark.one_protocol(reason="framing")
async def test_a_body_behind_the_response_to_head_goes_nowhere(proxied: Proxied) -> None:
    gateway, upstream = await proxied(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    client = await gateway.connect()

    for _ in range(2):
        await client.send(HEAD)
        assert (await client.head()).startswith(b"HTTP/1.1 200 OK\r\n")

    assert upstream.connections == 2


async def cut_off(peer: Peer) -> None:
    """Reset the connection in the middle of a body that ends with it."""
    await peer.head()
    await peer.send(b"HTTP/1.1 200 OK\r\n\r\nsome of it")
    await turns()
    peer.reset_hard()


async def test_a_reset_body_until_close_has_no_last_chunk(proxied: Proxied) -> None:
    gateway, _ = await proxied(cut_off)

    response = await gateway.send(GET)

    assert response.endswith(b"a\r\nsome of it\r\n")


@pytest.mark.one_protocol(reason="of HTTP/1.0")
async def test_a_reset_body_until_close_is_a_reset_for_http_1_0_too(proxied: Proxied) -> None:
    gateway, _ = await proxied(cut_off)
    client = await gateway.connect()

    await client.send(OLD_GET)

    with pytest.raises(ConnectionResetError):
        await client.rest()


@pytest.mark.one_protocol(reason="of HTTP/1.0")
async def test_a_truncated_chunked_body_is_a_reset_for_http_1_0(proxied: Proxied) -> None:
    async def truncate(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await turns()
        peer.close()

    gateway, _ = await proxied(truncate)
    client = await gateway.connect()

    await client.send(OLD_GET)

    with pytest.raises(ConnectionResetError):
        await client.rest()


@pytest.mark.one_protocol(reason="of HTTP/1.0")
async def test_a_body_until_close_ends_orderly_for_http_1_0(proxied: Proxied) -> None:
    async def response(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.0 200 OK\r\n\r\nall ")
        await turns()
        await peer.send(b"of it")
        peer.close()

    gateway, _ = await proxied(response)

    assert (await gateway.send(OLD_GET)).endswith(b"\r\n\r\nall of it")


BAD = {
    "a protocol nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "interim responses without end": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 3000,
    "one interim response too many": b"HTTP/1.1 103 Early Hints\r\n\r\n" * (MOST_INTERIM + 1)
    + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a head over the limit": b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70000 + b"\r\n\r\n",
    "a head without end": b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70000,
    "a line feed in a field": b"HTTP/1.1 200 OK\r\nA: b\nC: d\r\nContent-Length: 2\r\n\r\nok",
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "http 2": b"HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "a status below 100": b"HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 1\r\n\r\n",
    "length and coding": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
    "gzip, chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a bad chunk at once": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "nul in a value": b"HTTP/1.1 200 OK\r\nA: \0\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.http1_upstream
@pytest.mark.parametrize("response", BAD.values(), ids=list(BAD))
async def test_what_is_no_response_is_a_502_at_once(proxied: Proxied, response: bytes) -> None:
    gateway, _ = await proxied(response)
    client = await gateway.connect()

    for _ in range(2):
        await client.send(GET)
        head = await client.head()
        while head.startswith(b"HTTP/1.1 103 "):
            head = await client.head()
        assert head.startswith(b"HTTP/1.1 502 ")
        assert b"about:blank" in await client.exactly(int(fields(head, b"content-length")[0]))


@pytest.mark.one_protocol(reason="HTTP/2 has no reason phrases")
@pytest.mark.parametrize("line", [b"999 Odd", b"299 ", b"200", b"200 ", b"200 na\xefve"])
async def test_odd_status_lines_are_passed_on(proxied: Proxied, line: bytes) -> None:
    gateway, _ = await proxied(b"HTTP/1.1 " + line + b"\r\nContent-Length: 2\r\n\r\nok")
    client = await gateway.connect()

    await client.send(GET)
    status, head, body = await client.response()

    assert (status, body) == (int(line[:3]), b"ok")
    assert head.startswith(b"HTTP/1.1 " + line.rstrip())


async def test_compressed_bytes_stay_as_they_are(proxied: Proxied) -> None:
    packed = gzip.compress(b"hello " * 1000)
    gateway, _ = await proxied(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(packed), packed)
    )
    client = await gateway.connect()

    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
    _, head, body = await client.response()

    assert fields(head, b"content-encoding") == [b"gzip"]
    assert body == packed


async def test_many_cookies_are_all_kept_in_order(proxied: Proxied) -> None:
    cookies = [b"c%d=%d" % (n, n) for n in range(200)]
    block = b"".join(b"Set-Cookie: %b\r\n" % cookie for cookie in cookies)
    gateway, _ = await proxied(b"HTTP/1.1 200 OK\r\n" + block + b"Content-Length: 0\r\n\r\n")

    _, head, _ = await gateway.ask(GET)

    assert fields(head, b"set-cookie") == cookies


@pytest.mark.one_protocol(reason="of HTTP/1.0")
async def test_trailers_do_not_reach_http_1_0(proxied: Proxied) -> None:
    gateway, _ = await proxied(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 5\r\n\r\n"
    )

    response = await gateway.send(OLD_GET)

    assert response.endswith(b"\r\n\r\nhello")
    assert b"X-Sum" not in response


@pytest.mark.one_protocol(reason="of HTTP/1.0")
async def test_http_1_0_without_keep_alive_is_closed_and_with_it_goes_on(proxied: Proxied) -> None:
    gateway, _ = await proxied()
    client = await gateway.connect()

    for _ in range(2):
        await client.send(b"GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
        _, head, _ = await client.response()
        assert fields(head, b"connection") == [b"keep-alive"]
    await client.send(OLD_GET)

    assert (await client.rest()).endswith(b"ok")


@pytest.mark.one_protocol(reason="HTTP/2 has no Connection")
async def test_connection_fields_of_the_upstream_end_here(proxied: Proxied) -> None:
    gateway, upstream = await proxied(
        b"HTTP/1.1 200 OK\r\nConnection: X-Mine, close\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nX-Id: 2\r\n"
        b"Content-Length: 2\r\n\r\nok"
    )
    client = await gateway.connect()

    for _ in range(2):
        await client.send(GET)
        _, head, _ = await client.response()

    assert fields(head, b"x-id") == [b"2"]
    assert [fields(head, name) for name in (b"connection", b"x-mine", b"keep-alive")] == [[], [], []]
    assert upstream.connections == 2


async def test_events_reach_the_client_one_by_one(proxied: Proxied) -> None:
    seen = asyncio.Event()

    async def stream(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for n in range(5):
            await peer.send(b"9\r\ndata: %d\n\n\r\n" % n)
            await asyncio.wait_for(seen.wait(), 30)
            seen.clear()
        await peer.send(b"0\r\n\r\n")

    gateway, _ = await proxied(stream)
    client = await gateway.connect()

    await client.send(GET)
    await client.head()
    for n in range(5):
        assert await client.reader.readuntil(b"\n\n\r\n") == b"9\r\ndata: %d\n\n\r\n" % n
        seen.set()

    assert await client.exactly(5) == b"0\r\n\r\n"


LAST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.mark.one_protocol(reason="a window of HTTP/2 holds less than the buffers of two sockets")
@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_a_client_that_is_slow_at_the_end_leaves_no_deaf_connection_behind(
    proxied: Proxied, framing: str
) -> None:
    size, count = 100_000, 100
    if framing == "length":
        head, rest = b"Content-Length: %d\r\n\r\na" % size, bytes(size - 1)
    else:
        head, rest = b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (size, bytes(size))

    async def in_two_parts(peer: Peer) -> None:
        while True:
            await upstream.read_request(peer)
            await peer.send(b"HTTP/1.1 200 OK\r\n" + head)
            await turns()
            await peer.send(rest)

    gateway, upstream = await proxied(in_two_parts, upstream_extra="    timeouts: {response: 3s}")
    client = await gateway.connect()
    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * count + LAST)

    # Nobody reads: responses pile up until one of them has to wait at its end.
    await until(
        lambda: any(cast("Any", each)._transport.get_write_buffer_size() for each in gateway.proxy.connections.open)
    )
    responses = await client.rest()

    assert responses.count(b"HTTP/1.1 200 OK\r\n") == count + 1
    assert len(upstream.heads) == count + 1
