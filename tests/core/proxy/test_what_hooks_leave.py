"""Whatever hooks leave behind in requests and responses, both sides get messages that have one reading."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import BodyFilter, Headers, Request, Response

from tests.core.proxy.kit import Peer, Proxied, counts, field, fields, turns, until

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
BIND = "plugins: [{name: p}]"


class Base(Plugin[Any]):
    name = "p"


class Lengthens(Base):
    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        response.headers["Cache-Control"] = "max-age=60"


async def test_a_value_made_longer_does_not_become_part_of_the_length(proxied: Proxied) -> None:
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCache-Control: max-age=6\r\n\r\nhello"
    gateway, _ = await proxied(response, extra=BIND, plugins=[Lengthens])
    client = await gateway.connect()

    for _ in range(2):
        await client.send(GET)
        _, head, body = await asyncio.wait_for(client.response(), 30)
        assert fields(head, b"content-length") == [b"5"]
        assert fields(head, b"cache-control") == [b"max-age=60"]
        assert body == b"hello"


class SetsHost(Base):
    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        request.headers["Host"] = "xy"


async def test_a_host_made_longer_does_not_become_part_of_another_field(proxied: Proxied) -> None:
    gateway, upstream = await proxied(extra=BIND, plugins=[SetsHost])

    assert (await gateway.ask(b"GET / HTTP/1.1\r\nX-A: 1\r\nHost: x\r\n\r\n"))[0] == 200

    assert (fields(upstream.heads[0], b"host"), fields(upstream.heads[0], b"x-a")) == ([b"xy"], [b"1"])


class AsksHead(Base):
    @hookimpl
    def gateway_request(self, request: Request) -> None:
        if request.path == "/a":
            request.method = "HEAD"


async def test_a_get_that_goes_on_as_head_gets_its_response_without_a_body_and_goes_on(proxied: Proxied) -> None:
    gateway, upstream = await proxied(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", extra=BIND, plugins=[AsksHead])
    client = await gateway.connect()

    for _ in range(3):
        await client.send(GET)
        status, head, body = await asyncio.wait_for(client.response(), 30)
        assert (status, field(head, b"content-length"), body) == (200, b"0", b"")
    assert upstream.connections == 1
    assert upstream.heads[0].startswith(b"HEAD /a ")


@pytest.mark.parametrize("method", ["CONNECT", "connect", "GET /x", "", "G\u00cbT"])
@pytest.mark.parametrize("forwards", [False, True])
async def test_no_method_that_a_plugin_sets_opens_a_tunnel_or_breaks_the_request_line(
    proxied: Proxied, method: str, forwards: bool
) -> None:
    class Sets(Base):
        @hookimpl
        async def gateway_pre_proxy(self, request: Request) -> None:
            request.method = method
            if forwards:
                await request.forward()

    gateway, upstream = await proxied(extra=BIND, plugins=[Sets])

    assert (await gateway.ask(GET))[0] == 400
    assert upstream.heads == []


class AsksGet(Base):
    @hookimpl
    def gateway_request(self, request: Request) -> None:
        request.method = "GET"


async def test_a_head_that_goes_on_as_get_gets_its_response_without_a_body(proxied: Proxied) -> None:
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    gateway, upstream = await proxied(response, extra=BIND, plugins=[AsksGet])
    client = await gateway.connect()

    await client.send(GET.replace(b"GET", b"HEAD") + GET)

    assert field(await client.head(), b"content-length") == b"5"
    assert (await asyncio.wait_for(client.response(), 30))[2] == b"hello"
    assert upstream.connections == 1


class Fails(BodyFilter):
    """A body transform that fails where it is told to."""

    def __init__(self, where: str) -> None:
        self._where = where

    def feed(self, data: bytes) -> bytes:
        if self._where == "feed":
            raise ValueError("boom")
        return data

    def finish(self, trailers: Headers) -> bytes:
        if self._where == "finish":
            raise ValueError("boom")
        return b""


class TransformFails(Base):
    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        if request.path != "/fine":
            response.add_body_filter(lambda: Fails(request.path[1:]))


RESPONSES: dict[str, list[bytes]] = {
    "whole": [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nokok"],
    "in two": [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok", b"ok"],
    "one chunk": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"],
    "two chunks": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", b"2\r\nok\r\n0\r\n\r\n"],
    "trailer": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n"],
}


@pytest.mark.parametrize("where", ["feed", "finish"])
@pytest.mark.parametrize("response", RESPONSES)
async def test_a_transform_that_fails_is_a_500_or_a_visible_break_at_once(
    proxied: Proxied, where: str, response: str
) -> None:
    async def upstream(peer: Peer) -> None:
        while True:
            await peer.head()
            for piece in RESPONSES[response]:
                await peer.send(piece)
                await turns()

    gateway, _ = await proxied(upstream, extra=BIND, plugins=[TransformFails])
    client = await gateway.connect()

    await client.send(b"GET /%b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % where.encode())
    try:
        got = await asyncio.wait_for(client.rest(), 30)
    except ConnectionResetError:
        got = b""

    assert got.startswith(b"HTTP/1.1 500 ") or not got.endswith(b"0\r\n\r\n")
    assert counts(gateway) == {}
    fine = await gateway.connect()
    await fine.send(b"GET /fine HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await asyncio.wait_for(fine.head(), 30)).startswith(b"HTTP/1.1 200 ")


class LeavesAnything(Base):
    @hookimpl
    def gateway_request(self, request: Request) -> None:
        untyped: Any = request
        if request.path == "/path":
            untyped.raw_path = None
        elif request.path == "/request-headers":
            untyped.headers = {"a": "b"}

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | None:
        return Response(200, b"own") if request.query_string == "own" else None

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        untyped: Any = response
        match request.path:
            case "/reason":
                untyped.reason = "\u20ac"
            case "/status":
                untyped.status = "200"
            case "/headers":
                untyped.headers = {"a": "b"}


@pytest.mark.one_protocol(reason="HTTP/2 has no reason phrases")
@pytest.mark.parametrize("left", ["path", "request-headers", "reason", "status", "headers"])
@pytest.mark.parametrize("query", ["", "?own"])
async def test_what_cannot_be_sent_is_a_500_and_leaves_no_trace(proxied: Proxied, left: str, query: str) -> None:
    gateway, _ = await proxied(extra=BIND, plugins=[LeavesAnything])

    for head in (f"GET /{left}{query} HTTP/1.1", "GET /fine HTTP/1.1", f"GET /{left}{query} HTTP/1.1"):
        status, _, _ = await asyncio.wait_for(gateway.ask(f"{head}\r\nHost: x\r\n\r\n".encode()), 30)
        is_own_response = status == 200 and query and left == "request-headers"
        assert is_own_response or status == (200 if "fine" in head else 500)

    assert counts(gateway) == {}


@pytest.mark.one_protocol(reason="pipelined")
async def test_a_request_behind_another_that_fails_within_the_gateway_gets_its_response(proxied: Proxied) -> None:
    gateway, _ = await proxied(extra=BIND, plugins=[LeavesAnything])

    got = await asyncio.wait_for(gateway.send(GET + GET.replace(b"/a", b"/request-headers")), 30)

    assert got.startswith(b"HTTP/1.1 200 ")
    assert got.count(b"HTTP/1.1 500 ") == 1
    assert counts(gateway) == {}


@pytest.mark.parametrize("response", ["whole", "trailer"])
async def test_the_time_that_a_response_hook_takes_is_not_the_upstreams(proxied: Proxied, response: str) -> None:
    async def upstream(peer: Peer) -> None:
        while True:
            await peer.head()
            await peer.send(b"".join(RESPONSES[response]))

    class TakesItsTime(Base):
        @hookimpl
        async def gateway_response(self, request: Request, response: Response) -> None:
            await gateway.pass_time(10)

    gateway, up = await proxied(
        upstream, extra=BIND, plugins=[TakesItsTime], upstream_extra="    timeouts: {response: 5s, idle: 5s}"
    )

    for _ in range(2):
        client = await gateway.connect()
        await client.send(GET)
        assert (await asyncio.wait_for(client.head(), 30)).startswith(b"HTTP/1.1 200 ")
        await until(lambda: not counts(gateway))
    assert up.connections == 1, "the connection that a hook held up cannot be used again"


async def test_a_response_hook_has_no_more_than_the_whole_time(proxied: Proxied) -> None:
    class TakesItsTime(Base):
        @hookimpl
        async def gateway_response(self, request: Request, response: Response) -> None:
            await gateway.pass_time(10)

    gateway, _ = await proxied(extra=BIND, plugins=[TakesItsTime], upstream_extra="    timeouts: {total: 5s}")

    assert (await asyncio.wait_for(gateway.ask(GET), 30))[0] == 504
    assert counts(gateway) == {}


class LeavesHead(Base):
    """Leaves this status and reason, in an upstream's response and in one that it made."""

    left: tuple[Any, Any] = (200, "OK")

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | None:
        return Response(200, b"own") if request.path == "/own" else None

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        response.status, response.reason = self.left


NO_HEADS = {
    "reason that ends the line": (200, "OK\r\nSet-Cookie: a=b"),
    "reason with a bare line feed": (200, "OK\nSet-Cookie: a=b"),
    "reason that folds to a line break": (200, "OK\u010d\u010aSet-Cookie: a=b"),
    "reason that is no text": (200, None),
    "interim status": (100, "Continue"),
    "status of a switch": (101, "Switching Protocols"),
    "last interim status": (199, ""),
    "status 0": (0, ""),
    "negative status": (-200, ""),
    "status of four digits": (1000, ""),
    "status that is a text": ("200\r\nSet-Cookie: a=b", "OK"),
    "status that is no whole number": (204.5, "OK"),
    "no status": (None, "OK"),
}


@pytest.mark.one_protocol(reason="HTTP/2 has no reason phrases")
@pytest.mark.parametrize("left", NO_HEADS.values(), ids=list(NO_HEADS))
@pytest.mark.parametrize("target", [b"/a", b"/own"])
async def test_a_status_or_reason_that_clients_would_read_otherwise_is_500(
    proxied: Proxied, monkeypatch: pytest.MonkeyPatch, left: tuple[Any, Any], target: bytes
) -> None:
    monkeypatch.setattr(LeavesHead, "left", left)
    gateway, _ = await proxied(extra=BIND, plugins=[LeavesHead])

    data = await gateway.send(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert data.startswith(b"HTTP/1.1 500 "), data[:100]
    assert data.count(b"HTTP/1.1 ") == 1
    assert b"Set-Cookie" not in data
    assert counts(gateway) == {}


@pytest.mark.one_protocol(reason="HTTP/2 has no Upgrade")
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (b"Connection: Upgrade\r\nUpgrade: WebSocket\r\n", "websocket"),
        (b"Connection: upgrade, keep-alive\r\nupgrade: tcp\r\n", "tcp"),
        (b"Upgrade: websocket\r\n", None),
        (b"", None),
    ],
)
async def test_hooks_see_which_protocol_is_asked_for(proxied: Proxied, fields: bytes, expected: str | None) -> None:
    seen: list[str | None] = []

    class Sees(Plugin[Any]):
        name = "p"

        @hookimpl
        def gateway_request(self, request: Request) -> None:
            seen.append(request.upgrade)

        @hookimpl
        def gateway_log(self, request: Request) -> None:
            seen.append(request.upgrade)

    gateway, _ = await proxied(extra="plugins: [{name: p}]", plugins=[Sees])

    assert (await gateway.ask(b"GET / HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n"))[0] == 200

    await until(lambda: len(seen) == 2)
    assert seen == [expected, expected]
