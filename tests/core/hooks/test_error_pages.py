"""Pages in the place of error responses: whose, which, with what, and what if they cannot be had."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from gateway_core.config import GatewayConfig
from gateway_core.config.values import CANONICAL
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Record, Request, Response, UpstreamAttempt

from tests.core.proxy.conftest import start_proxy, start_upstream
from tests.core.proxy.kit import Peer, StartProxy, StartUpstream, counts, field, unfinished, until
from tests.core.proxy.route_kit import VERSIONS, request

__all__ = ["start_proxy", "start_upstream"]

FAILING = b"HTTP/1.1 503 No\r\nContent-Length: 5\r\nRetry-After: 7\r\nX-Own: 1\r\n\r\nplain"


class Guard(Plugin[Any]):
    name = "guard"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response:
        return Response(401, "who are you", headers={"WWW-Authenticate": "Basic"})

    @hookimpl
    def gateway_response(self, response: Response) -> None:
        response.headers["X-Seen"] = f"{response.status} {response.failure}"


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_page_replaces_responses_of_the_gateway_and_of_plugins(start_proxy: StartProxy, version: str) -> None:
    gateway = await start_proxy(
        """
error_pages:
  - {statuses: [401, 500-599], body: "<p>wide"}
  - {statuses: [404], status: 200, content_type: text/plain, body: none}
routes:
  - {id: guarded, path: /guarded, plugins: [{name: guard}], respond: {}}
  - {id: own, path: /own, plugins: [{name: guard}], respond: {}, error_pages: [{statuses: [401], body: own}]}
  - {id: fixed, path: /fixed, respond: {status: 503, body: fixed}}
  - {id: down, path: /down, target: "http://127.0.0.1:1"}
""",
        [Guard],
    )

    guarded = await request(gateway, version, "x/guarded")
    assert (guarded.status, guarded.body) == (401, b"<p>wide")
    assert guarded.headers["content-type"] == "text/html; charset=utf-8"
    assert guarded.headers["www-authenticate"] == "Basic"
    assert guarded.headers["x-seen"] == "401 None"
    assert (await request(gateway, version, "x/own")).body == b"own"
    assert (await request(gateway, version, "x/fixed")).body == b"fixed"
    down = await request(gateway, version, "x/down")
    assert (down.status, down.body) == (502, b"<p>wide")
    missing = await request(gateway, version, "x/missing")
    assert (missing.status, missing.body, missing.headers["content-type"]) == (200, b"none", "text/plain")


@pytest.mark.parametrize(
    ("path", "status", "reason"), [("guarded", 401, None), ("up", 503, None), ("none", 404, "no-route")]
)
async def test_a_page_has_the_reason_of_what_it_replaces(
    start_proxy: StartProxy, start_upstream: StartUpstream, path: str, status: int, reason: str | None
) -> None:
    logged: list[tuple[int, str | None, str | None]] = []

    class Logs(Plugin[Any]):
        name = "logs"

        @hookimpl
        def gateway_log(self, response: Response, record: Record) -> None:
            logged.append((response.status, response.failure, record.reason))

    upstream = await start_upstream(FAILING)
    gateway = await start_proxy(
        f"""
error_pages: [{{statuses: [400-599], from: [gateway, plugin, upstream], body: page}}]
plugins: [{{name: logs}}]
routes:
  - {{id: guarded, path: /guarded, plugins: [{{name: guard}}], respond: {{}}}}
  - {{id: up, path: /up, target: "{upstream.url}"}}
""",
        [Guard, Logs],
    )

    assert (await request(gateway, "1.1", f"x/{path}")).body == b"page"
    await until(lambda: logged)
    assert logged == [(status, reason, reason)]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_page_of_the_upstream_is_replaced_only_if_from_says_so(
    start_proxy: StartProxy, start_upstream: StartUpstream, version: str
) -> None:
    upstream = await start_upstream(FAILING)
    gateway = await start_proxy(
        f"""
routes:
  - {{id: kept, path: /kept, target: "{upstream.url}", error_pages: [{{statuses: [503], body: page}}]}}
  - {{id: replaced, path: /replaced, target: "{upstream.url}",
     error_pages: [{{statuses: [503], from: [upstream], body: page}}]}}
"""
    )

    assert (await request(gateway, version, "x/kept")).body == b"plain"
    replaced = await request(gateway, version, "x/replaced")
    assert (replaced.status, replaced.body, replaced.headers["retry-after"]) == (503, b"page", "7")
    assert "x-own" not in replaced.headers


async def pages(peer: Peer) -> None:
    while True:
        head = await peer.head()
        target = head.split(b" ")[1]
        if target.startswith(b"/errors/"):
            status = b"500 No" if target.endswith(b"/503?x") else b"200 OK"
            body = b"" if head.startswith(b"HEAD") else b"page of " + target
            length = len(b"page of " + target)
            await peer.send(
                b"HTTP/1.1 %b\r\nContent-Type: a/b\r\nContent-Length: %d\r\n\r\n%b" % (status, length, body)
            )
        else:
            await peer.send(b"HTTP/1.1 %b No\r\nContent-Length: 5\r\n\r\nplain" % target[1:4])


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_page_is_requested_of_the_routes_target(
    start_proxy: StartProxy, start_upstream: StartUpstream, version: str
) -> None:
    heads: list[bytes] = []

    async def script(peer: Peer) -> None:
        original = peer.head

        async def head() -> bytes:
            heads.append(await original())
            return heads[-1]

        peer.head = head  # type: ignore[method-assign]
        await pages(peer)

    upstream = await start_upstream(script)
    gateway = await start_proxy(
        f"""
error_pages: [{{statuses: [400-599], from: [gateway, upstream], path: "/errors/:status?x"}}]
routes:
  - {{id: all, path_prefix: /, target: "{upstream.url}", methods: [GET, POST]}}
"""
    )

    sent = (("If-None-Match", '"1"'), ("Range", "bytes=0-1"), ("Cookie", "a=1"))
    reply = await request(gateway, version, "x/404", *sent)
    posted = await request(gateway, version, "x/404", ("Content-Length", "0"), method="POST")

    assert (reply.status, reply.headers["content-type"]) == (404, "a/b")
    assert reply.body == posted.body == b"page of /errors/404?x"
    page = heads[1]
    assert page.startswith(b"GET /errors/404?x HTTP/1.1\r\n")
    assert field(page, b"cookie") == b"a=1"
    assert field(page, b"if-none-match") is field(page, b"range") is field(heads[3], b"content-length") is None
    assert (await request(gateway, version, "x/503")).body == b"plain"  # the page fails
    assert (await request(gateway, version, "x/none", method="PUT")).status == 405  # no route, so no target


async def test_the_request_of_a_page_runs_only_its_upstreams_hooks(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    seen: list[tuple[str, str, str]] = []

    class Marks(Plugin[Any]):
        name = "m"

        @hookimpl
        def gateway_attempt(self, request: Request, attempt: UpstreamAttempt) -> None:
            seen.append((request.method, request.raw_path, request.query_string))
            attempt.headers["x-marks"] = attempt.headers.get("x-marks", "") + self.context.binding

    upstream = await start_upstream(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
    pages = await start_upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage")
    gateway = await start_proxy(
        f"""
upstreams:
  - {{name: u, endpoints: [{{url: "{upstream.url}"}}], plugins: [{{name: m, id: u}}]}}
  - {{name: pages, endpoints: [{{url: "{pages.url}"}}], plugins: [{{name: m, id: p}}]}}
plugins: [{{name: m, id: a, order: after}}, {{name: m, id: b}}]
routes:
  - id: all
    path_prefix: /
    error_pages: [{{statuses: [404], from: [upstream], target: pages, path: "/errors/:status?a"}}]
    plugins: [{{name: m, id: r}}]
    targets: [{{target: u, plugins: [{{name: m, id: t}}]}}]
""",
        [Marks],
    )

    assert (await gateway.ask(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na"))[::2] == (404, b"page")

    # Gateway-wide (before), route, gateway-wide (after), target, upstream.
    assert field(upstream.heads[0], b"x-marks") == b"bratu"
    assert field(pages.heads[0], b"x-marks") == b"p"
    assert seen[-1] == ("GET", "/errors/404", "a")


@pytest.mark.http1_upstream
async def test_a_connection_that_a_page_was_requested_over_with_a_login_serves_no_one_else(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    came: list[tuple[Peer, bytes]] = []

    async def script(peer: Peer) -> None:
        while True:
            head = await peer.head()
            came.append((peer, head))
            status = b"200 OK" if head.startswith(b"GET /page") else b"404 No"
            await peer.send(b"HTTP/1.1 %b\r\nContent-Length: 1\r\n\r\nx" % status)

    upstream = await start_upstream(script)
    gateway = await start_proxy(
        f"""
error_pages: [{{statuses: [404], from: [upstream], path: /page}}]
routes: [{{id: all, path_prefix: /, target: "{upstream.url}"}}]
"""
    )

    await request(gateway, "1.1", "x/a", ("Authorization", "NTLM TlRMTVNTUAAB"), ("Proxy-Authorization", "Basic eA=="))
    await request(gateway, "1.1", "x/b")

    page, page_head = came[1]
    assert field(page_head, b"authorization") == b"NTLM TlRMTVNTUAAB"
    assert field(page_head, b"proxy-authorization") is None
    assert all(peer is not page for peer, _ in came[2:])


@pytest.mark.parametrize(("length", "expected"), [(b"Content-Length: 4\r\n", "4"), (b"", None)])
async def test_the_page_for_head_has_the_length_that_it_has_for_get(
    start_proxy: StartProxy, start_upstream: StartUpstream, length: bytes, expected: str | None
) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n%b\r\n" % length)

    upstream = await start_upstream(script)
    gateway = await start_proxy(
        f"""
error_pages: [{{statuses: [405], target: "{upstream.url}", path: /page}}]
routes: [{{id: all, path_prefix: /, methods: [GET], respond: {{}}}}]
"""
    )

    reply = await request(gateway, "2", "x/a", method="HEAD")

    assert (reply.status, reply.headers["content-type"], reply.headers.get("content-length")) == (405, "a/b", expected)


async def test_a_page_of_another_target_that_is_away_leaves_the_plain_response(start_proxy: StartProxy) -> None:
    gateway = await start_proxy(
        """
error_pages: [{statuses: [404], target: "http://127.0.0.1:1", path: /x}, {statuses: [405]}, {statuses: [405], body: no}]
routes: [{id: a, path: /a, methods: [GET], respond: {}}]
"""
    )

    missing = await request(gateway, "1.1", "x/missing")
    kept = await request(gateway, "1.1", "x/a", method="PUT")

    assert missing.status == 404
    assert missing.headers["content-type"] == kept.headers["content-type"] == "application/problem+json"


@pytest.mark.http1_upstream
@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"])
async def test_the_request_for_a_page_ends_with_the_client_that_left(
    start_proxy: StartProxy, start_upstream: StartUpstream, begun: bytes
) -> None:
    upstream = await start_upstream(unfinished(begun, reached := asyncio.Event(), closed := asyncio.Event()))
    gateway = await start_proxy(
        f"""
routes:
  - {{id: down, path: /, target: "http://127.0.0.1:1",
     error_pages: [{{statuses: [502], target: "{upstream.url}", path: /page}}]}}
"""
    )
    client = await gateway.connect()
    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.wait_for(reached.wait(), 30)

    client.reset()

    await asyncio.wait_for(closed.wait(), 30)
    await until(lambda: counts(gateway) == {})


async def test_what_is_refused_at_its_head_gets_texts_and_no_target_pages(start_proxy: StartProxy) -> None:
    text = """
error_pages: [{{statuses: [400], {}}}]
routes: [{{id: a, path: /a, target: "http://127.0.0.1:1"}}]
"""

    texts = await start_proxy(text.format("body: page"))
    targets = await start_proxy(text.format('target: "http://127.0.0.1:1", path: /x'))

    assert (await request(texts, "1.1", "x/%zz")).body == b"page"
    assert (await request(targets, "1.1", "x/%zz")).headers["content-type"] == "application/problem+json"


async def test_calls_of_grpc_get_no_page(start_proxy: StartProxy) -> None:
    gateway = await start_proxy(
        'error_pages: [{statuses: [400-599], body: page}]\nroutes: [{id: a, path: /a, target: "http://127.0.0.1:1"}]'
    )

    reply = await request(gateway, "2", "x/a", ("content-type", "application/grpc"), method="POST")

    assert reply.body == b""
    assert reply.headers["grpc-status"] == "14"


def test_the_canonical_form_is_read_again() -> None:
    config = GatewayConfig.model_validate(
        {"error_pages": [{"statuses": [404, "500-599"], "from": ["upstream"], "body": "x"}]}
    )

    dumped = config.model_dump(mode="json", context=CANONICAL)

    assert dumped["error_pages"][0]["from"] == ["upstream"]
    assert GatewayConfig.model_validate(dumped, context=CANONICAL) == config
