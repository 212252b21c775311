"""What goes upstream: fields that tell where a request comes from, host, path."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request

from tests.core.proxy.kit import Proxied, StartProxy, StartUpstream, field, fields

TRUST = "trusted_proxies: [127.0.0.0/8]"
GIVEN = (
    b"GET / HTTP/1.1\r\nHost: gw.example\r\nX-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n"
    b"X-Forwarded-Host: www.example\r\nX-Forwarded-Port: 443\r\nForwarded: for=203.0.113.7;proto=https\r\n"
    b"X-Request-Id: given-id\r\nVia: 1.1 edge\r\n\r\n"
)


async def test_what_strangers_say_of_themselves_is_replaced(proxied: Proxied) -> None:
    gateway, upstream = await proxied()

    _, head, _ = await gateway.ask(GIVEN)

    sent = upstream.heads[0]
    assert fields(sent, b"x-forwarded-for") == [b"127.0.0.1"]
    assert fields(sent, b"x-forwarded-proto") == [b"http"]
    assert fields(sent, b"x-forwarded-host") == [b"gw.example"]
    assert fields(sent, b"x-forwarded-port") == [b"%d" % gateway.port]
    assert fields(sent, b"forwarded") == [b'for=127.0.0.1;proto=http;host="gw.example"']
    assert fields(sent, b"x-request-id") != [b"given-id"]
    assert fields(sent, b"x-request-id") == fields(head, b"x-request-id")


async def test_what_trusted_proxies_say_goes_on(proxied: Proxied) -> None:
    gateway, upstream = await proxied(extra=TRUST)

    _, head, _ = await gateway.ask(GIVEN)

    sent = upstream.heads[0]
    assert fields(sent, b"x-forwarded-for") == [b"203.0.113.7, 127.0.0.1"]
    assert fields(sent, b"x-forwarded-proto") == [b"https"]
    assert fields(sent, b"x-forwarded-host") == [b"www.example"]
    assert fields(sent, b"x-forwarded-port") == [b"443"]
    assert (field(sent, b"forwarded") or b"").startswith(b"for=203.0.113.7;proto=https, for=127.0.0.1;")
    assert fields(sent, b"x-request-id") == [b"given-id"]
    assert fields(head, b"x-request-id") == [b"given-id"]


@pytest.mark.parametrize("value", [b"a b", b"<script>", b"a" * 200, b""])
async def test_a_request_id_that_is_none_is_replaced_even_from_trusted_proxies(proxied: Proxied, value: bytes) -> None:
    gateway, upstream = await proxied(extra=TRUST)

    await gateway.ask(b"GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: " + value + b"\r\n\r\n")

    assert fields(upstream.heads[0], b"x-request-id") != [value]
    assert len(field(upstream.heads[0], b"x-request-id") or b"") == 32


@pytest.mark.one_protocol(reason="names the version in Via")
async def test_via_names_everybody_on_the_way(proxied: Proxied) -> None:
    gateway, upstream = await proxied()

    await gateway.ask(GIVEN)

    assert fields(upstream.heads[0], b"via") == [b"1.1 edge, 1.1 gateway"]


@pytest.mark.parametrize("via", ["true", "false", "edge-1"])
async def test_a_request_in_a_loop_gets_508(start_proxy: StartProxy, via: str) -> None:
    routes = 'routes: [{id: r, path_prefix: /, target: "http://127.0.0.1:%d"}]'
    first = await start_proxy(routes % 9)
    await first.reload(f"via: {via}\n" + routes % first.port)

    status, _, _ = await first.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

    assert status == 508


@pytest.mark.parametrize(("preserve", "host"), [("true", b"gw.example"), ("false", None)])
async def test_the_host_field_is_the_endpoints_unless_it_is_preserved(
    start_proxy: StartProxy, start_upstream: StartUpstream, preserve: str, host: bytes | None
) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy(
        f'routes: [{{id: r, path_prefix: /, target: "{upstream.url}", preserve_host: {preserve}}}]'
    )

    await gateway.ask(GIVEN)

    assert fields(upstream.heads[0], b"host") == [host or b"127.0.0.1:%d" % upstream.port]


async def test_paths_are_stripped_and_rewritten_on_the_wire(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy(f"""
routes:
  - {{id: prefix, path_prefix: /api, target: "{upstream.url}", strip_path: true, path_policy: {{encoded_slash: keep}}}}
  - {{id: param, path: "/users/:id", target: "{upstream.url}", strip_path: true}}
  - {{id: redirect, path: /old, redirect: {{scheme: https, host: example.com, path: /new}}}}
""")
    for target in (b"/api/a%2Fb?x=%zz", b"/api", b"/users/7?"):
        assert (await gateway.ask(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 200

    lines = [head.split(b"\r\n")[0].split(b" ")[1] for head in upstream.heads]
    assert lines == [b"/a%2Fb?x=%zz", b"/", b"/7?"]
    status, head, _ = await gateway.ask(b"GET /old HTTP/1.1\r\nHost: x\r\n\r\n")
    assert 300 <= status < 400
    assert fields(head, b"location") == [b"https://example.com/new"]


class TellsWho(Plugin[Any]):
    name = "who"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        request.headers["x-user"] = "alice"
        request.headers["x-saw"] = request.headers.get("x-secret") or "nothing"


@pytest.mark.parametrize("sent", [b"", b"X-User: mallory\r\n", b"X-User: alice\r\n"])
async def test_a_client_cannot_list_away_what_a_plugin_wrote(proxied: Proxied, sent: bytes) -> None:
    gateway, upstream = await proxied(extra="plugins: [{name: who}]", plugins=[TellsWho])
    listed = b"Connection: X-User, X-Saw, X-Secret, X-Forwarded-For, Host\r\nX-Secret: 1\r\n"

    await gateway.ask(b"GET / HTTP/1.1\r\nHost: x\r\n" + listed + sent + b"\r\n")

    head = upstream.heads[0]
    assert fields(head, b"x-user") == [b"alice"]
    assert fields(head, b"x-saw") == [b"nothing"]
    assert fields(head, b"x-secret") == []
    assert fields(head, b"x-forwarded-for") == [b"127.0.0.1"]
