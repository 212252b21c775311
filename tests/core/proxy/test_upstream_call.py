"""Requests of the gateway's own, over sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from gateway_core.config import TimeoutsConfig
from gateway_core.errors import UpstreamError
from gateway_core.proxy.fetches import CallHead
from gateway_core.proxy.upstream_call import HIGH_WATER, UpstreamCall

from tests.core.proxy.kit import Peer, Proxied, RunningProxy, counts, until

GET = CallHead("GET", "/a?b", b"\r\nX-A: 1")


def call(
    gateway: RunningProxy,
    head: CallHead = GET,
    body: bytes | AsyncIterator[bytes] = b"",
    seconds: float | None = None,
    **timeouts: float,
) -> UpstreamCall:
    upstream = gateway.proxy.holder.current.upstreams["u"]
    return UpstreamCall(gateway.proxy.upstreams, upstream, head, TimeoutsConfig(**timeouts), body, seconds)


async def read_all(calling: UpstreamCall) -> bytes:
    parts = []
    while data := await calling.read():
        parts.append(data)
    return b"".join(parts)


async def test_a_call_gets_head_and_body_of_the_response(proxied: Proxied) -> None:
    gateway, upstream = await proxied(b"HTTP/1.1 404 Nope\r\nContent-Length: 4\r\nX-B: 2\r\n\r\nbody")
    calling = call(gateway)

    head = await calling.response()

    assert (head.status, await read_all(calling)) == (404, b"body")
    assert upstream.heads[0].startswith(b"GET /a?b HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"\r\nX-A: 1\r\n" in upstream.heads[0]
    assert counts(gateway) == {}


@pytest.mark.parametrize("is_iterated", [False, True])
async def test_a_call_may_have_a_body(proxied: Proxied, is_iterated: bool) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"one "
        await asyncio.sleep(0)
        yield b"two"

    gateway, upstream = await proxied()
    calling = call(gateway, CallHead("POST", "/"), parts() if is_iterated else b"one two")

    assert (await calling.response()).status == 200

    body = upstream.bodies[0]
    assert body == b"one two" if not is_iterated else body.endswith(b"0\r\n\r\n")


async def test_trailers_are_there_at_the_end(proxied: Proxied) -> None:
    gateway, _ = await proxied(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n")
    calling = call(gateway)

    await calling.response()

    assert await read_all(calling) == b"ok"
    assert calling.trailers.get("x-sum") == "7"


async def test_a_failed_attempt_is_retried(proxied: Proxied) -> None:
    attempts = 0

    async def serve(peer: Peer) -> None:
        nonlocal attempts
        attempts += 1
        await peer.head()
        if attempts > 1:
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        peer.close()

    gateway, _ = await proxied(serve, upstream_extra="    retries: {attempts: 1}")

    assert (await call(gateway).response()).status == 200
    assert attempts == 2


async def test_an_upstream_that_is_away_is_an_error_with_status_and_reason(proxied: Proxied) -> None:
    async def serve(peer: Peer) -> None:
        peer.close()

    gateway, _ = await proxied(serve)

    with pytest.raises(UpstreamError) as caught:
        await call(gateway).response()

    assert (caught.value.status, caught.value.reason) == (502, "upstream.reset")
    assert counts(gateway) == {}


async def test_a_response_that_does_not_come_in_time_is_a_504(proxied: Proxied) -> None:
    async def serve(peer: Peer) -> None:
        await peer.rest()

    gateway, _ = await proxied(serve)

    with pytest.raises(UpstreamError) as caught:
        await asyncio.wait_for(call(gateway, seconds=0.05).response(), 30)

    assert caught.value.status == 504
    assert counts(gateway) == {}


async def test_a_body_that_is_cut_off_raises_behind_what_came_of_it(proxied: Proxied) -> None:
    async def serve(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        peer.close()

    gateway, _ = await proxied(serve)
    calling = call(gateway)
    await calling.response()

    assert await calling.read() == b"abc"
    with pytest.raises(UpstreamError) as caught:
        await calling.read()

    assert caught.value.reason == "upstream.truncated"


async def test_a_caller_that_does_not_read_stops_the_upstream(proxied: Proxied) -> None:
    sent = 0

    async def serve(peer: Peer) -> None:
        nonlocal sent
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 27))
        while sent < 1 << 27:
            await peer.send(b"x" * 65536)
            sent += 65536

    gateway, _ = await proxied(serve)
    calling = call(gateway)
    await calling.response()
    await until(lambda: calling._is_paused)
    held = calling._buffered

    assert held < 16 * HIGH_WATER
    size = len(await calling.read())
    while size < 1 << 27:
        data = await calling.read()
        assert data
        size += len(data)
    assert await calling.read() == b""


async def test_a_call_that_is_closed_leaves_nothing_behind(proxied: Proxied) -> None:
    gone = asyncio.Event()

    async def serve(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        await peer.rest()
        gone.set()

    gateway, _ = await proxied(serve)
    calling = call(gateway)
    await calling.response()

    await calling.aclose()

    await asyncio.wait_for(gone.wait(), 30)
    assert counts(gateway) == {}
    assert not gateway.proxy.upstreams.calls
