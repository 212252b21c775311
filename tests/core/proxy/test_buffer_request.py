"""Bodies that are gathered before an endpoint is picked."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request

from tests.core.proxy.kit import Peer, RunningProxy, StartProxy, StartUpstream, counts, field, fields, until

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"
HELLO = b"\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n"


def route(url: str, more: str = "") -> str:
    return f'routes: [{{id: r, path: /, target: "{url}", buffer_request: 100KiB{more}}}]'


def received(gateway: RunningProxy) -> int:
    """Return how much of the bodies of requests in progress has come."""
    bodies = [getattr(exchange, "body", None) for exchange in gateway.proxy.exchanges]
    return sum(body.received for body in bodies if body is not None)


async def test_nothing_goes_upstream_before_the_body_is_complete(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy(route(upstream.url))
    client = await gateway.connect()
    half = b"x" * 50_000

    await client.send(POST + b"Content-Length: 100000\r\n\r\n" + half)
    await until(lambda: received(gateway) == 50_000)
    assert upstream.connections == 0
    assert counts(gateway) == {"exchanges": 1, "requests of the snapshot": 1}
    await client.send(half)

    assert (await client.response())[0] == 200
    assert upstream.bodies == [half * 2]


@pytest.mark.parametrize("cut", [1, 7, 1000])
async def test_a_body_in_chunks_is_sent_with_its_length(
    start_proxy: StartProxy, start_upstream: StartUpstream, cut: int
) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy(route(upstream.url))
    client = await gateway.connect()
    data = CHUNKED + b"Trailer: x-sum\r\n" + HELLO + b"X-Sum: 1\r\n\r\n"

    for _ in range(3):  # the later ones come from the cache of heads
        for start in range(0, len(data), cut):
            await client.send(data[start : start + cut])
        assert (await client.response())[0] == 200

    assert upstream.bodies == [b"hello world"] * 3
    for head in upstream.heads:
        assert fields(head, b"content-length") == [b"11"]
        assert not fields(head, b"transfer-encoding")
        assert not fields(head, b"trailer")


@pytest.mark.one_protocol(reason="the connection closes behind an early response")
@pytest.mark.parametrize(
    "request_",
    [
        POST + b"Content-Length: 102401\r\n\r\n",
        CHUNKED + b"\r\n19001\r\n" + b"x" * 0x19001,
        POST + b"Expect: 100-continue\r\nContent-Length: 102401\r\n\r\n",
    ],
)
async def test_a_longer_body_gets_413(start_proxy: StartProxy, start_upstream: StartUpstream, request_: bytes) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy(route(upstream.url))

    status, head, _ = await gateway.ask(request_)

    assert (status, field(head, b"connection")) == (413, b"close")
    assert upstream.connections == 0
    await until(lambda: not counts(gateway))


async def test_a_smaller_limit_of_the_route_counts(start_proxy: StartProxy, start_upstream: StartUpstream) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy(route(upstream.url, ", max_body_bytes: 10"))

    assert (await gateway.ask(CHUNKED + b"\r\nb\r\n" + b"x" * 11 + b"\r\n"))[0] == 413


async def test_a_client_that_waits_is_told_to_go_on(start_proxy: StartProxy, start_upstream: StartUpstream) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy(route(upstream.url))
    client = await gateway.connect()

    await client.send(POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
    await client.send(b"hello")

    assert (await client.response())[0] == 200
    assert upstream.bodies == [b"hello"]
    assert not fields(upstream.heads[0], b"expect")


async def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy(route(upstream.url))
    client = await gateway.connect()

    await client.send(POST + b"Content-Length: 10\r\n\r\nhello")
    await until(lambda: received(gateway) == 5)
    client.reset()

    await until(lambda: not counts(gateway))
    assert upstream.connections == 0


async def test_a_client_that_stops_sending_gets_408(start_proxy: StartProxy, start_upstream: StartUpstream) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy("limits: {body_timeout: 50ms}\n" + route(upstream.url))

    status, _, _ = await gateway.ask(POST + b"Content-Length: 10\r\n\r\nhello")

    assert status == 408
    assert upstream.connections == 0


async def test_a_gathered_body_is_sent_again_by_a_retry(start_proxy: StartProxy, start_upstream: StartUpstream) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.head()
        await peer.exactly(90_000)
        await peer.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")

    broken, upstream = await start_upstream(refuse), await start_upstream()
    gateway = await start_proxy(f"""
upstreams:
  - name: u
    endpoints: [{{url: "{broken.url}"}}, {{url: "{upstream.url}"}}]
    retries: {{on: ["503"], methods: [POST]}}
routes: [{{id: r, path: /, target: u, buffer_request: 100KiB}}]
""")
    body = b"x" * 90_000

    for _ in range(2):
        assert (await gateway.ask(POST + b"Content-Length: 90000\r\n\r\n" + body))[0] == 200

    assert upstream.bodies == [body] * 2
    assert broken.connections == 1


class Reading(Plugin[dict[str, Any]]):
    name = "reading"
    config_schema = {"type": "object"}

    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> None:
        request.headers["X-Length"] = str(len(await request.read(1 << 20)))


async def test_a_plugin_may_have_read_the_body_before(start_proxy: StartProxy, start_upstream: StartUpstream) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy(route(upstream.url, ", plugins: [{name: reading}]"), plugins=[Reading])

    status, _, _ = await gateway.ask(CHUNKED + HELLO + b"\r\n")

    assert status == 200
    assert upstream.bodies == [b"hello world"]
    assert [fields(upstream.heads[0], name) for name in (b"x-length", b"content-length")] == [[b"11"], [b"11"]]


async def test_requests_without_a_body_do_not_wait(start_proxy: StartProxy, start_upstream: StartUpstream) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy(route(upstream.url))

    assert (await gateway.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))[0] == 200
    assert not fields(upstream.heads[0], b"content-length")
