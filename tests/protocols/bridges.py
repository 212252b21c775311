"""Bridges that let peers which speak HTTP/1 be peers of HTTP/2, so that one test is run over both.

A test's client writes requests, and its upstream responses, as the text of HTTP/1. Over HTTP/2 there is a bridge
between each and the gateway::

    client --HTTP/1-- ClientSide --HTTP/2-- gateway --HTTP/2-- UpstreamSide --HTTP/1-- upstream

A connection of the client's is a connection to the gateway, and each request on it a stream. A stream to the upstream
is a connection of its own there. What ends one side early ends the other: a lost connection is RST_STREAM(CANCEL), and
RST_STREAM is a closed connection. Bodies pass in the pieces in which they come, as fast as the receiver takes them. An
upgrade is an extended CONNECT (RFC 8441).

What is only in HTTP/1 does not pass: framing, Connection, reuse of connections, pipelining. Tests of those are marked
``one_protocol``.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Protocol

from gateway_core.testing.stream_server import StreamServer
from h2.errors import ErrorCodes
from h2.events import InformationalResponseReceived, RequestReceived, ResponseReceived

from tests.protocols.copying import Connect, pass_on, reset
from tests.protocols.http1_text import (
    Fields,
    Head,
    chunk,
    last_chunk,
    plain_fields,
    read_body,
    read_head,
    request_fields,
    request_text,
    response_text,
)
from tests.protocols.http2_link import Link, Stream, StreamAbortedError, pairs

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_LOST = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)
_LIMIT = 1 << 20


class Side(Protocol):
    """What a bridge does with a connection."""

    faults: list[Exception]
    """What rules of HTTP/2 the gateway broke."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""


class ClientSide:
    """Takes requests over HTTP/1 and sends them to the gateway over HTTP/2."""

    def __init__(self, connect: Connect) -> None:
        """Serve clients.

        :param connect: makes a connection to the gateway.
        """
        self.connect = connect
        self.faults: list[Exception] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Link(*await self.connect(), is_client=True)
        link.begin()
        try:
            async with asyncio.TaskGroup() as tasks:
                receiving = tasks.create_task(self._receive(link, writer))
                try:
                    await self._requests(link, reader, writer, tasks)
                finally:
                    link.close()
                await receiving
        finally:
            if link.fault is not None:
                self.faults.append(link.fault)

    @staticmethod
    async def _receive(link: Link, writer: asyncio.StreamWriter) -> None:
        await link.run()
        await link.delivered()
        if link.is_reset:
            reset(writer)
        writer.close()

    async def _requests(
        self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tasks: asyncio.TaskGroup
    ) -> None:
        responding: asyncio.Task[bool] | None = None
        exchange: _Exchange | None = None
        while True:
            try:
                head = await read_head(reader)
            except _LOST:
                if responding is not None and exchange is not None and exchange.is_tunnel:
                    await responding  # one direction of it has ended
                return
            if responding is not None and not await responding:
                return
            exchange = _Exchange(head, link.stream())
            responding = tasks.create_task(exchange.respond(writer))
            try:
                await exchange.upload(link, reader)
            except StreamAbortedError:
                await responding
                return
            except _LOST:
                exchange.stream.reset()
                return


class _Exchange:
    """One request of the client's and its response."""

    def __init__(self, request: Head, stream: Stream) -> None:
        self.stream = stream
        self._request = request
        self._is_uploaded = False
        self.is_tunnel = False
        self._switched: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """Whether the connection is a tunnel from now on."""

    async def upload(self, link: Link, reader: asyncio.StreamReader) -> None:
        request, stream = self._request, self.stream
        if request.upgrade is not None:
            await link.settings()
            stream.head(request_fields(request))
            if not await self._switched:
                stream.reset()  # there is nothing to send; the gateway may have reset it before
            else:
                while data := await reader.read(65536):
                    await stream.data(data)
                stream.end()
        elif request.is_chunked or request.value("content-length") not in {None, "0"}:
            stream.head(request_fields(request))
            async for piece in read_body(reader, request, until_close=False):
                await stream.data(piece)
            stream.end(request.trailers)
        else:
            stream.head(request_fields(request), ends=True)
        self._is_uploaded = True

    async def respond(self, writer: asyncio.StreamWriter) -> bool:
        """Pass the response on; return whether the connection is there for another request."""
        is_chunked = False
        trailers: Fields = []
        try:
            async for event in self.stream.events():
                if isinstance(event, bytes):
                    writer.write(chunk(event) if is_chunked else event)
                elif isinstance(event, ResponseReceived):
                    fields = pairs(event.headers)
                    is_chunked = self._needs_chunks(dict(fields))
                    writer.write(response_text(fields, chunked=is_chunked, request=self._request))
                elif isinstance(event, InformationalResponseReceived):
                    writer.write(response_text(pairs(event.headers), chunked=False, request=self._request))
                else:
                    trailers = pairs(event.headers)
                await writer.drain()
            if is_chunked:
                writer.write(last_chunk(trailers))
        except (StreamAbortedError, OSError):
            if self.stream.is_refused:
                reset(writer)
            writer.close()
            return False
        finally:
            self.stream.delivered.set()
            if not self._switched.done():
                self._switched.set_result(False)
        if self._request.is_last or not self._is_uploaded:
            await writer.drain()
            writer.close()
            return False
        return True

    def _needs_chunks(self, fields: dict[str, str]) -> bool:
        """Take a final head; return whether it has a body without a length."""
        status = fields[":status"]
        is_switched = self.is_tunnel = self._request.upgrade is not None and status == "200"
        self._is_uploaded = self._is_uploaded or (self._request.upgrade is not None and not is_switched)
        if not self._switched.done():
            self._switched.set_result(is_switched)
        has_body = self._request.method != "HEAD" and status not in {"204", "304"}
        return has_body and not is_switched and "content-length" not in fields


class UpstreamSide:
    """Takes requests of the gateway, over HTTP/1 or HTTP/2, and sends them to the upstream over HTTP/1."""

    def __init__(self, connect: Connect, opened: Callable[[], None]) -> None:
        """Serve the gateway.

        :param connect: makes a connection to the upstream.
        """
        self.connect = connect
        self.faults: list[Exception] = []
        self._opened = opened

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._opened()
        begun = await reader.read(65536)
        while begun and len(begun) < len(_PREFACE) and _PREFACE.startswith(begun):
            begun += await reader.read(65536)
        if begun.startswith(_PREFACE):
            await self._serve_http2(Link(reader, writer, is_client=False), begun)
        elif begun:
            await pass_on(self.connect, reader, writer, begun)

    async def _serve_http2(self, link: Link, begun: bytes) -> None:
        link.begin()
        async with asyncio.TaskGroup() as tasks:

            def on_request(event: RequestReceived, stream: Stream) -> None:
                tasks.create_task(self._exchange(stream, pairs(event.headers), ends=event.stream_ended is not None))

            await link.run(begun, on_request)
        if link.fault is not None:
            self.faults.append(link.fault)

    async def _exchange(self, stream: Stream, fields: Fields, *, ends: bool) -> None:
        try:
            reader, writer = await self.connect()
        except OSError:
            stream.reset(ErrorCodes.REFUSED_STREAM)
            return
        try:
            writer.write(request_text(fields, ends=ends))
            is_chunked = not ends and "content-length" not in dict(fields)
            async with asyncio.TaskGroup() as tasks:
                uploading = tasks.create_task(_upload(stream, writer, is_chunked=is_chunked))
                await self._respond(stream, reader, dict(fields)[":method"])
                if uploading.done():
                    return
                # A response that comes before the end of the request needs no more of it (RFC 9113 section 8.1).
                stream.reset(ErrorCodes.NO_ERROR)
                uploading.cancel()
        finally:
            writer.close()

    @staticmethod
    async def _respond(stream: Stream, reader: asyncio.StreamReader, method: str) -> None:
        try:
            while (head := await read_head(reader)).status < 200:
                stream.head([(":status", str(head.status)), *plain_fields(head)])
            fields = [(":status", str(head.status)), *plain_fields(head)]
            if method == "HEAD" or head.status in {204, 304}:
                stream.head(fields, ends=True)
                return
            stream.head(fields)
            async for piece in read_body(reader, head, until_close=True):
                await stream.data(piece)
            stream.end(head.trailers)
        except StreamAbortedError:
            pass
        except (*_LOST, ValueError):
            stream.reset(ErrorCodes.INTERNAL_ERROR)


async def _upload(stream: Stream, writer: asyncio.StreamWriter, *, is_chunked: bool) -> None:
    """Pass a request's body on; when the gateway gives the stream up, close the connection."""
    trailers: Fields = []
    try:
        async for event in stream.events():
            if isinstance(event, bytes):
                writer.write(chunk(event) if is_chunked else event)
                await writer.drain()
            else:
                trailers = pairs(event.headers)
        if is_chunked:
            writer.write(last_chunk(trailers))
        await stream.closed()
        writer.transport.abort()
    except (StreamAbortedError, OSError):
        writer.transport.abort()


def to_address(port: int, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Connect:
    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        name = "localhost" if tls else None
        return await asyncio.open_connection(host, port, ssl=tls, server_hostname=name, limit=_LIMIT)

    return connect


@asynccontextmanager
async def listening(side: Side) -> AsyncIterator[int]:
    server = StreamServer(side.serve)
    try:
        yield await server.start()
    finally:
        await server.close()
    assert not side.faults, side.faults


@asynccontextmanager
async def http2_to(port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Run a bridge to a gateway, and return the port for clients that speak HTTP/1.

    What breaks a rule of HTTP/2 fails the test at the end.

    :param tls: the client's; it is to choose HTTP/2 by ALPN.
    """
    async with listening(ClientSide(to_address(port, tls))) as port_of_bridge:
        yield port_of_bridge


_ports: set[int] = set()


@asynccontextmanager
async def http2_in_front_of(port: int, opened: Callable[[], None] = lambda: None) -> AsyncIterator[int]:
    """Run a bridge to an upstream that speaks HTTP/1, and return the port on which it speaks HTTP/2 too.

    :param opened: called for each connection of the gateway's.
    """
    async with listening(UpstreamSide(to_address(port), opened)) as own:
        _ports.add(own)
        try:
            yield own
        finally:
            _ports.discard(own)


def http2_ports() -> Collection[int]:
    """Return where bridges to upstreams listen."""
    return _ports
