"""Requests that pass the hooks before the upstream by their heads alone, and what the hooks would have done."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import (
    EarlyHead,
    EarlyPass,
    FieldBlock,
    FieldNames,
    Headers,
    Record,
    Request,
    Response,
    RouteInfo,
)

from tests.core.proxy.kit import Peer, Proxied, field, fields

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello"
SENT = FieldBlock({"X-Sent": "1"})
GIVEN = FieldBlock({"X-Given": "2"})
called: list[str] = []
logged: list[tuple[str | None, str | None, str | None]] = []


class Passing(Plugin[Any]):
    """Gives requests X-Sent, and responses X-Given; refuses requests with X-Refused."""

    name = "passing"
    passed = EarlyPass(SENT, (GIVEN, FieldNames(["x-given"])))
    refused = FieldNames(["x-refused"])

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | None:
        called.append(f"{self.name} request")
        if "X-Refused" in request.headers:
            return Response(403)
        request.headers.extend(SENT)
        request.announced[self] = GIVEN, FieldNames(["x-given"])
        return None

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        called.append(f"{self.name} response")
        fields, unless = request.announced.get(self, (None, None))
        if fields is not None:
            response.add_fields(fields, unless)

    def passes_early(self, head: EarlyHead) -> EarlyPass | None:
        return None if head.has_any(self.refused) else self.passed


class Matching(Plugin[Any]):
    """Lets all requests pass at the match of the route, and looks at no field."""

    name = "matching"
    early_headers = frozenset()

    @hookimpl
    def gateway_route_match(self, request: Request, route: RouteInfo | None) -> None:
        called.append("matching")

    def passes_early(self, head: EarlyHead) -> EarlyPass:
        return NOTHING


NOTHING = EarlyPass()


class Reading(Plugin[Any]):
    """Gives responses X-Read if the request has X-Sent."""

    name = "reading"
    names = FieldNames(["x-sent"])
    early_headers = frozenset({"x-sent"})

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        called.append("reading")
        request.state["reading"] = "X-Sent" in request.headers

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        if request.state.get("reading"):
            response.headers["X-Read"] = "1"

    def passes_early(self, head: EarlyHead) -> EarlyPass | None:
        return None if head.has_any(self.names) else NOTHING


class Ordinary(Plugin[Any]):
    """Has a hook that stands for itself."""

    name = "ordinary"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        called.append("ordinary")


class Failing(Passing):
    """Does not know."""

    name = "failing"

    def passes_early(self, head: EarlyHead) -> EarlyPass | None:
        raise RuntimeError("no idea")


class Stricter(Passing):
    """Refuses all that its parent would let pass."""

    name = "stricter"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | None:
        return Response(403)


class Reserving(Passing):
    """Has a field that clients must not send."""

    name = "reserving"
    reserved_headers = frozenset({"x-reserved"})


class Idle(Passing):
    """Has nothing to say with its configuration."""

    name = "idle"
    idle_hooks = frozenset({"passes_early"})


class Cookies(Plugin[Any]):
    """Has a cookie of its own."""

    name = "cookies"
    own_cookies = frozenset({"own"})


class Ignoring(Plugin[Any]):
    """Has to do with text/html alone, in its response hook."""

    name = "ignoring"
    asked: list[tuple[int, str | None, str | None]] = []

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        called.append(self.name)
        if response.headers.get("content-type") == "text/html":
            response.headers["X-Html"] = "1"

    def ignores_response(self, status: int, headers: Headers) -> bool:
        self.asked.append((status, headers.get("content-type"), headers.get("x-given")))
        return headers.get("content-type") != "text/html"


class IgnoringBadly(Ignoring):
    """Does not know what it ignores."""

    name = "ignoring_badly"

    def ignores_response(self, status: int, headers: Headers) -> bool:
        raise RuntimeError("no idea")


class Logging(Plugin[Any]):
    """Keeps what log hooks see."""

    name = "logging"

    @hookimpl
    def gateway_log(self, request: Request, response: Response, record: Record) -> None:
        logged.append((request.headers.get("x-sent"), request.upstream, response.headers.get("x-given")))


PLUGINS = [
    Passing, Matching, Reading, Ordinary, Failing, Stricter, Reserving, Idle, Cookies, Ignoring, IgnoringBadly, Logging
]  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    called.clear()
    logged.clear()
    Ignoring.asked.clear()


def bound(*names: str) -> str:
    return f"plugins: [{', '.join(name if name.startswith('{') else f'{{name: {name}}}' for name in names)}]"


def ask(more: str = "") -> bytes:
    return f"GET / HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode()


async def test_neither_hook_is_called_for_a_request_that_passes_early(proxied: Proxied) -> None:
    gateway, upstream = await proxied(OK, bound("passing", "matching"), "", PLUGINS)

    status, head, body = await gateway.ask(ask())

    assert (status, body, field(head, b"x-given")) == (200, b"hello", b"2")
    assert fields(upstream.heads[0], b"x-sent") == [b"1"]
    assert called == []


async def test_the_hooks_are_called_for_a_request_that_does_not_pass_early(proxied: Proxied) -> None:
    gateway, upstream = await proxied(OK, bound("passing", "matching"), "", PLUGINS)

    status, _, _ = await gateway.ask(ask("X-Refused: 1\r\n"))

    assert (status, upstream.heads) == (403, [])
    assert called[:2] == ["matching", "passing request"]


async def test_a_request_that_comes_again_and_again_on_a_connection_is_decided_each_time(proxied: Proxied) -> None:
    gateway, upstream = await proxied(OK, bound("passing"), "", PLUGINS)
    client = await gateway.connect()

    statuses = []
    for more in ("", "", "", "X-Refused: 1\r\n", "X-Refused: 1\r\n", "X-Refused: 1\r\n", ""):
        await client.send(ask(more))
        statuses.append((await client.response())[0])

    assert statuses == [200, 200, 200, 403, 403, 403, 200]
    assert [fields(each, b"x-sent") for each in upstream.heads] == [[b"1"]] * 4


@pytest.mark.parametrize(
    "other",
    [
        "ordinary",
        "{name: matching, timeout: 5s}",
        "{name: matching, mode: shadow}",
        "{name: matching, when: {methods: [GET]}}",
        "reserving",
        "idle",
    ],
)
async def test_all_hooks_are_called_if_those_of_one_binding_must_be(proxied: Proxied, other: str) -> None:
    gateway, upstream = await proxied(OK, bound("passing", other), "", PLUGINS)

    status, head, _ = await gateway.ask(ask())

    assert (status, fields(head, b"x-given")) == (200, [b"2"])
    assert b"1" in fields(upstream.heads[0], b"x-sent")
    assert "passing request" in called


async def test_a_hook_that_overrides_the_one_of_a_class_that_lets_pass_early_is_called(proxied: Proxied) -> None:
    gateway, upstream = await proxied(OK, bound("stricter"), "", PLUGINS)

    status, _, _ = await gateway.ask(ask())

    assert (status, upstream.heads) == (403, [])


async def test_the_hooks_are_called_if_it_is_not_known_whether_a_request_passes(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK, bound("failing"), "", PLUGINS)

    passes, _, _ = await gateway.ask(ask())
    refused, _, _ = await gateway.ask(ask("X-Refused: 1\r\n"))

    binding = gateway.proxy.holder.current.routes["all"].chain.bindings[0]
    assert (passes, refused, binding.faults.count) == (200, 403, 2)
    assert called[0] == "failing request"


async def test_the_hooks_are_called_if_one_reads_what_an_earlier_one_adds(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK, bound("passing", "reading"), "", PLUGINS)

    _, head, _ = await gateway.ask(ask())

    assert field(head, b"x-read") == b"1"
    assert called[:2] == ["passing request", "reading"]


async def test_what_a_later_hook_adds_is_no_matter_for_an_earlier_one(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK, bound("reading", "passing"), "", PLUGINS)

    _, head, _ = await gateway.ask(ask())

    assert field(head, b"x-read") is None
    assert [each for each in called if each.endswith("request") or each == "reading"] == []


async def test_log_hooks_see_what_the_hooks_would_have_done(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK, bound("passing", "logging"), "", PLUGINS)

    await gateway.ask(ask())

    assert logged == [("1", "u", "2")]
    assert called == []


async def test_a_response_hook_that_is_called_finds_what_was_announced(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK.replace(b"text/plain", b"text/plain\r\nX-Given: 1"), bound("passing"), "", PLUGINS)

    _, head, _ = await gateway.ask(ask())

    assert fields(head, b"x-given") == [b"1"]
    assert called == ["passing response"]


async def test_the_response_that_the_gateway_makes_has_the_announced_fields(proxied: Proxied) -> None:
    async def leave(peer: Peer) -> None:
        await peer.head()
        peer.close()

    gateway, _ = await proxied(leave, bound("passing"), "", PLUGINS)

    status, head, _ = await gateway.ask(ask())

    assert (status, fields(head, b"x-given")) == (502, [b"2"])


async def test_cookies_of_another_routes_plugin_are_removed_all_the_same(proxied: Proxied) -> None:
    other = "  - {id: own, path: /own, target: u, plugins: [{name: cookies}]}"
    gateway, upstream = await proxied(OK, f"{other}\n{bound('passing')}", "", PLUGINS)

    await gateway.ask(ask("Cookie: own=secret; other=1\r\n"))

    assert fields(upstream.heads[0], b"cookie") == [b"other=1"]


async def test_hooks_that_are_left_out_count_as_called(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK, bound("passing", "ignoring"), "", PLUGINS)

    await gateway.ask(ask())
    await gateway.ask(ask())

    calls = {labels: count for labels, count in gateway.environment.metrics.hook_calls() if count}
    assert sorted(calls.values()) == [2, 2, 2]
    assert called == []


# -- responses


async def test_a_response_hook_is_not_called_for_what_it_ignores(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK, bound("ignoring"), "", PLUGINS)

    first = await gateway.ask(ask())
    second = await gateway.ask(ask())

    assert (first[0], second[2]) == (200, b"hello")
    assert called == []
    assert {each[:2] for each in Ignoring.asked} == {(200, "text/plain")}


async def test_a_response_hook_is_called_for_what_it_does_not_ignore(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK.replace(b"text/plain", b"text/html"), bound("ignoring"), "", PLUGINS)

    _, head, _ = await gateway.ask(ask())

    assert field(head, b"x-html") == b"1"
    assert called == ["ignoring"]


async def test_a_hook_that_may_ignore_a_response_sees_what_earlier_ones_announced(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK, bound("ignoring", "passing"), "", PLUGINS)

    _, head, _ = await gateway.ask(ask())

    assert field(head, b"x-given") == b"2"
    assert Ignoring.asked == [(200, "text/plain", "2")]
    assert called == []


async def test_a_response_hook_is_called_beside_one_that_must_be(proxied: Proxied) -> None:
    gateway, _ = await proxied(
        OK.replace(b"text/plain", b"text/plain\r\nX-Given: 1"), bound("ignoring", "passing"), "", PLUGINS
    )

    await gateway.ask(ask())

    assert called == ["passing response", "ignoring"]


async def test_a_response_hook_is_called_if_it_is_not_known_what_it_ignores(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK, bound("ignoring_badly"), "", PLUGINS)

    status, _, _ = await gateway.ask(ask())

    binding = gateway.proxy.holder.current.routes["all"].chain.bindings[0]
    assert (status, binding.faults.count) == (200, 1)
    assert called == ["ignoring_badly"]
