"""Requests that a plugin ends, over sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from gateway_core.hooks import Plugin, hookimpl_blocking
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Record, Request, Response

from tests.core.proxy.downstream.http2_client import http2
from tests.core.proxy.kit import Peer, Proxied, RawUpstream, RunningProxy, counts, until

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
BIND = "plugins: [{name: p}]"
records: list[Record] = []


class Base(Plugin[Any]):
    name = "p"

    @hookimpl
    def gateway_log(self, record: Record) -> None:
        records.append(record)


class InPlainHook(Base):
    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        request.abort("quota.over")
        request.abort("second.call")


class InAwaitedHook(Base):
    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> None:
        request.abort("quota.over")
        await asyncio.Event().wait()


class InThread(Base):
    @hookimpl_blocking
    def gateway_pre_proxy(self, request: Request) -> None:
        request.abort("quota.over")


class BehindTheHead(Base):
    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        request.abort("quota.over")


Start = Callable[..., Awaitable[tuple[RunningProxy, RawUpstream]]]


@pytest.fixture(autouse=True)
def no_records() -> None:
    records.clear()


async def ended(gateway: RunningProxy) -> Record:
    """Return the record once nothing is in progress any more."""
    await until(lambda: records and not counts(gateway))
    (record,) = records
    return record


@pytest.mark.parametrize("plugin", [InPlainHook, InAwaitedHook, InThread, BehindTheHead])
async def test_without_a_head_the_connection_closes(proxied: Proxied, plugin: type[Plugin[Any]]) -> None:
    gateway, upstream = await proxied(extra=BIND, plugins=[plugin])

    assert await gateway.send(GET) == b""

    record = await ended(gateway)
    assert (record.aborted, record.reason) == ("gateway", "quota.over")
    assert len(upstream.heads) == (plugin is BehindTheHead)


class Later(Base):
    """Ends requests whose response has begun, and tunnels."""

    requests: list[Request] = []

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        self.requests[:] = [request]


async def test_a_response_that_has_begun_is_cut(proxied: Proxied) -> None:
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        await peer.rest()
        closed.set()

    gateway, _ = await proxied(script, extra=BIND, plugins=[Later])
    client = await gateway.connect()
    await client.send(GET)
    await client.head()
    await client.exactly(6)
    Later.requests[0].abort("quota.over")

    assert await client.rest() == b""  # without the last chunk
    await asyncio.wait_for(closed.wait(), 30)
    record = await ended(gateway)
    assert (record.aborted, record.reason, record.bytes_sent) == ("gateway", "quota.over", 1)
    Later.requests[0].abort("too.late")


@pytest.mark.http1_upstream
async def test_a_tunnel_ends(proxied: Proxied) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhi")
        await peer.rest()

    gateway, _ = await proxied(script, extra=BIND, plugins=[Later])
    client = await gateway.connect()
    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
    await client.head()
    await client.exactly(2)
    Later.requests[0].abort("session.revoked")

    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await client.exactly(1)
    record = await ended(gateway)
    assert (record.aborted, record.reason) == ("gateway", "session.revoked")


async def test_in_shadow_mode_nothing_ends(proxied: Proxied) -> None:
    gateway, _ = await proxied(extra="plugins: [{name: p, mode: shadow}]", plugins=[InPlainHook])

    assert (await gateway.ask(GET))[0] == 200
    assert (await ended(gateway)).reason is None


@pytest.mark.one_protocol(reason="HTTP/2 has streams")
async def test_over_http2_its_stream_ends_and_no_other(proxied: Proxied) -> None:
    class Some(Base):
        @hookimpl
        def gateway_pre_proxy(self, request: Request) -> None:
            if request.path == "/ended":
                request.abort("quota.over")

    gateway, _ = await proxied(extra=BIND, plugins=[Some])
    async with http2(gateway) as client:
        ended, other = client.head(path="/ended"), client.head()
        await client.send(ended, other)
        await client.until(lambda: client.streams[ended.stream_id].reset is not None)
        await client.until(lambda: client.streams[other.stream_id].ended)

        assert (client.streams[ended.stream_id].heads, client.streams[other.stream_id].status) == ([], 200)
        assert (await client.ask()).status == 200


@pytest.mark.parametrize("reason", ["", "x", "Quota", "9a", "two words", "a/b"])
def test_a_reason_is_a_code(reason: str) -> None:
    with pytest.raises(ValueError, match="is not a reason"):
        Request("GET", "/").abort(reason)
