"""Which requests begin an exchange, which the gateway responds to itself, and what is left of the connection."""

from __future__ import annotations

import asyncio

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Record, Request, Response

from tests.core.proxy.kit import Peer, Proxied, field, until

pytestmark = pytest.mark.one_protocol(reason="connections of HTTP/1")

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LISTED = b"DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"


@pytest.mark.parametrize(
    "head",
    [b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", b"OPTIONS /any/path HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n"],
)
async def test_the_gateway_says_what_it_serves_itself(proxied: Proxied, head: bytes) -> None:
    gateway, upstream = await proxied()
    client = await gateway.connect()

    await client.send(head)
    status, sent, body = await client.response()
    await client.send(GET)

    assert (status, field(sent, b"allow"), body) == (200, LISTED, b"")
    assert (await client.response())[0] == 200, "the connection goes on"
    assert [each.split(b" ")[0] for each in upstream.heads] == [b"GET"]


async def test_an_options_with_forwards_left_goes_upstream_with_one_less(proxied: Proxied) -> None:
    gateway, upstream = await proxied()

    await gateway.ask(b"OPTIONS /a HTTP/1.1\r\nHost: x\r\nMax-Forwards: 3\r\n\r\n")
    await gateway.ask(b"GET /a HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n")

    assert [field(head, b"max-forwards") for head in upstream.heads] == [b"2", b"0"], (
        "only OPTIONS and TRACE count down"
    )


@pytest.mark.parametrize("framing", [b"Content-Length: 2\r\n\r\nhi", b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"])
async def test_a_body_that_comes_with_such_an_options_ends_the_connection(proxied: Proxied, framing: bytes) -> None:
    """It is not read, so where the next request begins is unknown."""
    gateway, upstream = await proxied()
    client = await gateway.connect()

    await client.send(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n" + framing + GET)
    received = await client.rest()

    assert received.startswith(b"HTTP/1.1 200 ")
    assert received.count(b"HTTP/1.1") == 1
    assert upstream.heads == []


@pytest.mark.parametrize("method", [b"PROPFIND", b"M-SEARCH", b"X", b"FOO-BAR_1.2", b"PRI"])
async def test_unknown_methods_go_upstream_as_they_are(proxied: Proxied, method: bytes) -> None:
    gateway, upstream = await proxied()

    status, _, body = await gateway.ask(
        method + b" /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
    )

    assert (status, body) == (200, b"ok")
    assert upstream.heads[0].startswith(method + b" /a?b HTTP/1.1\r\n")
    assert upstream.bodies == [b"hi"]


@pytest.mark.parametrize(
    ("behind", "status"),
    [
        (b"G(T / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
        (b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 505),
    ],
)
async def test_a_request_is_served_whatever_comes_behind_it(proxied: Proxied, behind: bytes, status: int) -> None:
    gateway, upstream = await proxied()
    client = await gateway.connect()

    await client.send(GET + behind)

    assert (await client.response())[0] == 200
    assert (await client.rest()).startswith(b"HTTP/1.1 %d " % status)
    assert len(upstream.heads) == 1


async def test_a_chunked_body_that_goes_wrong_later_is_400(proxied: Proxied) -> None:
    cut_off = asyncio.Event()
    begun = asyncio.Event()

    async def take(peer: Peer) -> None:
        await peer.reader.readuntil(b"3\r\nabc\r\n")
        begun.set()
        await peer.rest()
        cut_off.set()

    gateway, _ = await proxied(take)
    client = await gateway.connect()

    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    await asyncio.wait_for(begun.wait(), 30)
    await client.send(b"zz\r\n" + GET)
    received = await client.rest()

    assert received.startswith(b"HTTP/1.1 400 ")
    assert b"\r\nConnection: close\r\n" in received
    assert received.count(b"HTTP/1.1") == 1, "where the next request begins is unknown"
    await asyncio.wait_for(cut_off.wait(), 30)


async def test_the_last_request_that_a_connection_may_have_closes_it(proxied: Proxied) -> None:
    gateway, _ = await proxied(extra="limits: {max_requests_per_connection: 2}\n")
    client = await gateway.connect()

    await client.send(GET * 3)
    first = await client.response()
    received = await client.rest()

    assert b"\r\nConnection: close" not in first[1]
    assert received.count(b"HTTP/1.1 200 ") == 1
    assert b"\r\nConnection: close\r\n" in received


class Keeps(Plugin[None]):
    """Keeps what came, and what was logged."""

    name = "keeps"
    received: list[tuple[str, str, list[tuple[str, str]]]] = []
    logged: list[tuple[str, int, str | None]] = []

    @hookimpl
    def gateway_request(self, request: Request) -> None:
        head = request.received
        self.received.append((head.method, head.target, head.headers.items()))

    @hookimpl
    def gateway_log(self, request: Request, response: Response, record: Record) -> None:
        self.logged.append((request.method, response.status, record.reason))


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (
            b"GET http://site.example/a?b HTTP/1.1\r\nX-A: 1\r\nHost: other.test\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n",
            (
                "GET",
                "http://site.example/a?b",
                [("X-A", "1"), ("Host", "other.test"), ("X-Forwarded-For", "1.2.3.4")],
            ),
        ),
        (
            b"OPTIONS /a HTTP/1.1\r\nMax-Forwards: 3\r\nHost: x\r\n\r\n",
            ("OPTIONS", "/a", [("Max-Forwards", "3"), ("Host", "x")]),
        ),
        (
            b"OPTIONS http://site.example HTTP/1.1\r\nMax-Forwards: 3\r\nHost: x\r\n\r\n",
            ("OPTIONS", "http://site.example", [("Max-Forwards", "3"), ("Host", "x")]),
        ),
        (
            b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: X-B\r\nX-B: 2\r\nX-Forwarded-Proto: https\r\n\r\n",
            ("GET", "/a", [("Host", "x"), ("Connection", "X-B"), ("X-B", "2"), ("X-Forwarded-Proto", "https")]),
        ),
    ],
)
async def test_hooks_see_the_head_as_it_came(
    proxied: Proxied, head: bytes, expected: tuple[str, str, list[tuple[str, str]]]
) -> None:
    Keeps.received.clear()
    gateway, _ = await proxied(extra="plugins: [{name: keeps}]\n", plugins=[Keeps])
    client = await gateway.connect()

    for _ in range(3):
        await client.send(head)
        await client.response()

    assert Keeps.received == [expected] * 3


async def test_a_head_in_origin_form_is_not_taken_for_one_in_absolute_form_with_the_same_fields(
    proxied: Proxied,
) -> None:
    Keeps.received.clear()
    gateway, upstream = await proxied(extra="plugins: [{name: keeps}]\n", plugins=[Keeps])
    client = await gateway.connect()

    await client.send(b"GET http://a.example/1 HTTP/1.1\r\nHost: a.example\r\n\r\n")
    await client.response()
    await client.send(b"GET /2 HTTP/1.1\r\nHost: a.example\r\n\r\n")
    await client.response()

    assert [target for _, target, _ in Keeps.received] == ["http://a.example/1", "/2"]
    assert [head.split(b" ")[1] for head in upstream.heads] == [b"/1", b"/2"]


async def test_refused_heads_are_logged_by_hooks_of_the_log_phase(proxied: Proxied) -> None:
    Keeps.logged.clear()
    gateway, _ = await proxied(extra="plugins: [{name: keeps}]\n", plugins=[Keeps])

    await gateway.ask(b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n")
    await gateway.ask(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")

    await until(lambda: len(Keeps.logged) == 2)
    assert Keeps.logged == [("TRACE", 405, "method-not-allowed"), ("OPTIONS", 200, None)]
