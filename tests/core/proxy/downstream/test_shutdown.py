"""Clients that say their last word and listen on, and clients that are gone."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response
from gateway_core.proxy.downstream.shutdown import LINGER

from tests.core.process.certificates import Pair, make
from tests.core.process.hellos import TlsClient
from tests.core.proxy.kit import Peer, Proxied, StartProxy, StartUpstream, turns, until

pytestmark = pytest.mark.one_protocol(reason="connections of HTTP/1")

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("request_bytes", [GET, POST + b"hello", CHUNKED + b"2\r\nhi\r\n0\r\n\r\n"])
async def test_a_client_that_closes_its_half_gets_its_response(proxied: Proxied, request_bytes: bytes) -> None:
    gateway, _ = await proxied()
    client = await gateway.connect()

    await client.send(request_bytes)
    client.writer.write_eof()

    response = await asyncio.wait_for(client.rest(), 30)
    assert response.startswith(b"HTTP/1.1 200 OK\r\n")
    assert response.endswith(b"\r\n\r\nok")


async def test_every_request_before_the_end_gets_its_response(proxied: Proxied) -> None:
    gateway, upstream = await proxied()
    client = await gateway.connect()

    await client.send(GET * 3)
    client.writer.write_eof()

    assert (await asyncio.wait_for(client.rest(), 30)).count(b"HTTP/1.1 200 OK\r\n") == 3
    assert len(upstream.heads) == 3


async def test_a_response_under_way_reaches_its_end(proxied: Proxied) -> None:
    async def slowly(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        await ended.wait()
        await peer.send(b"cd")
        await peer.rest()

    ended = asyncio.Event()
    gateway, _ = await proxied(slowly)
    client = await gateway.connect()
    await client.send(GET)
    await client.head()

    client.writer.write_eof()
    await until(lambda: gateway.proxy.ending)
    ended.set()

    assert await asyncio.wait_for(client.rest(), 30) == b"abcd"


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"])
async def test_no_work_goes_on_for_long_for_a_client_that_may_be_gone(proxied: Proxied, begun: bytes) -> None:
    left = asyncio.Event()

    async def never(peer: Peer) -> None:
        await peer.head()
        await peer.send(begun)
        await peer.rest()
        left.set()

    gateway, _ = await proxied(never)
    client = await gateway.connect()
    await client.send(GET)
    await until(lambda: gateway.proxy.in_flight)

    client.close()

    await asyncio.wait_for(left.wait(), 30)
    await until(lambda: not gateway.proxy.ending and not gateway.proxy.connections)
    assert gateway.proxy.in_flight == 0


async def test_a_response_that_is_given_up_does_not_look_complete_to_http_1_0(proxied: Proxied) -> None:
    async def never(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nab")
        await peer.rest()

    gateway, _ = await proxied(never)
    client = await gateway.connect()
    await client.send(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
    await client.head()
    assert await client.exactly(2) == b"ab"

    client.writer.write_eof()

    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(client.rest(), 30)


@pytest.mark.parametrize("cut", [b"", b"GET / HTT", POST + b"hel", CHUNKED + b"2\r\nhi\r\n"])
async def test_a_request_that_is_cut_short_is_not_waited_for(proxied: Proxied, cut: bytes) -> None:
    gateway, _ = await proxied()
    client = await gateway.connect()

    await client.send(cut)
    client.writer.write_eof()

    assert await asyncio.wait_for(client.rest(), 30) == b""
    await until(lambda: not gateway.proxy.connections and not gateway.proxy.in_flight)


@pytest.mark.parametrize("field", [b"Content-Length: 1000000", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("connection", [b"close", b"keep-alive"])
async def test_a_client_that_still_sends_its_body_is_not_reset(
    proxied: Proxied, field: bytes, connection: bytes
) -> None:
    gateway, _ = await proxied(extra="limits: {max_body_bytes: 10}")
    client = await gateway.connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: " + connection + b"\r\n" + field + b"\r\n\r\n")
    await client.send(b"14\r\n" + bytes(20) + b"\r\n")

    assert (await client.rest()).startswith(b"HTTP/1.1 413 ")

    for _ in range(10):
        await client.send(bytes(1000))
        await turns()
    assert not client.writer.transport.is_closing()


def server_context(pair: Pair) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    return context


class TlsPeer:
    """A client over TLS that sends nothing by itself: no close_notify, and nothing at the end."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._client = TlsClient()

    async def shake_hands(self) -> None:
        await self._peer.send(self._client.hello())
        while True:
            try:
                self._client.tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._peer.send(self._client.outgoing.read())
                self._client.incoming.write(await self._peer.reader.read(65536))
            else:
                return

    async def send(self, data: bytes) -> None:
        self._client.tls.write(data)
        await self._peer.send(self._client.outgoing.read())

    async def rest(self) -> bytes:
        """Read until close_notify."""
        received = b""
        while True:
            try:
                data = self._client.tls.read(65536)
            except ssl.SSLWantReadError:
                self._client.incoming.write(await self._peer.reader.read(65536))
            except ssl.SSLZeroReturnError:
                return received
            else:
                received += data
                if not data:
                    return received


SIZE = 20_000_000
CLOSE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def test_the_end_of_a_client_over_tls_is_not_waited_for(
    start_proxy: StartProxy, start_upstream: StartUpstream, tmp_path: Path
) -> None:
    upstream = await start_upstream()
    config = f"limits: {{write_timeout: 0}}\nroutes: [{{id: all, path_prefix: /, target: '{upstream.url}'}}]"
    gateway = await start_proxy(config, tls=server_context(make(tmp_path, "a.test")))
    peer = await gateway.connect()
    client = TlsPeer(peer)
    await client.shake_hands()
    await client.send(CLOSE)
    assert (await client.rest()).endswith(b"ok")
    assert gateway.proxy.ending

    await gateway.passing(LINGER, asyncio.wait_for(peer.rest(), 15))  # event loops would wait for 30 s

    await until(lambda: not gateway.proxy.ending and not gateway.proxy.connections)


class Large(Plugin[Any]):
    """Responds with more than the kernel takes."""

    name = "p"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response:
        return Response(200, bytes(SIZE))


async def test_a_client_over_tls_that_reads_late_gets_the_whole_response(
    start_proxy: StartProxy, tmp_path: Path
) -> None:
    config = "plugins: [{name: p}]\nroutes: [{id: all, path_prefix: /, target: 'http://127.0.0.1:1'}]"
    gateway = await start_proxy(config, [Large], server_context(make(tmp_path, "a.test")))
    client = TlsPeer(await gateway.connect())
    await client.shake_hands()
    await client.send(CLOSE)
    await until(lambda: gateway.proxy.ending)

    for _ in range(5):
        await gateway.pass_time(LINGER)

    assert len(await client.rest()) > SIZE
