"""Clients of all kinds for `edits.py`, and the upstream that they ask.

They keep connections, make new ones, speak HTTP/1, HTTP/2 and TLS, send and get bodies in pieces that last longer than
an edit, and hold WebSockets. Whatever is not the expected response, or breaks off, is counted as a failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import traffic  # type: ignore[import-not-found]  # a neighbour, as scripts import it

PIECES = 10
PIECE = b"x" * 512
PAUSE = 0.05
"""Seconds between the pieces of a body."""
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
TOKEN = traffic.token(1)
UPGRADE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
FIELDS = f"Host: test\r\nAuthorization: Bearer {TOKEN}\r\n".encode()


# -- the upstream


async def serve(name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Respond to requests of one connection: at once, in pieces, or as an echo behind a 101."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):  # it ends with us
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if b"\r\nupgrade: websocket" in head:
                writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
                while data := await reader.read(4096):
                    writer.write(data)
                break
            size = 0
            if b"transfer-encoding: chunked" in head:
                while length := int(await reader.readuntil(b"\r\n"), 16):
                    size += length
                    await reader.readexactly(length + 2)
                await reader.readexactly(2)
            if head.startswith(b"get /stream"):
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                for _ in range(PIECES):
                    writer.write(b"%x\r\n%b\r\n" % (len(PIECE), PIECE))
                    await asyncio.sleep(PAUSE)
                writer.write(b"0\r\n\r\n")
            else:
                body = b"%d %b" % (size, name.encode())
                writer.write(
                    b"HTTP/1.1 200 OK\r\nX-End: %b\r\nContent-Length: %d\r\n\r\n%b" % (name.encode(), len(body), body)
                )
    writer.close()


# -- clients


@dataclass(slots=True)
class Load:
    """Clients that go on until it is over, and what became of what they did."""

    port: int
    tls_port: int
    is_over: bool = False
    done: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    async def run(self, kind: str, use: Callable[[Load], Awaitable[None]]) -> None:
        """Do the same again and again; whatever it raises is a failure."""
        while not self.is_over:
            try:
                await use(self)
            except Exception as error:  # noqa: BLE001 - counted
                self.failures[f"{kind}: {error!r}"[:150]] += 1

    def count(self, kind: str, response: bytes, status: bytes = b"200", part: bytes = b"") -> None:
        """Count a response, whose status and part have to be these."""
        self.done[kind] += 1
        if response[9:12] != status or part not in response:
            self.failures[f"{kind}: {response[:60]!r}"] += 1


async def response_of(reader: asyncio.StreamReader) -> bytes:
    """Read one response with its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head.lower():
        while length := int(await reader.readuntil(b"\r\n"), 16):
            head += await reader.readexactly(length + 2)
        await reader.readexactly(2)
        return head
    found = LENGTH.search(head)
    return head + await reader.readexactly(int(found[1]) if found else 0)


@contextlib.asynccontextmanager
async def connection(port: int, context: ssl.SSLContext | None = None):  # type: ignore[no-untyped-def]
    """Connect, and close in the end."""
    reader, writer = await asyncio.open_connection("127.0.0.2" if context else "127.0.0.1", port, ssl=context)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def get(path: bytes, more: bytes = b"") -> bytes:
    return b"GET %b HTTP/1.1\r\n%b%b\r\n" % (path, FIELDS, more)


async def kept(load: Load) -> None:
    async with connection(load.port) as (reader, writer):
        while not load.is_over:
            for path, status in ((b"/plain", b"200"), (b"/edited", b"308"), (b"/moved", b"200")):
                writer.write(get(path))
                head = await response_of(reader)
                load.count("kept", head, status)
                if b"\r\nconnection: close" in head.lower():
                    return
                await asyncio.sleep(0.01)


async def fresh(load: Load) -> None:
    async with connection(load.port) as (reader, writer):
        writer.write(get(b"/plain", b"Connection: close\r\n"))
        load.count("new connection", await response_of(reader))
    await asyncio.sleep(0.01)


async def over_tls(load: Load) -> None:
    async with connection(load.tls_port, unverified()) as (reader, writer):
        for _ in range(20):
            writer.write(get(b"/plain"))
            head = await response_of(reader)
            load.count("tls", head)
            if b"\r\nconnection: close" in head.lower():
                return
            await asyncio.sleep(0.01)


async def upload(load: Load) -> None:
    async with connection(load.port) as (reader, writer):
        writer.write(b"POST /plain HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n" % FIELDS)
        for _ in range(PIECES):
            writer.write(b"%x\r\n%b\r\n" % (len(PIECE), PIECE))
            await asyncio.sleep(PAUSE)
        writer.write(b"0\r\n\r\n")
        load.count("upload in pieces", await response_of(reader), part=b"%d " % (PIECES * len(PIECE)))


async def download(load: Load) -> None:
    async with connection(load.port) as (reader, writer):
        for _ in range(4):
            writer.write(get(b"/stream"))
            response = await response_of(reader)
            load.count("download in pieces", response)
            if response.count(b"x") < PIECES * len(PIECE):
                load.failures["download in pieces: short"] += 1
            if b"\r\nconnection: close" in response.lower():
                return


async def websocket(load: Load) -> None:
    async with connection(load.port) as (reader, writer):
        writer.write(get(b"/socket", UPGRADE))
        load.count("websocket", await reader.readuntil(b"\r\n\r\n"), b"101")
        for number in range(200):
            if load.is_over:
                return
            message = b"\x82\x04%04d" % number
            writer.write(message)
            if await reader.readexactly(len(message)) != message:
                load.failures["websocket: another message"] += 1
            load.done["websocket message"] += 1
            await asyncio.sleep(0.05)


async def http2(load: Load) -> None:
    async with connection(load.port) as (reader, writer):
        state = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        state.initiate_connection()
        streams: dict[int, str] = {}
        while not load.is_over:
            for path in ("/plain", "/moved", "/stream"):
                stream = state.get_next_available_stream_id()
                fields = {":method": "GET", ":scheme": "http", ":authority": "test", ":path": path}
                state.send_headers(stream, [*fields.items(), ("authorization", f"Bearer {TOKEN}")], end_stream=True)
                streams[stream] = ""
            writer.write(state.data_to_send())
            while streams:
                data = await reader.read(65536)
                if not data:
                    raise ConnectionError("the end beside streams")
                try:
                    events = state.receive_data(data)
                except h2.exceptions.ProtocolError:  # it expects nothing behind a GOAWAY, where a PING may be
                    return
                for event in events:
                    if isinstance(event, h2.events.ConnectionTerminated) and event.error_code:
                        load.failures[f"http2: goaway {event.error_code}"] += 1
                        return
                    take(event, state, streams, load)
                writer.write(state.data_to_send())
            await asyncio.sleep(0.01)


def take(event: h2.events.Event, state: h2.connection.H2Connection, streams: dict[int, str], load: Load) -> None:
    """Take an event of one of the streams, whose status is kept until the stream ends."""
    if isinstance(event, h2.events.ResponseReceived):
        streams[event.stream_id] = {str(name): str(value) for name, value in event.headers}[":status"]
    elif isinstance(event, h2.events.DataReceived):
        state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
    elif isinstance(event, h2.events.StreamEnded):
        load.count("http2", b"HTTP/2.0 " + streams.pop(event.stream_id).encode())
    elif isinstance(event, h2.events.StreamReset):
        load.failures[f"http2: reset {event.error_code}"] += 1
        streams.pop(event.stream_id, None)


CLIENTS = {
    "kept": kept,
    "new connection": fresh,
    "tls": over_tls,
    "upload": upload,
    "download": download,
    "websocket": websocket,
    "http2": http2,
}


def unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
