"""A path or a route that a plugin sets goes through the same policy as one that a client sends."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Record, Request

from tests.core.proxy.kit import field
from tests.security.kit import FORMS, TOKEN, attacked


class Moves(Plugin[Any]):
    """Does what the request's fields say, and keeps what logs are told."""

    name = "moves"
    errors: list[str | None] = []

    @hookimpl
    def gateway_request(self, request: Request) -> None:
        if early := request.headers.get("x-early"):
            request.raw_path = early

    @hookimpl
    def gateway_route_match(self, request: Request) -> str | None:
        return request.headers.get("x-route")

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        if late := request.headers.get("x-late"):
            request.raw_path = late
        if query := request.headers.get("x-query"):
            request.query_string = unquote(query)
        if method := request.headers.get("x-http-method-override"):
            request.method = method

    @hookimpl
    def gateway_log(self, request: Request, record: Record) -> None:
        self.errors.append(record.error)


MORE = "plugins: [{name: moves, on_error: continue}]\npath_policy: {encoded_slash: keep}"
STRICT = '  - {{id: strict, path: /strict, target: "{url}", path_policy: {{encoded_slash: reject}}}}\n'


async def test_what_a_plugin_sets_is_read_and_refused_like_what_a_client_sends(tmp_path: Path) -> None:
    async with attacked(FORMS["prefix"], tmp_path, more=MORE, plugins=(Moves,)) as gateway:
        asked = gateway.upstream.targets

        assert await gateway.ask(b"/public", "GET", "X-Early: //admin;v/x") == 401
        assert await gateway.ask(b"/public", "GET", "X-Early: //admin;v/x", TOKEN) == 200
        assert await gateway.ask(b"/public", "GET", "X-Late: //other//x") == 200
        assert asked == ["/admin;v/x", "/other//x"]
        for phase in ("X-Early", "X-Late"):
            for path in ("/public/../admin", "/a%00", "/a b", "/a?b", "relative", "/%5c"):
                assert await gateway.ask(b"/public", "GET", f"{phase}: {path}") == 400
        assert len(asked) == 2


async def test_a_method_or_query_that_a_plugin_sets_does_not_break_the_request_line(tmp_path: Path) -> None:
    async with attacked(FORMS["prefix"], tmp_path, more=MORE, plugins=(Moves,)) as gateway:
        for query in ("a b", "a%0d%0aX-User: root", "a#b", "%c3%a9", "a HTTP/1.1%0d%0a%0d%0aGET /admin/x"):
            assert await gateway.ask(b"/public?q", "GET", f"X-Query: {query}") == 400
        for method in ("GET /admin/x HTTP/1.1", "G@T", "\u00e9"):
            assert await gateway.ask(b"/public", "GET", f"X-HTTP-Method-Override: {method}") == 400
        assert gateway.upstream.targets == []

        assert (
            await gateway.ask(b"/public?q", "GET", "X-Query: a=%2520&b=//;", "X-HTTP-Method-Override: M-SEARCH") == 200
        )
        assert gateway.upstream.targets == ["/public?a=%20&b=//;"]


async def test_the_policy_of_the_route_that_a_plugin_chose_decides_and_logs_name_its_key(tmp_path: Path) -> None:
    Moves.errors.clear()
    async with attacked(FORMS["prefix"], tmp_path, more=MORE, plugins=(Moves,)) as gateway:
        url, file = gateway.upstream.url, tmp_path / "gateway.yaml"
        await gateway.gateway.reload(file.read_text() + STRICT.format(url=url))

        assert await gateway.ask(b"/a%2Fb") == 200
        assert await gateway.ask(b"/a%2Fb", "GET", "X-Route: strict") == 400
        assert await gateway.ask(b"/public", "GET", "X-Route: strict", "X-Late: /a%2fb") == 400

    assert gateway.upstream.targets == ["/a%2Fb"]
    assert Moves.errors == [None, *["path has %2F: path_policy.encoded_slash"] * 2]


@pytest.mark.parametrize(
    ("target", "location"),
    [
        (b"/old//evil.example/x", b"/evil.example/x"),
        (b"//old//evil.example", b"/evil.example"),
        (b"/old/;x//evil", b"/;x//evil"),
        (b"/old/a;v=1//b?q=//c", b"/a;v=1//b?q=//c"),
    ],
)
async def test_a_location_never_begins_with_two_slashes(tmp_path: Path, target: bytes, location: bytes) -> None:
    async with attacked(FORMS["prefix"], tmp_path) as gateway:
        redirect = '  - {id: old, path: "/old/*rest", redirect: {path: "/*rest"}}\n'
        await gateway.gateway.reload((tmp_path / "gateway.yaml").read_text() + redirect)

        status, head, _ = await gateway.gateway.ask(b"GET " + target + b" HTTP/1.1\r\nHost: h\r\n\r\n")

    assert (status, field(head, b"location")) == (308, location)


async def test_slashes_that_a_rewrite_brings_are_merged_where_the_policy_says_so(tmp_path: Path) -> None:
    async with attacked(FORMS["prefix"], tmp_path) as gateway:
        regex = 'path_regex: "/re/(?P<a>[^/]*)/(?P<b>.*)", priority: 2, rewrite: {template: "/v/:b/:a/x"}'
        route = f'  - {{id: re, {regex}, path_policy: {{duplicate_slash: merge}}, target: "{gateway.upstream.url}"}}\n'
        await gateway.gateway.reload((tmp_path / "gateway.yaml").read_text() + route)

        assert await gateway.ask(b"/re/a/") == 200

    assert gateway.upstream.targets == ["/v/a/x"]
