"""One attempt: what a kept connection that was closed means, and what this process lacks."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Record, Request, Response

from tests.core.proxy.kit import Peer, Proxied, counts, until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
UPGRADE = b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
records: list[Record] = []


class Logs(Plugin[Any]):
    name = "p"

    @hookimpl
    def gateway_log(self, request: Request, response: Response, record: Record) -> None:
        records.append(record)


def request(method: bytes) -> bytes:
    return method + b" / HTTP/1.1\r\nHost: x\r\n\r\n"


class ClosesTheSecond:
    """An upstream responds the first request of each connection, and closes it without a byte at the second."""

    def __init__(self, instead: bytes = b"") -> None:
        self.requests = 0
        self.instead = instead

    async def __call__(self, peer: Peer) -> None:
        await peer.head()
        self.requests += 1
        await peer.send(OK)
        await peer.head()
        self.requests += 1
        if self.instead:
            await peer.send(self.instead)
        peer.close()


@pytest.mark.one_protocol(reason="a kept connection that is closed says nothing about its request over HTTP/1 only")
@pytest.mark.parametrize("instead", [b"", b"\r\n", b"garbage\r\n\r\n"])
async def test_a_request_on_a_stale_connection_is_sent_once_more_for_free(proxied: Proxied, instead: bytes) -> None:
    upstream = ClosesTheSecond(instead)
    gateway, _ = await proxied(upstream, extra="plugins: [{name: p}]", plugins=[Logs])
    assert (await gateway.ask(request(b"GET")))[0] == 200
    records.clear()

    status, _, _ = await gateway.ask(request(b"GET"))

    assert (status, upstream.requests) == (200, 3)
    assert [attempt.outcome for attempt in records[0].attempts] == ["responded"]


@pytest.mark.one_protocol(reason="a kept connection that is closed says nothing about its request over HTTP/1 only")
@pytest.mark.parametrize("method", [b"POST", b"PATCH"])
async def test_a_method_that_must_not_be_sent_twice_is_not(proxied: Proxied, method: bytes) -> None:
    upstream = ClosesTheSecond()
    gateway, _ = await proxied(upstream)
    await gateway.ask(request(b"GET"))

    status, _, _ = await gateway.ask(request(method))

    assert (status, upstream.requests) == (502, 2)


@pytest.mark.one_protocol(reason="a kept connection that is closed says nothing about its request over HTTP/1 only")
async def test_the_methods_of_the_retry_policy_hold_for_the_free_resend_too(proxied: Proxied) -> None:
    upstream = ClosesTheSecond()
    gateway, _ = await proxied(upstream, upstream_extra="    retries: {attempts: 1, methods: [GET]}")
    await gateway.ask(request(b"GET"))

    status, _, _ = await gateway.ask(request(b"DELETE"))

    assert (status, upstream.requests) == (502, 2)


async def test_one_retry_and_one_resend_are_all_there_is(proxied: Proxied) -> None:
    sent = 0
    is_failing = False

    async def serve(peer: Peer) -> None:
        nonlocal sent
        while True:
            await peer.head()
            sent += 1
            if is_failing:
                peer.close()
                return
            await peer.send(OK)

    gateway, _ = await proxied(serve, upstream_extra="    retries: {attempts: 1}")
    clients = [await gateway.connect() for _ in range(4)]
    for client in clients:
        await client.send(request(b"GET"))
    for client in clients:
        await client.response()
    is_failing, sent = True, 0

    status, _, _ = await gateway.ask(request(b"GET"))

    assert status == 502
    assert sent == 3


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    """Leave this process no descriptor for another socket."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (held[0], before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        os.close(held[0])


async def test_want_of_descriptors_is_a_503_that_is_not_held_against_the_endpoint(proxied: Proxied) -> None:
    extra = "    outlier_detection: {consecutive_failures: 1, consecutive_5xx: 1}\n    retries: {attempts: 3}"
    gateway, upstream = await proxied(extra="plugins: [{name: p}]", upstream_extra=extra, plugins=[Logs])
    client = await gateway.connect()
    await until(lambda: len(gateway.proxy.connections) == 1)
    records.clear()

    with no_descriptors_left():
        await client.send(request(b"GET"))
        status, _, _ = await client.response()
    again = await gateway.ask(request(b"GET"))

    assert (status, again[0]) == (503, 200)
    assert (records[0].reason, len(records[0].attempts)) == ("upstream.local-error", 1)
    assert len(upstream.heads) == 1
    assert counts(gateway) == {}


async def test_a_101_to_another_protocol_than_the_client_offered_is_a_502(proxied: Proxied) -> None:
    async def serve(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        await peer.rest()

    gateway, _ = await proxied(serve, extra="plugins: [{name: p}]", plugins=[Logs])
    records.clear()

    status, _, _ = await gateway.ask(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")

    assert status == 502
    await until(lambda: records)
    assert records[0].reason == "upstream.bad-response"
    assert counts(gateway) == {}


async def test_trailers_of_a_request_are_forwarded(proxied: Proxied) -> None:
    received = asyncio.get_running_loop().create_future()

    async def serve(peer: Peer) -> None:
        head = await peer.head()
        body = await peer.reader.readuntil(b"\r\n\r\n")
        received.set_result((head, body))
        await peer.send(OK)

    gateway, _ = await proxied(serve)
    client = await gateway.connect()

    await client.send(
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nTE: trailers\r\n\r\n"
    )
    await client.send(b"2\r\nab\r\n")
    await client.send(b"0\r\nX-Sum: 7\r\n\r\n")
    await client.response()

    head, body = await received
    assert b"\r\nTrailer: X-Sum\r\n" in head
    assert b"\r\nTE: trailers\r\n" in head
    assert body == b"2\r\nab\r\n0\r\nX-Sum: 7\r\n\r\n"


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 9\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"]
)
async def test_a_change_of_protocol_before_the_request_is_complete_is_502(proxied: Proxied, framing: bytes) -> None:
    """The rest of the body would be the first bytes of the new protocol."""
    closed = asyncio.Event()

    async def switch(peer: Peer) -> None:
        await peer.reader.readuntil(b"half")
        await peer.send(SWITCH)
        await peer.rest()
        closed.set()

    gateway, _ = await proxied(switch)
    client = await gateway.connect()

    await client.send(UPGRADE.replace(b"GET", b"POST").removesuffix(b"\r\n") + framing)
    received = await client.rest()

    assert received.startswith(b"HTTP/1.1 502 ")
    await asyncio.wait_for(closed.wait(), 30)


@pytest.mark.one_protocol(reason="a request that changes the protocol has no body in HTTP/2")
async def test_a_request_with_a_complete_body_may_change_the_protocol(proxied: Proxied) -> None:
    async def switch(peer: Peer) -> None:
        await peer.reader.readuntil(b"whole")
        await peer.send(SWITCH)
        await peer.send(await peer.exactly(3))

    gateway, _ = await proxied(switch)
    client = await gateway.connect()

    await client.send(UPGRADE.removesuffix(b"\r\n") + b"Content-Length: 5\r\n\r\nwhole")

    assert (await client.head()).startswith(b"HTTP/1.1 101 ")
    await client.send(b"raw")
    assert await client.exactly(3) == b"raw"
