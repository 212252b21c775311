"""Routes that hooks choose, and targets."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Record, Request, Response, RouteInfo

from tests.core.proxy.kit import Proxied, StartProxy, StartUpstream, until

GET = b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n"
called: list[str] = []


class Notes(Plugin[Any]):
    """Notes each call under its binding's id."""

    name = "notes"

    @hookimpl
    def gateway_route_match(self, request: Request, route: RouteInfo | None) -> None:
        called.append(f"{self.context.binding} match {route.id if route else None}")

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        called.append(f"{self.context.binding} response")

    @hookimpl
    def gateway_log(self, request: Request, response: Response, record: Record) -> None:
        called.append(f"{self.context.binding} log {response.status}")


class Sends(Plugin[Any]):
    """Sends everything to another route."""

    name = "sends"
    config_schema = {"type": "object"}

    @hookimpl
    def gateway_route_match(self, request: Request, route: RouteInfo | None) -> str:
        return str(self.config["to"])


def config(first: str, second: str, url: str) -> str:
    return f"""
upstreams: [{{name: u, endpoints: [{{url: "{url}"}}]}}]
plugins: [{{name: notes, id: wide}}]
routes:
  - {{id: one, path: /one, target: u, plugins: [{first}]}}
  - {{id: two, path: /two, target: u, plugins: [{second}]}}
  - {{id: three, path: /three, target: u, plugins: [{{name: notes, id: of-three}}]}}
"""


async def test_after_a_reroute_the_new_routes_own_hooks_run_and_the_old_routes_do_not(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream()
    first = "{name: sends, config: {to: two}}, {name: notes, id: of-one}"
    gateway = await start_proxy(config(first, "{name: notes, id: of-two}", upstream.url), [Notes, Sends])
    called.clear()

    assert (await gateway.ask(GET % b"one"))[0] == 200

    await until(lambda: "wide log 200" in called)
    assert called[:2] == ["wide match one", "of-two match two"]
    assert sorted(called[2:]) == ["of-two log 200", "of-two response", "wide log 200", "wide response"]


async def test_a_second_reroute_is_a_failure_of_its_binding(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream()
    first, second = "{name: sends, config: {to: two}}", "{name: sends, config: {to: three}}"
    gateway = await start_proxy(config(first, second, upstream.url), [Notes, Sends])

    status, _, _ = await gateway.ask(GET % b"one")

    assert (status, upstream.heads) == (500, [])


async def test_with_continue_the_first_reroute_stands(start_proxy: StartProxy, start_upstream: StartUpstream) -> None:
    upstream = await start_upstream()
    second = "{name: sends, config: {to: three}, on_error: continue}, {name: notes, id: of-two}"
    gateway = await start_proxy(config("{name: sends, config: {to: two}}", second, upstream.url), [Notes, Sends])
    called.clear()

    assert (await gateway.ask(GET % b"one"))[0] == 200

    await until(lambda: "wide log 200" in called)
    assert called[:2] == ["wide match one", "of-two match two"]
    assert "of-three match three" not in called


async def test_the_target_of_a_split_is_known_to_pre_proxy_hooks_which_may_set_another(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    class Chooses(Plugin[Any]):
        name = "p"

        @hookimpl
        def gateway_pre_proxy(self, request: Request) -> None:
            request.headers["X-Chosen"] = request.upstream or "none"
            if request.path == "/other":
                request.upstream = "other"

    a, b, other = await start_upstream(), await start_upstream(), await start_upstream()
    gateway = await start_proxy(
        f"""
upstreams:
  - {{name: a, endpoints: [{{url: "{a.url}"}}]}}
  - {{name: b, endpoints: [{{url: "{b.url}"}}]}}
  - {{name: other, endpoints: [{{url: "{other.url}"}}]}}
plugins: [{{name: p}}]
routes:
  - {{id: all, path_prefix: /, targets: [{{target: a, weight: 1}}, {{target: b, weight: 1}}]}}
""",
        [Chooses],
    )

    for path in (b"1", b"2", b"other"):
        assert (await gateway.ask(GET % path))[0] == 200

    assert [b"X-Chosen: a" in head for head in a.heads] == [True]
    assert [b"X-Chosen: b" in head for head in b.heads] == [True]
    assert len(other.heads) == 1


async def test_the_only_target_is_known_to_pre_proxy_hooks(proxied: Proxied) -> None:
    gateway, _ = await proxied(extra="plugins: [{name: guard}]", plugins=[Guards])
    Guards.seen.clear()

    assert (await gateway.ask(GET % b""))[0] == 200

    assert Guards.seen == ["u"]


@pytest.mark.one_protocol(reason="heads over HTTP/1 that are refused")
@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400, "bad-request"),
        (b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400, "path-refused"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", 431, "head-too-large"),
        (b"GET /none HTTP/1.1\r\nHost: x\r\n\r\n", 404, "no-route"),
    ],
)
async def test_every_response_is_logged_with_its_reason_also_to_refused_heads(
    start_proxy: StartProxy, data: bytes, status: int, reason: str
) -> None:
    logged: list[tuple[int, str | None, str]] = []

    class Logs(Plugin[Any]):
        name = "p"

        @hookimpl
        def gateway_log(self, request: Request, response: Response, record: Record) -> None:
            logged.append((response.status, record.reason, record.produced_by))

    gateway = await start_proxy("plugins: [{name: p}]", plugins=[Logs])

    received = await gateway.send(data + b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert received.startswith(b"HTTP/1.1 %d " % status)
    assert logged[0] == (status, reason, "gateway")


class Guards(Plugin[Any]):
    """Counts the requests that it saw."""

    name = "guard"
    seen: ClassVar[list[str]] = []

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        self.seen.append(request.upstream or "")


class Chooses(Plugin[Any]):
    name = "chooses"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        request.upstream = request.headers.get("x-upstream")


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize(("chosen", "is_guarded"), [("a", False), ("b", True), ("c", False)])
async def test_no_target_is_reached_without_its_own_bindings(
    start_proxy: StartProxy, start_upstream: StartUpstream, order: str, chosen: str, is_guarded: bool
) -> None:
    """Their turn is before gateway-wide bindings with `order: after`, which therefore cannot choose such a target."""
    upstreams = [await start_upstream() for _ in range(3)]
    named = ", ".join(
        f'{{name: {name}, endpoints: [{{url: "{each.url}"}}]}}' for name, each in zip("abc", upstreams, strict=True)
    )
    gateway = await start_proxy(
        f"""
upstreams: [{named}]
plugins: [{{name: chooses, order: {order}}}]
routes:
  - {{id: all, path_prefix: /, targets: [{{target: a}}, {{target: b, weight: 0, plugins: [{{name: guard}}]}}]}}
""",
        [Guards, Chooses],
    )
    Guards.seen.clear()

    status, _, _ = await gateway.ask(b"GET / HTTP/1.1\r\nHost: x\r\nX-Upstream: %b\r\n\r\n" % chosen.encode())

    passes = order == "before" or not is_guarded
    assert status == (200 if passes else 500)
    assert Guards.seen == (["b"] if is_guarded and passes else [])
    assert [len(each.heads) for each in upstreams] == [int(passes and name == chosen) for name in "abc"]


responses: list[tuple[str, int, str | None, str]] = []


class All(Plugin[Any]):
    """Notes each response that it sees."""

    name = "all"
    responses = "all"

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        responses.append((self.context.binding, response.status, response.failure, response.produced_by))


class Refuses(Plugin[Any]):
    name = "refuses"

    @hookimpl
    def gateway_request(self, request: Request) -> Response | None:
        return Response(429) if request.path == "/refused" else None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"%zz", [("wide", 400, "path-refused", "gateway")]),
        (b"refused", [("wide", 429, None, "refuses")]),
        (b"none", [("wide", 404, "no-route", "gateway")]),
        (b"put", [("wide", 405, "method-not-allowed", "gateway")]),
        (b"fixed", [("own", 503, None, "gateway"), ("wide", 503, None, "gateway")]),
        (b"moved", [("own", 308, None, "gateway"), ("wide", 308, None, "gateway")]),
        (b"up", [("own", 200, None, "upstream"), ("wide", 200, None, "upstream")]),
        (b"down", [(each, 502, "upstream.connect-failure", "gateway") for each in ("own", "wide")]),
        (b"sent", [("own", 503, None, "gateway"), ("wide", 503, None, "gateway")]),  # nothing of the route before
    ],
)
async def test_who_sees_all_responses_sees_by_whom_and_why_each_was_made(
    start_proxy: StartProxy,
    start_upstream: StartUpstream,
    path: bytes,
    expected: list[tuple[str, int, str | None, str]],
) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy(
        f"""
plugins: [{{name: refuses}}, {{name: all, id: wide}}]
error_pages: [{{statuses: [503], body: not for the responses of routes}}]
routes:
  - {{id: put, path: /put, methods: [PUT], respond: {{}}, plugins: [{{name: all, id: own}}]}}
  - {{id: fixed, path: /fixed, respond: {{status: 503, body: fixed}}, plugins: [{{name: all, id: own}}]}}
  - {{id: moved, path: /moved, redirect: {{prefix: /new}}, plugins: [{{name: all, id: own}}]}}
  - {{id: up, path: /up, target: "{upstream.url}", plugins: [{{name: all, id: own}}]}}
  - {{id: down, path: /down, target: "http://127.0.0.1:1", plugins: [{{name: all, id: own}}]}}
  - id: sent
    path: /sent
    target: "{upstream.url}"
    plugins: [{{name: sends, config: {{to: fixed}}}}, {{name: all, id: old}}]
""",
        [All, Refuses, Sends],
    )
    responses.clear()

    got, _, body = await gateway.ask(GET % path)

    assert responses == expected
    assert got == expected[0][1]
    assert path != b"fixed" or body == b"fixed"
