"""Request bodies: responses that come before their end, stalls, and backpressure."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response
from gateway_core.proxy.request_body import RequestBody
from gateway_core.tasks import spawn

from tests.core.proxy.kit import Peer, Proxied, fields, until
from tests.protocols.choice import Protocols

EARLY = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\n\r\ntoo much"


async def responds_at_once(peer: Peer) -> None:
    """Respond as soon as the head is there, and close with the body unread: often that is a reset."""
    await peer.head()
    await peer.send(EARLY)
    peer.close()


async def responds_and_reads_no_more(peer: Peer) -> None:
    await peer.head()
    await peer.send(EARLY)
    await asyncio.Event().wait()


SIZES = [1_000, 10 << 20]
"""Bytes: there before the response, or surely not; in between it would depend on who is quicker."""


@pytest.mark.one_protocol(reason="the connection closes behind an early response")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("script", [responds_at_once, responds_and_reads_no_more])
async def test_a_response_before_the_end_of_the_body_reaches_a_client_that_sends_everything_first(
    proxied: Proxied, script: Any, size: int
) -> None:
    gateway, _ = await proxied(script)
    client = await gateway.connect()

    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
    for _ in range(0, size, 1 << 16):
        await asyncio.wait_for(client.send(b"x" * min(size, 1 << 16)), 30)
    status, head, body = await asyncio.wait_for(client.response(), 30)

    assert (status, body) == (413, b"too much")
    if size == SIZES[-1]:  # shorter ones may be complete before their response is there
        assert fields(head, b"connection") == [b"close"]
        assert await asyncio.wait_for(client.rest(), 30) == b""


@pytest.mark.one_protocol(reason="the connection closes behind an early response")
@pytest.mark.parametrize("script", [responds_at_once, responds_and_reads_no_more])
async def test_a_response_before_the_end_of_the_body_closes_the_connection(proxied: Proxied, script: Any) -> None:
    gateway, _ = await proxied(script)
    client = await gateway.connect()

    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
    status, head, body = await client.response()

    assert (status, body) == (413, b"too much")
    assert fields(head, b"connection") == [b"close"]
    assert await client.rest() == b""
    await until(lambda: gateway.proxy.in_flight == 0)


@pytest.mark.one_protocol(reason="the connection closes behind an early response")
async def test_an_early_response_to_a_chunked_body_closes_the_connection(proxied: Proxied) -> None:
    gateway, _ = await proxied(responds_and_reads_no_more)
    client = await gateway.connect()

    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    status, head, body = await client.response()

    assert (status, body) == (413, b"too much")
    assert fields(head, b"connection") == [b"close"]
    assert await client.rest() == b""


async def test_bytes_behind_an_early_response_are_not_a_request(proxied: Proxied) -> None:
    gateway, upstream = await proxied(responds_and_reads_no_more)
    client = await gateway.connect()

    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
    await client.response()
    await client.send(b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")

    assert await client.rest() == b""
    assert upstream.connections == 1


async def test_a_body_and_its_response_may_pass_each_other(proxied: Proxied, protocols: Protocols) -> None:
    async def echo(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n")
        for _ in range(3):
            await peer.send(await peer.exactly(5))

    gateway, _ = await proxied(echo)
    client = await gateway.connect()

    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\n")
    head = await client.head()
    for part in (b"first", b"secon", b"third"):
        await client.send(part)
        assert await client.exactly(5) == part

    assert fields(head, b"connection") == ([b"close"] if protocols.downstream == "http1" else [])


async def test_a_body_that_stalls_is_a_408(proxied: Proxied, protocols: Protocols) -> None:
    gateway, _ = await proxied(extra="limits: {body_timeout: 10s}")

    request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"
    response = await gateway.passing(11, gateway.send(request))

    assert response.startswith(b"HTTP/1.1 408 ")
    assert (b"Connection: close\r\n" in response) == (protocols.downstream == "http1")


@pytest.mark.one_protocol(reason="framing")
async def test_a_malformed_body_ends_the_request(proxied: Proxied) -> None:
    gateway, _ = await proxied()
    client = await gateway.connect()

    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    await until(lambda: gateway.proxy.in_flight)
    await client.send(b"zz\r\n")
    response = await client.rest()

    assert response.startswith(b"HTTP/1.1 400 ")
    assert gateway.proxy.in_flight == 0


async def test_a_client_that_leaves_within_its_body_is_no_end_of_it(proxied: Proxied) -> None:
    began: list[bytes] = []
    bodies: list[bytes] = []

    async def collect(peer: Peer) -> None:
        began.append(await peer.head())
        bodies.append(await peer.rest())

    gateway, _ = await proxied(collect)
    client = await gateway.connect()

    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    await until(lambda: began)
    client.close()

    await until(lambda: bodies)
    assert not bodies[0].endswith(b"0\r\n\r\n")


@pytest.mark.one_protocol(reason="a window of HTTP/2 holds less than the buffers of two sockets")
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_an_upload_is_no_faster_than_the_upstream(proxied: Proxied, framing: str) -> None:
    go_on = asyncio.Event()
    received: list[int] = []

    async def slow(peer: Peer) -> None:
        await peer.head()
        await go_on.wait()
        count = 0
        while count < 64 << 20:
            data = await peer.reader.read(1 << 20)
            if not data or data.endswith(b"\r\n0\r\n\r\n"):
                break
            count += len(data)
        received.append(count)
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    gateway, _ = await proxied(slow)
    client = await gateway.connect()
    size, piece = 64 << 20, b"x" * (1 << 20)
    if framing == "length":
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
    else:
        piece = b"%x\r\n%b\r\n" % (len(piece), piece)
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")

    async def pour() -> None:
        for _ in range(64):
            await client.send(piece)
        if framing == "chunked":
            await client.send(b"0\r\n\r\n")

    pouring = spawn(pour(), name="test")
    done, _ = await asyncio.wait([pouring], timeout=1)
    assert not done
    go_on.set()

    await asyncio.wait_for(pouring, 30)
    assert (await client.response())[0] == 200


class Refuses(Plugin[Any]):
    name = "p"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response:
        return Response.problem(401)


@pytest.mark.one_protocol(reason="the connection closes behind an early response")
async def test_a_plugin_that_refuses_stops_the_upload_too(proxied: Proxied) -> None:
    gateway, upstream = await proxied(extra="plugins: [{name: p}]", plugins=[Refuses])
    client = await gateway.connect()

    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 100_000)
    status, head, _ = await client.response()

    assert status == 401
    assert fields(head, b"connection") == [b"close"]
    assert await client.rest() == b""
    assert upstream.connections == 0


EXPECTING = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"


async def test_a_plugin_that_refuses_asks_for_no_body(proxied: Proxied) -> None:
    gateway, _ = await proxied(extra="plugins: [{name: p}]", plugins=[Refuses])

    response = await gateway.send(EXPECTING)

    assert response.startswith(b"HTTP/1.1 401 ")
    assert b"HTTP/1.1 100" not in response


@pytest.mark.parametrize("status", [b"417 Expectation Failed", b"401 Unauthorized"])
async def test_an_upstream_that_refuses_to_go_on_gets_no_body(proxied: Proxied, status: bytes) -> None:
    rest: list[bytes] = []

    async def refuse(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
        rest.append(await peer.rest())

    gateway, _ = await proxied(refuse)

    response = await gateway.send(EXPECTING)

    assert response.startswith(b"HTTP/1.1 " + status)
    assert b"HTTP/1.1 100" not in response
    await until(lambda: rest)
    assert rest == [b""]


@pytest.mark.one_protocol(reason="of HTTP/1.0")
async def test_http_1_0_gets_no_100(proxied: Proxied) -> None:
    gateway, upstream = await proxied()

    response = await gateway.send(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc")

    assert response.startswith(b"HTTP/1.1 200 ")
    assert fields(upstream.heads[0], b"expect") == []
    assert upstream.bodies == [b"abc"]


async def test_an_upstream_that_responds_without_100_has_its_say(proxied: Proxied) -> None:
    async def late(peer: Peer) -> None:
        await peer.head()
        await peer.exactly(3)
        await peer.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await peer.head()

    gateway, _ = await proxied(late)
    client = await gateway.connect()

    await client.send(EXPECTING + b"abc")
    head = await client.head()
    while head.startswith(b"HTTP/1.1 100 "):
        head = await client.head()

    assert head.startswith(b"HTTP/1.1 200 ")
    assert await client.exactly(2) == b"ok"


async def test_a_100_that_nobody_asked_for_is_dropped(proxied: Proxied) -> None:
    gateway, _ = await proxied(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    assert (await gateway.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 200


class Reserving(Plugin[None]):
    """Has a field that only it may set."""

    name = "reserving"
    reserved_headers = frozenset({"X-User"})


@pytest.mark.parametrize("is_cut", [False, True])
@pytest.mark.parametrize("name", [b"X-User", b"x_user", b"X.USER"])
async def test_reserved_fields_are_removed_from_the_trailers_too(proxied: Proxied, name: bytes, is_cut: bool) -> None:
    """A server that adds trailers to the fields of the head would take them for the plugin's."""
    began, ended = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def take(peer: Peer) -> None:
        head = await peer.head()
        began.set()
        ended.set_result(head + await peer.reader.readuntil(b"\r\n\r\n"))
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    gateway, _ = await proxied(take, extra="plugins: [{name: reserving}]\n", plugins=[Reserving])
    client = await gateway.connect()
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"
    end = b"0\r\nX-Sum: 1\r\n" + name + b": root\r\nX-Users: 2\r\n\r\n"

    if is_cut:
        await client.send(head)
        await asyncio.wait_for(began.wait(), 30)
        await client.send(end)
    else:
        await client.send(head + end)

    assert (await asyncio.wait_for(ended, 30)).endswith(b"0\r\nX-Sum: 1\r\nX-Users: 2\r\n\r\n")
    assert (await client.response())[0] == 200


class Flow:
    """Whether the client is to send its body."""

    is_paused = False

    def pause_request(self) -> None:
        self.is_paused = True

    def resume_request(self) -> None:
        self.is_paused = False


class Owner:
    """An exchange that has nothing to do."""

    def body_progress(self) -> None: ...
    def body_ended(self) -> None: ...
    def body_failed(self, status: int, reason: str, detail: str) -> None: ...


def test_a_body_that_is_complete_pauses_the_connection_no_longer() -> None:
    """TLS may deliver the end of a body behind a pause; the next request on the connection is to be read."""
    flow = Flow()
    body = RequestBody(Owner(), flow)
    body.pause()
    assert flow.is_paused

    body.feed(b"the end")
    body.end()

    assert not flow.is_paused


class Client:
    """Owner and flow of a body, which nothing is asked of here."""

    def body_progress(self) -> None: ...
    def body_ended(self) -> None: ...
    def pause_request(self) -> None: ...
    def resume_request(self) -> None: ...

    def body_failed(self, status: int, reason: str, detail: str) -> None:
        raise AssertionError((status, reason, detail))


@pytest.mark.parametrize(
    ("limit", "announced", "came", "is_within"),
    [
        (0, -1, b"abc", True),
        (0, 1 << 40, b"", True),
        (3, 3, b"abc", True),
        (3, -1, b"abc", True),
        (3, 4, b"", False),
        (3, -1, b"abcd", False),
    ],
)
def test_what_is_known_of_a_body_is_held_against_its_limit(
    limit: int, announced: int, came: bytes, is_within: bool
) -> None:
    client = Client()
    body = RequestBody(client, client, came)

    assert body.limit_to(limit, announced) is is_within
