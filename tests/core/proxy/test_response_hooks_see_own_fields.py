"""Date, Via and X-Request-Id are there when response hooks run, and what hooks leave of them counts."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response

from tests.core.proxy.kit import Proxied, field, fields

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
BIND = "plugins: [{name: p}]"
seen: list[tuple[str | None, str | None]] = []


class Seeing(Plugin[Any]):
    name = "p"
    responses = "all"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | None:
        return Response(429) if request.path == "/own" else None

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        seen.append((response.headers.get("Date"), response.headers.get("X-Request-Id")))
        if request.query_string == "changed":
            response.headers["X-Request-Id"] = "mine"
        elif request.query_string == "removed":
            del response.headers["X-Request-Id"]


@pytest.mark.parametrize(("path", "status"), [(b"/", 200), (b"/own", 429)])
async def test_hooks_see_what_goes_out(proxied: Proxied, path: bytes, status: int) -> None:
    seen.clear()
    gateway, _ = await proxied(OK, BIND, "", [Seeing])

    got, head, _ = await gateway.ask(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")

    assert got == status
    date, request_id = seen[0]
    assert request_id is not None
    assert field(head, b"x-request-id") == request_id.encode()
    assert date is not None
    assert head.lower().count(b"\r\ndate:") == head.lower().count(b"\r\nx-request-id:") == 1


@pytest.mark.parametrize("path", [b"/?changed", b"/own?changed"])
async def test_an_id_that_a_hook_sets_goes_out_instead(proxied: Proxied, path: bytes) -> None:
    gateway, upstream = await proxied(OK, BIND, "", [Seeing])

    _, head, _ = await gateway.ask(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")

    assert field(head, b"x-request-id") == b"mine"
    assert head.lower().count(b"\r\nx-request-id:") == 1
    assert all(field(each, b"x-request-id") != b"mine" for each in upstream.heads)


async def test_an_id_that_a_hook_removes_is_there_all_the_same(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK, BIND, "", [Seeing])

    _, head, _ = await gateway.ask(b"GET /?removed HTTP/1.1\r\nHost: x\r\n\r\n")

    assert head.lower().count(b"\r\nx-request-id:") == 1


class Copying(Plugin[Any]):
    name = "p"

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> Response:
        return response.copy_head()


async def test_a_copy_of_the_response_has_them_once(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK, BIND, "", [Copying])

    _, head, body = await gateway.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

    assert body == b"hello"
    for name in (b"date", b"via", b"x-request-id"):
        assert head.lower().count(b"\r\n%b:" % name) == 1


class Vias(Plugin[Any]):
    """Forwards, reads, changes or looks: whatever way a response takes, it has our entry of Via."""

    name = "v"
    seen: ClassVar[list[list[str]]] = []

    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> None:
        if request.path == "/forward":
            self.seen.append((await request.forward()).headers.get_all("Via"))

    @hookimpl
    async def gateway_response(self, request: Request, response: Response) -> None:
        self.seen.append(response.headers.get_all("Via"))
        if request.path == "/read":
            await response.read()
        elif request.path == "/set":
            response.set_body(b"other")
        elif request.path == "/status":
            response.status = 203
        elif request.path == "/remove":
            del response.headers["Via"]


@pytest.mark.parametrize("via", ["true", "false", "edge-1"])
@pytest.mark.parametrize("path", ["/", "/forward", "/read", "/set", "/status", "/remove"])
@pytest.mark.parametrize("is_seen", [False, True])
async def test_a_response_that_is_passed_on_has_our_entry_of_via(
    proxied: Proxied, via: str, path: str, is_seen: bool
) -> None:
    Vias.seen.clear()
    came = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nVia: 1.0 inner\r\n\r\nhello"
    gateway, _ = await proxied(came, f"via: {via}\n" + ("plugins: [{name: v}]" if is_seen else ""), "", [Vias])

    heads = [(await gateway.ask(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode()))[1] for _ in range(2)]

    entry = {"true": ["1.1 gateway"], "false": [], "edge-1": ["1.1 edge-1"]}[via]
    expected = ["1.0 inner", *entry]
    assert all(each == expected for each in Vias.seen)
    assert len(Vias.seen) == (0 if not is_seen else 4 if path == "/forward" else 2)
    if path == "/remove" and is_seen:
        expected = []
    assert [[value.decode() for value in fields(head, b"via")] for head in heads] == [expected, expected]


async def test_a_response_of_the_gateway_was_not_passed_on_and_has_no_via(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK, "plugins: [{name: p}]", "", [Seeing])

    _, head, _ = await gateway.ask(b"GET /own HTTP/1.1\r\nHost: x\r\n\r\n")

    assert fields(head, b"via") == []
