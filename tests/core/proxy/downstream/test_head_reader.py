"""What a connection remembers of its last request must never show in the next one."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request
from gateway_core.proxy.downstream.client import Client
from gateway_core.proxy.downstream.head_reader import HeadReader
from gateway_core.proxy.wire.request_head import RequestHead

from tests.core.proxy.kit import Proxied, StartProxy, StartUpstream, field

pytestmark = pytest.mark.one_protocol(reason="connections of HTTP/1")

GET = b"GET /users/7?x=1 HTTP/1.1\r\nHost: example.com\r\n\r\n"
ROUTE = 'routes: [{{id: r, path: "/users/:id", target: "{}"{}}}]'


async def test_the_same_head_again_goes_upstream_as_the_first_one_did(proxied: Proxied) -> None:
    gateway, upstream = await proxied()
    client = await gateway.connect()

    for _ in range(3):
        await client.send(GET)
        await client.response()

    heads = [head.replace(field(head, b"x-request-id") or b"?", b"ID") for head in upstream.heads]
    assert len(set(heads)) == 1
    assert len({field(head, b"x-request-id") for head in upstream.heads}) == 3


async def test_another_line_over_the_same_fields_is_another_request(proxied: Proxied) -> None:
    gateway, upstream = await proxied()
    client = await gateway.connect()

    for line in (b"GET /users/7?x=1", b"GET /users/8", b"HEAD /users/8", b"GET /users/7?x=1", b"DELETE /users/7?x=1"):
        await client.send(GET.replace(b"GET /users/7?x=1", line))
        await (client.head() if line.startswith(b"HEAD") else client.response())

    assert [head.split(b" HTTP")[0] for head in upstream.heads] == [
        b"GET /users/7?x=1",
        b"GET /users/8",
        b"HEAD /users/8",
        b"GET /users/7?x=1",
        b"DELETE /users/7?x=1",
    ]


async def test_the_same_head_takes_the_new_route_after_a_reload(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    one = await start_upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none")
    two = await start_upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo")
    gateway = await start_proxy(ROUTE.format(one.url, ""))
    client = await gateway.connect()
    await client.send(GET)
    first = await client.response()

    await gateway.reload(ROUTE.format(two.url, ""))
    await client.send(GET)

    assert (first[2], (await client.response())[2]) == (b"one", b"two")


async def test_an_idle_connection_keeps_nothing_of_a_configuration_that_was_replaced(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy(ROUTE.format(upstream.url, ""))
    client = await gateway.connect()
    await client.send(GET)
    await client.response()
    assert [each.remembers for each in gateway.proxy.connections.open] == [True]

    await gateway.reload(ROUTE.format(upstream.url, ""))

    assert [each.remembers for each in gateway.proxy.connections.open] == [False]


class Base(Plugin[Any]):
    name = "p"


class Renaming(Base):
    """Sends every second request somewhere else, by what it changes."""

    calls = 0

    @hookimpl
    def gateway_request(self, request: Request) -> None:
        Renaming.calls += 1
        if Renaming.calls % 2:
            request.raw_path = "/users/other"
            request.query_string = ""
            request.headers["X-Changed"] = "yes"


async def test_what_a_hook_changed_in_one_request_is_not_in_the_next(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream()
    config = "plugins: [{name: p}]\n" + ROUTE.format(upstream.url, "")
    gateway = await start_proxy(config, plugins=[Renaming])
    client = await gateway.connect()
    Renaming.calls = 0

    for _ in range(4):
        await client.send(GET)
        await client.response()

    assert [head.split(b" ")[1] for head in upstream.heads] == [b"/users/other", b"/users/7?x=1"] * 2
    assert [field(head, b"x-changed") for head in upstream.heads] == [b"yes", None] * 2


class Meddling(Base):
    """Tries to leave something in what requests share."""

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        try:
            request.path_params["id"] = "changed"  # type: ignore[index]
        except TypeError:
            request.headers["X-Params"] = "read-only"


async def test_parameters_are_the_requests_own(start_proxy: StartProxy, start_upstream: StartUpstream) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy("plugins: [{name: p}]\n" + ROUTE.format(upstream.url, ""), plugins=[Meddling])

    await gateway.ask(GET)

    assert field(upstream.heads[0], b"x-params") == b"read-only"


async def test_a_rewritten_path_is_made_anew_for_another_head(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy(ROUTE.format(upstream.url, ', rewrite: {template: "/v2/:id"}'))
    client = await gateway.connect()

    for number in (b"7", b"7", b"8"):
        await client.send(GET.replace(b"/7", b"/" + number))
        await client.response()

    assert [head.split(b" ")[1] for head in upstream.heads] == [b"/v2/7?x=1", b"/v2/7?x=1", b"/v2/8?x=1"]


async def test_the_same_head_names_each_endpoint_that_it_goes_to(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    one, two = await start_upstream(), await start_upstream()
    gateway = await start_proxy(
        f'upstreams: [{{name: u, endpoints: [{{url: "{one.url}"}}, {{url: "{two.url}"}}]}}]\n' + ROUTE.format("u", "")
    )
    client = await gateway.connect()

    for _ in range(4):
        await client.send(GET)
        await client.response()

    for upstream in (one, two):
        assert [field(head, b"host") for head in upstream.heads] == [upstream.url.removeprefix("http://").encode()] * 2


class Adding(Base):
    """Adds a field, and one that is the gateway's to write."""

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        request.headers.add("X-User", request.path)
        if request.path.endswith("/8"):
            request.headers.extend({"content-length": "5", "X-More": "1"})


async def test_what_a_hook_adds_goes_upstream_but_for_what_the_gateway_writes(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy("plugins: [{name: p}]\n" + ROUTE.format(upstream.url, ""), plugins=[Adding])
    client = await gateway.connect()

    for number in (b"7", b"7", b"8", b"7"):
        await client.send(GET.replace(b"/7", b"/" + number))
        await client.response()

    assert [field(head, b"x-user") for head in upstream.heads] == [b"/users/7", b"/users/7", b"/users/8", b"/users/7"]
    assert [field(head, b"x-more") for head in upstream.heads] == [None, None, b"1", None]
    assert not any(field(head, b"content-length") for head in upstream.heads)


class Lengthening(Base):
    """Makes the value of the last field longer."""

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        for name in ("Host", "X-Last"):
            if name in request.headers:
                request.headers[name] += "er"


@pytest.mark.parametrize(
    ("last", "name", "value"), [(b"", b"host", b"example.comer"), (b"X-Last: long\r\n", b"x-last", b"longer")]
)
async def test_a_longer_value_of_the_last_field_is_a_change_of_that_field(
    start_proxy: StartProxy, start_upstream: StartUpstream, last: bytes, name: bytes, value: bytes
) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy("plugins: [{name: p}]\n" + ROUTE.format(upstream.url, ""), plugins=[Lengthening])

    await gateway.ask(GET[:-2] + last + b"\r\n")

    assert field(upstream.heads[0], name) == value
    assert upstream.heads[0].count(b"er\r\n") == 1 + bool(last)


async def test_each_request_says_where_it_comes_from_whatever_came_before(proxied: Proxied) -> None:
    gateway, upstream = await proxied(extra="trusted_proxies: [127.0.0.1]")
    client = await gateway.connect()
    proxies = b"X-Forwarded-For: 10.0.0.9\r\nX-Forwarded-Host: outer.example\r\n"

    for host, more in ((b"a", b""), (b"a", proxies), (b"b", b""), (b"a", b"Via: 1.1 x\r\n"), (b"a", b"N: 1\r\n")):
        await client.send(b"GET / HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (host, more))
        await client.response()

    said = [
        tuple(field(head, name) for name in (b"x-forwarded-for", b"x-forwarded-host", b"via"))
        for head in upstream.heads
    ]
    assert said == [
        (b"127.0.0.1", b"a", b"1.1 gateway"),
        (b"10.0.0.9, 127.0.0.1", b"outer.example", b"1.1 gateway"),
        (b"127.0.0.1", b"b", b"1.1 gateway"),
        (b"127.0.0.1", b"a", b"1.1 x, 1.1 gateway"),
        (b"127.0.0.1", b"a", b"1.1 gateway"),
    ]


class Noting(Base):
    """Notes the credentials that it sees, and hides some of them."""

    seen: ClassVar[list[str | None]] = []

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        self.seen.append(request.authorization)
        request.headers["Authorization"] = "Basic upstream"
        self.seen.append(request.authorization)


async def test_hooks_see_the_credentials_of_each_head_and_what_they_made_of_them(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy("plugins: [{name: p}]\n" + ROUTE.format(upstream.url, ""), plugins=[Noting])
    client = await gateway.connect()
    Noting.seen = []

    for fields in (b"Authorization: Bearer a\r\n", b"Authorization: Bearer b\r\n", b"", b"Authorization: Basic c\r\n"):
        await client.send(GET[:-2] + fields + b"\r\n")
        await client.response()
    await client.send(GET[:-2] + b"Authorization: Bearer a\r\nAUTHORIZATION: Bearer b\r\n\r\n")
    await client.response()

    assert Noting.seen[::2] == ["Bearer a", "Bearer b", None, "Basic c", None]
    assert set(Noting.seen[1::2]) == {"Basic upstream"}
    assert [field(head, b"authorization") for head in upstream.heads] == [b"Basic upstream"] * 5


async def test_a_head_that_says_it_is_the_last_one_is_not_remembered(proxied: Proxied) -> None:
    gateway, _ = await proxied()
    reader = HeadReader(Client(asyncio.Transport({"peername": ("10.0.0.1", 50000), "sockname": ("10.0.0.2", 80)})))

    found = reader.read(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), 0, gateway.proxy.holder.current)
    assert isinstance(found, RequestHead)
    assert reader.is_empty
    reader.read(GET, 0, gateway.proxy.holder.current)
    assert not reader.is_empty
