"""Preflights of browsers, redirects to HTTPS, targets that a request names, and methods that no route takes."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response, RouteInfo

from tests.core.proxy.kit import StartProxy, StartUpstream
from tests.core.proxy.route_kit import VERSIONS, request


def preflight(method: str) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("Origin", "https://app.example"), ("Access-Control-Request-Method", method)


class Cors(Plugin[Any]):
    name = "cors"

    @hookimpl
    def gateway_route_match(self, request: Request, route: RouteInfo | None) -> Response | None:
        is_preflight = request.method == "OPTIONS" and route is not None
        return Response(204, headers={"X-Route": route.id}) if is_preflight and route else None


class Guard(Plugin[Any]):
    name = "guard"

    @hookimpl
    def gateway_route_match(self, request: Request) -> Response | None:
        return Response(401, headers={"X-Guard": self.context.binding})


class Passing(Plugin[Any]):
    name = "passing"

    @hookimpl
    def gateway_route_match(self, request: Request) -> None: ...


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_binding_of_the_route_that_is_asked_for_responds_to_a_preflight(
    start_proxy: StartProxy, version: str
) -> None:
    gateway = await start_proxy(
        """
routes:
  - {id: read, path: /a, methods: [GET], respond: {}}
  - {id: write, path: /a, methods: [PUT], headers: {x-key: {present: true}}, cookies: {session: {present: true}},
     query: {q: "1"}, plugins: [{name: cors}], respond: {}}
""",
        [Cors],
    )

    responded = await request(gateway, version, "x/a", *preflight("PUT"), method="OPTIONS")
    refused = await request(gateway, version, "x/a", *preflight("GET"), method="OPTIONS")
    plain = await request(gateway, version, "x/a", method="OPTIONS")

    assert (responded.status, responded.headers["x-route"]) == (204, "write")
    assert (refused.status, refused.headers["allow"]) == (405, "GET")
    assert plain.status == 405


@pytest.mark.parametrize("binding", ["", ", plugins: [{name: passing}]"])
async def test_a_preflight_that_nothing_responds_to_goes_where_options_is_admitted(
    start_proxy: StartProxy, binding: str
) -> None:
    gateway = await start_proxy(
        f"""
routes:
  - {{id: any, path: /any{binding}, respond: {{body: any}}}}
  - {{id: read, path: /a, methods: [GET]{binding}, respond: {{body: read}}}}
  - {{id: options, path_prefix: /a, methods: [OPTIONS], respond: {{body: options}}}}
  - {{id: alone, path: /b, methods: [GET]{binding}, respond: {{body: alone}}}}
  - {{id: rest, path_prefix: /, respond: {{body: rest}}}}
""",
        [Passing],
    )

    async def body(path: str, asked: str = "GET") -> bytes | int:
        reply = await request(gateway, "1.1", f"x{path}", *preflight(asked), method="OPTIONS")
        return reply.body if reply.status == 200 else reply.status

    assert await body("/any") == b"any"
    assert await body("/a") == b"options"
    assert await body("/b") == 405
    assert await body("/c") == b"rest"


async def test_a_route_that_takes_a_preflight_in_place_of_another_has_its_own_bindings_run(
    start_proxy: StartProxy,
) -> None:
    gateway = await start_proxy(
        """
plugins: [{name: guard, id: wide}]
routes:
  - {id: read, path: /a, methods: [GET], plugins: [{name: passing}, {name: guard, id: wide, enabled: false}],
     respond: {}}
  - {id: options, path: /a, methods: [OPTIONS], respond: {}}
""",
        [Guard, Passing],
    )

    reply = await request(gateway, "1.1", "x/a", *preflight("GET"), method="OPTIONS")

    assert (reply.status, reply.headers.get("x-guard")) == (401, "wide")


@pytest.mark.parametrize("fields", [[("Origin", "https://a")], [("Access-Control-Request-Method", "GET")]])
async def test_options_without_both_fields_of_a_preflight_is_a_request_like_others(
    start_proxy: StartProxy, fields: list[tuple[str, str]]
) -> None:
    gateway = await start_proxy(
        "routes: [{id: a, path: /a, methods: [GET], plugins: [{name: cors}], respond: {}}]", [Cors]
    )

    assert (await request(gateway, "1.1", "x/a", *fields, method="OPTIONS")).status == 405


REDIRECTING = """
listen: [{{name: web, address: "127.0.0.1:0", https_redirect: {redirect}}}]
trusted_proxies: [127.0.0.0/8]
plugins: [{{name: guard}}]
routes:
  - {{id: acme, path_prefix: /.well-known, listeners: [web], plugins: [{{name: guard, enabled: false}}], respond: {{}}}}
  - {{id: rest, path: /rest, plugins: [{{name: guard, enabled: false}}], respond: {{status: 201}}}}
"""


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_listener_redirects_to_https_before_anything_else(start_proxy: StartProxy, version: str) -> None:
    gateway = await start_proxy(REDIRECTING.format(redirect="true"), [Guard])

    for url in ("a.example:8080/rest?a=%2F&b", "a.example:8080//none/%41", "a.example:8080/?"):
        reply = await request(gateway, version, url, method="POST")
        assert (reply.status, reply.headers["location"]) == (
            308,
            "https://a.example/" + url.partition("/")[2].lstrip("/"),
        )
    assert (await request(gateway, version, "a.example/.well-known/x")).status == 200
    assert (await request(gateway, version, "a.example/rest", ("X-Forwarded-Proto", "https"))).status == 201
    assert (await request(gateway, version, "a.example/none", ("X-Forwarded-Proto", "https"))).status == 401


async def test_status_and_port_of_the_redirect_to_https_can_be_given(start_proxy: StartProxy) -> None:
    gateway = await start_proxy(REDIRECTING.format(redirect="{status: 301, port: 8443}"), [Guard])

    reply = await request(gateway, "1.1", "a.example/x")

    assert (reply.status, reply.headers["location"]) == (301, "https://a.example:8443/x")


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_captured_label_names_the_target(
    start_proxy: StartProxy, start_upstream: StartUpstream, version: str
) -> None:
    acme, other = await start_upstream(), await start_upstream()
    gateway = await start_proxy(
        f"""
upstreams:
  - {{name: users-acme, endpoints: [{{url: "{acme.url}"}}]}}
  - {{name: users-b, endpoints: [{{url: "{other.url}"}}]}}
  - {{name: secret, endpoints: [{{url: "{other.url}"}}]}}
routes:
  - {{id: tenants, hosts: [":tenant.example.com"], target: "users-:tenant", strip_path: true, path_prefix: [/v1, /v2]}}
"""
    )

    assert (await request(gateway, version, "ACME.example.com/v1/x")).status == 200
    assert (await request(gateway, version, "b.example.com/v2/y", method="POST")).status == 200
    for host in ("none.example.com", "secret.example.com", "a.b.example.com", "example.com"):
        assert (await request(gateway, version, f"{host}/v1/x")).status == 404
    assert [head.split(b" ")[1] for head in (*acme.heads, *other.heads)] == [b"/x", b"/y"]


@pytest.mark.parametrize(("setting", "status"), [("", 405), ("method_mismatch: 404", 404)])
async def test_a_method_that_no_route_takes_can_look_like_a_path_that_there_is_not(
    start_proxy: StartProxy, setting: str, status: int
) -> None:
    gateway = await start_proxy(f"{setting}\nroutes: [{{id: a, path: /a, methods: [GET], respond: {{}}}}]")

    reply = await request(gateway, "1.1", "x/a", method="PUT")

    assert (reply.status, "allow" in reply.headers) == (status, status == 405)
