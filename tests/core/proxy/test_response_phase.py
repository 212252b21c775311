"""Hooks through the wire: what plugins do to requests and responses, awaited or not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import BodyFilter, Headers, Record, Request, Response, RouteInfo

from tests.core.proxy.kit import Peer, Proxied, field, fields, turns, until

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
BIND = "plugins: [{name: p}]"


class Base(Plugin[Any]):
    name = "p"


class AsyncEverywhere(Base):
    @hookimpl
    async def gateway_request(self, request: Request) -> None:
        await asyncio.sleep(0)
        request.headers["x-phases"] = "request"

    @hookimpl
    async def gateway_route_match(self, request: Request, route: RouteInfo | None) -> None:
        await asyncio.sleep(0)
        request.headers["x-phases"] += f" match:{route.id if route else None}"

    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> None:
        await asyncio.sleep(0)
        request.headers["x-phases"] += " pre-proxy"

    @hookimpl
    async def gateway_response(self, request: Request, response: Response) -> None:
        await asyncio.sleep(0)
        response.headers["x-phases"] = request.headers["x-phases"] + " response"


@pytest.mark.parametrize("request_bytes", [GET, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"])
async def test_every_phase_may_be_awaited(proxied: Proxied, request_bytes: bytes) -> None:
    gateway, upstream = await proxied(extra=BIND, plugins=[AsyncEverywhere])
    client = await gateway.connect()

    for _ in range(3):
        await client.send(request_bytes)
        status, head, body = await client.response()
        assert (status, body) == (200, b"ok")
        assert field(head, b"x-phases") == b"request match:all pre-proxy response"

    assert field(upstream.heads[0], b"x-phases") == b"request match:all pre-proxy"
    assert upstream.bodies[0] == request_bytes.partition(b"\r\n\r\n")[2]


async def test_requests_behind_an_awaited_hook_get_their_responses_in_order(proxied: Proxied) -> None:
    async def echo_path(peer: Peer) -> None:
        while True:
            path = (await peer.head()).split(b" ")[1]
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))

    gateway, _ = await proxied(echo_path, extra=BIND, plugins=[AsyncEverywhere])
    client = await gateway.connect()

    await client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % n for n in range(10)))

    assert [(await client.response())[2] for _ in range(10)] == [b"/%d" % n for n in range(10)]


class SlowResponse(Base):
    sent = asyncio.Event()
    """Set when the upstream has sent all that it sends."""

    @hookimpl
    async def gateway_response(self, request: Request, response: Response) -> None:
        await self.sent.wait()
        await turns()


async def test_a_body_that_comes_while_a_hook_thinks_is_not_lost(proxied: Proxied) -> None:
    body = bytes(range(256)) * 2000

    SlowResponse.sent = asyncio.Event()

    async def response(peer: Peer) -> None:
        await peer.head()
        peer.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        SlowResponse.sent.set()
        await peer.rest()

    gateway, _ = await proxied(response, extra=BIND, plugins=[SlowResponse])

    assert (await gateway.ask(GET))[2] == body


async def test_a_response_cut_off_while_a_hook_thinks_is_a_visible_break(proxied: Proxied) -> None:
    SlowResponse.sent = asyncio.Event()

    async def truncate(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")
        peer.close()
        SlowResponse.sent.set()

    gateway, upstream = await proxied(
        truncate, extra=BIND, plugins=[SlowResponse], upstream_extra="    retries: {attempts: 2}"
    )

    response = await gateway.send(GET)

    assert response.startswith(b"HTTP/1.1 200 OK\r\n")
    assert response.count(b"HTTP/1.1 ") == 1
    assert b"Content-Length: 100\r\n" in response
    assert response.partition(b"\r\n\r\n")[2] in {b"", b"part"}
    assert upstream.connections == 1


class ReadsBody(Base):
    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> None:
        body = await request.read(1000)
        request.headers["x-body"] = str(len(body))


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_hook_may_read_the_body_which_still_goes_upstream(proxied: Proxied, framing: str) -> None:
    gateway, upstream = await proxied(extra=BIND, plugins=[ReadsBody])
    client = await gateway.connect()

    if framing == "length":
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")
        await client.send(b"def")
    else:
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await client.send(b"3\r\ndef\r\n0\r\n\r\n")

    assert (await client.response())[0] == 200
    assert field(upstream.heads[0], b"x-body") == b"6"
    assert upstream.bodies == [b"abcdef" if framing == "length" else b"6\r\nabcdef\r\n0\r\n\r\n"]


async def test_a_body_over_the_limit_of_a_hook_is_a_413(proxied: Proxied) -> None:
    gateway, upstream = await proxied(extra=BIND, plugins=[ReadsBody])

    status, _, _ = await gateway.ask(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000)

    assert status == 413
    assert upstream.heads == []


async def test_a_body_that_stalls_while_a_hook_reads_it_is_a_408(proxied: Proxied) -> None:
    gateway, upstream = await proxied(extra=BIND + "\nlimits: {body_timeout: 10s}", plugins=[ReadsBody])

    request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc"
    response = await gateway.passing(11, gateway.send(request))

    assert response.startswith(b"HTTP/1.1 408 ")
    assert upstream.heads == []


async def test_a_client_that_leaves_ends_the_hook_that_reads_its_body(proxied: Proxied) -> None:
    ended: list[str] = []

    class Waits(Base):
        @hookimpl
        async def gateway_pre_proxy(self, request: Request) -> None:
            try:
                await request.read()
            finally:
                ended.append("read")

        @hookimpl
        def gateway_log(self, request: Request, response: Response, record: Record) -> None:
            ended.append(f"log {response.status} {record.aborted}")

    gateway, _ = await proxied(extra=BIND, plugins=[Waits])
    client = await gateway.connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")
    await until(lambda: gateway.proxy.in_flight == 1)

    client.reset()

    await until(lambda: len(ended) == 2)
    assert set(ended) == {"read", "log 499 client"}
    assert gateway.proxy.in_flight == 0


@pytest.mark.parametrize("waits_early", [True, False])
async def test_a_client_that_leaves_while_a_hook_waits_ends_the_request(proxied: Proxied, waits_early: bool) -> None:
    reached, ended = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    class Waits(Base):
        @hookimpl
        async def gateway_request(self, request: Request) -> None:
            if waits_early:
                await wait()

        @hookimpl
        async def gateway_pre_proxy(self, request: Request) -> None:
            await wait()

    gateway, upstream = await proxied(extra=BIND, plugins=[Waits])
    client = await gateway.connect()
    await client.send(GET)
    await asyncio.wait_for(reached.wait(), 30)

    client.reset()

    await asyncio.wait_for(ended.wait(), 30)
    await until(lambda: gateway.proxy.in_flight == 0)
    assert upstream.heads == []


async def test_a_client_that_leaves_while_a_response_hook_waits_ends_the_request(proxied: Proxied) -> None:
    reached, ended = asyncio.Event(), asyncio.Event()

    class Waits(Base):
        @hookimpl
        async def gateway_response(self, request: Request, response: Response) -> None:
            reached.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

    gateway, _ = await proxied(extra=BIND, plugins=[Waits])
    client = await gateway.connect()
    await client.send(GET)
    await asyncio.wait_for(reached.wait(), 30)

    client.reset()

    await asyncio.wait_for(ended.wait(), 30)
    await until(lambda: gateway.proxy.in_flight == 0)


class Doubler(BodyFilter):
    def feed(self, data: bytes) -> bytes:
        return data * 2

    def finish(self, trailers: Headers) -> bytes:
        return b"!"


class Transforms(Base):
    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        response.add_body_filter(Doubler)


async def two_pieces(peer: Peer) -> None:
    while True:
        head = await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        if not head.startswith(b"HEAD"):
            await peer.send(b"ab")
            await turns()
            await peer.send(b"cd")


async def test_a_transformed_body_is_framed_anew(proxied: Proxied) -> None:
    gateway, _ = await proxied(two_pieces, extra=BIND, plugins=[Transforms])

    response = await gateway.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    head, _, body = response.partition(b"\r\n\r\n")

    assert fields(head, b"content-length") == []
    assert fields(head, b"transfer-encoding") == [b"chunked"]
    payload = b"".join(body.split(b"\r\n")[1::2])
    assert payload.rstrip() == b"ababcdcd!"


async def test_head_says_nothing_of_the_length_of_a_transformed_body(proxied: Proxied) -> None:
    gateway, _ = await proxied(two_pieces, extra=BIND, plugins=[Transforms])
    client = await gateway.connect()

    for _ in range(2):
        await client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert fields(await client.head(), b"content-length") == []


@pytest.mark.one_protocol(reason="of HTTP/1.0")
async def test_a_transformed_body_for_http_1_0_ends_with_the_connection(proxied: Proxied) -> None:
    gateway, _ = await proxied(two_pieces, extra=BIND, plugins=[Transforms])
    assert (await gateway.send(b"GET / HTTP/1.0\r\n\r\n")).endswith(b"\r\n\r\nababcdcd!")


class Replaces(Base):
    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> Response:
        return Response(418, b"another", {"X-Was": str(response.status)})


async def test_a_hook_may_replace_a_response_whose_rest_nobody_reads(proxied: Proxied) -> None:
    left = asyncio.Event()

    async def endless(peer: Peer) -> None:
        await peer.head()
        try:
            await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                await peer.send(b"4\r\nmore\r\n" * 1000)
        finally:
            left.set()

    gateway, _ = await proxied(endless, extra=BIND, plugins=[Replaces])
    client = await gateway.connect()

    await client.send(GET)
    status, head, body = await client.response()

    assert (status, field(head, b"x-was"), body) == (418, b"200", b"another")
    await asyncio.wait_for(left.wait(), 30)


class GivesBody(Base):
    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        response.status = 200


@pytest.mark.parametrize("status", [b"304 Not Modified", b"204 No Content"])
async def test_a_status_without_a_body_that_becomes_another_has_an_empty_one(proxied: Proxied, status: bytes) -> None:
    gateway, _ = await proxied(
        b"HTTP/1.1 " + status + b"\r\nContent-Length: 50\r\n\r\n", extra=BIND, plugins=[GivesBody]
    )
    client = await gateway.connect()

    for _ in range(2):
        await client.send(GET)
        status_code, head, body = await client.response()
        assert (status_code, field(head, b"content-length"), body) == (200, b"0", b"")


class TakesBody(Base):
    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        response.status = 204
        response.headers["X-Changed"] = "1"


async def test_a_response_that_becomes_a_204_has_no_body(proxied: Proxied) -> None:
    gateway, _ = await proxied(extra=BIND, plugins=[TakesBody])
    client = await gateway.connect()

    for _ in range(2):
        await client.send(GET)
        head = await client.head()
        assert head.startswith(b"HTTP/1.1 204 ")
        assert fields(head, b"content-length") == []
        assert field(head, b"x-changed") == b"1"


async def test_the_log_phase_gets_the_truth(proxied: Proxied) -> None:
    records: list[tuple[int, Record]] = []

    class Logs(Base):
        @hookimpl
        def gateway_log(self, request: Request, response: Response, record: Record) -> None:
            records.append((response.status, record))

    gateway, _ = await proxied(extra=BIND, plugins=[Logs])
    client = await gateway.connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
    await client.response()

    [(status, record)] = records
    assert status == 200
    assert (record.bytes_received, record.bytes_sent) == (3, 2)
    assert (record.produced_by, record.upstream, record.aborted, record.error) == ("upstream", "u", None, None)
    assert [attempt.outcome for attempt in record.attempts] == ["responded"]


async def test_a_hook_that_fails_is_a_500_without_a_word_of_it(proxied: Proxied) -> None:
    class Fails(Base):
        @hookimpl
        async def gateway_pre_proxy(self, request: Request) -> None:
            raise RuntimeError("secret")

    gateway, upstream = await proxied(extra=BIND, plugins=[Fails])
    client = await gateway.connect()

    for _ in range(2):
        await client.send(GET)
        status, _, body = await client.response()
        assert status == 500
        assert b"secret" not in body

    assert upstream.heads == []
