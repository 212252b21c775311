"""The short way through the aiohttp lane and aiohttp's own task, in turns on one connection."""

from __future__ import annotations

import asyncio

import pytest
from gateway_core.proxy.aiohttp_lane import AiohttpLane

from tests.core.proxy.kit import Peer, Proxied, RunningProxy, until

GET = b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
CHUNKED = b"PUT /%d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"


@pytest.fixture
def lane() -> str:
    return "aiohttp"


async def echo_path(peer: Peer) -> None:
    while True:
        head = await peer.head()
        if b"Content-Length: 3" in head:
            await peer.exactly(3)
        elif b"Transfer-Encoding" in head:
            await peer.exactly(len(b"3\r\nabc\r\n0\r\n\r\n"))
        path = head.split(b" ")[1]
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))


def the_lane(gateway: RunningProxy) -> AiohttpLane:
    (lane,) = gateway.proxy.lanes
    assert isinstance(lane, AiohttpLane)
    return lane


async def test_requests_with_and_without_bodies_are_answered_in_order(proxied: Proxied) -> None:
    gateway, _ = await proxied(echo_path)
    client = await gateway.connect()
    kinds = [GET, GET, POST, GET, CHUNKED, CHUNKED, GET, POST, GET, GET]

    await client.send(b"".join(kind % n for n, kind in enumerate(kinds)))

    assert [(await client.answer())[2] for _ in kinds] == [b"/%d" % n for n in range(len(kinds))]


async def test_a_hundred_pipelined_requests_are_all_answered(proxied: Proxied) -> None:
    gateway, _ = await proxied()
    client = await gateway.connect()

    await client.send(GET % 1 * 100 + b"GET / HTTP/1.1 \r\n\r\n")

    for _ in range(100):
        assert (await client.answer())[0] == 200
    assert (await client.answer())[0] == 400


async def test_the_same_head_in_another_version_is_another_request(proxied: Proxied) -> None:
    gateway, _ = await proxied()
    client = await gateway.connect()
    await client.send(GET % 1)
    await client.answer()

    await client.send(GET.replace(b"1.1", b"1.0") % 1)

    assert b"connection: close" in (await client.rest()).lower()


async def test_the_timer_of_an_earlier_request_does_not_close_the_connection_under_a_later_one(
    proxied: Proxied,
) -> None:
    answers = asyncio.Event()

    async def wait(peer: Peer) -> None:
        await echo_path_until(peer, answers)

    gateway, _ = await proxied(wait, extra="limits: {idle_timeout: 300ms}")
    client = await gateway.connect()
    await client.send(POST % 1)
    await client.answer()

    await client.send(GET % 2)
    await until(lambda: gateway.proxy.in_flight)
    loop = asyncio.get_running_loop()
    past = loop.time() + 0.6
    await until(lambda: loop.time() > past)
    answers.set()

    assert (await client.answer())[2] == b"ok"


async def echo_path_until(peer: Peer, event: asyncio.Event) -> None:
    await peer.head()
    await peer.exactly(3)
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    await peer.head()
    await event.wait()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


@pytest.mark.parametrize("last", [GET, POST])
async def test_an_idle_connection_is_closed_whichever_way_its_last_request_took(proxied: Proxied, last: bytes) -> None:
    gateway, _ = await proxied(echo_path, extra="limits: {idle_timeout: 200ms}")
    client = await gateway.connect()
    for kind in (POST, GET, last):
        await client.send(kind % 1)
        await client.answer()

    assert await asyncio.wait_for(client.rest(), 10) == b""


async def test_a_head_that_does_not_get_complete_times_out_behind_a_request(proxied: Proxied) -> None:
    gateway, _ = await proxied(extra="limits: {header_timeout: 200ms}")
    client = await gateway.connect()
    await client.send(GET % 1)
    await client.answer()

    await client.send(b"GET / HTTP/1.1\r\nHo")

    assert (await asyncio.wait_for(client.answer(), 10))[0] == 408


async def test_the_last_request_of_a_connection_says_so(proxied: Proxied) -> None:
    gateway, _ = await proxied(extra="limits: {max_requests_per_connection: 2}")
    client = await gateway.connect()

    await client.send(GET % 1 * 3)

    assert (await client.answer())[0] == 200
    rest = await client.rest()
    assert rest.count(b"HTTP/1.1 200") == 1
    assert b"Connection: close" in rest


async def test_a_client_that_does_not_read_gets_no_next_request_begun(proxied: Proxied) -> None:
    body = b"x" * (1 << 20)
    gateway, upstream = await proxied(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    client = await gateway.connect()

    await client.send(GET % 1 * 40)
    await until(lambda: the_lane(gateway)._paused)
    assert len(upstream.heads) < 40

    for _ in range(40):
        assert (await client.answer())[2] == body
