"""What an upstream learns from a response that comes in parts."""

from __future__ import annotations

import asyncio

import pytest

from tests.core.proxy.kit import Peer, Proxied

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"


@pytest.mark.http1_upstream
@pytest.mark.parametrize("stalls", [False, True])
async def test_a_response_without_its_end_is_one_failure_and_no_success(proxied: Proxied, stalls: bool) -> None:
    async def break_off(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly")
        if stalls:
            await peer.rest()
        peer.close()

    gateway, _ = await proxied(
        break_off,
        upstream_extra="    timeouts: {idle: 1s}\n"
        "    circuit_breaker: {minimum_requests: 3, failure_ratio: 0.9, window: 1h, open_for: 1h}",
    )

    for _ in range(3):
        assert (await gateway.passing(2, gateway.send(GET))).endswith(b"only")

    assert (await gateway.ask(GET))[0] == 503


@pytest.mark.http1_upstream
async def test_a_response_in_several_parts_is_a_success(proxied: Proxied) -> None:
    async def in_parts(peer: Peer) -> None:
        head = await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        await sent_on.wait()
        sent_on.clear()
        await peer.send(b"body" if head.startswith(b"GET") else b"bo")
        peer.close()

    sent_on = asyncio.Event()
    gateway, _ = await proxied(
        in_parts, upstream_extra="    circuit_breaker: {minimum_requests: 2, failure_ratio: 0.6}"
    )

    for data in (GET, GET, POST, POST, GET):
        client = await gateway.connect()
        await client.send(data)
        assert (await client.head()).startswith(b"HTTP/1.1 200 ")
        sent_on.set()
        assert (await client.exactly(2)) == b"bo"
