"""A connection of HTTP/2 as its streams, by the library h2: it knows every rule, so what breaks one fails the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from functools import partial

from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    InformationalResponseReceived,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

from tests.protocols.http1_text import Fields

CONNECTION_WINDOW = 1 << 24
"""So that a stream on which nothing is read holds up no other one."""


def pairs(headers: object) -> Fields:
    """Return fields of an event, whose type says less than the configuration of h2."""
    return [(str(name), str(value)) for name, value in headers or ()]  # type: ignore[attr-defined]


class StreamAbortedError(Exception):
    """The other side reset the stream, or the connection is lost."""


class Stream:
    """One request and its response."""

    def __init__(self, link: Link, number: int) -> None:
        self._link = link
        self.number = number
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._closed = asyncio.Event()
        self._open_ends = {"sending", "receiving"}
        self.delivered = asyncio.Event()
        """Set when what came was passed on."""
        self.is_refused = False
        """Whether the other side has done nothing with the request, which may be sent again (RFC 9113 section 8.7)."""

    def take(self, event: Event | None) -> None:
        """Take what came on the stream; None: there is nothing to come."""
        if isinstance(event, StreamReset) and event.error_code == ErrorCodes.REFUSED_STREAM:
            self.is_refused = True
        if event is None or isinstance(event, StreamReset):
            self._closed.set()
            self._open_ends.clear()
        elif isinstance(event, StreamEnded):
            self._open_ends.discard("receiving")
        self._events.put_nowait(event)

    async def events(
        self,
    ) -> AsyncIterator[ResponseReceived | InformationalResponseReceived | TrailersReceived | bytes]:
        """Return heads, pieces of the body, and trailers, up to the end of what the other side sends.

        :raises StreamAbortedError: there is more to come, but it will not.
        """
        while True:
            event = await self._events.get()
            match event:
                case DataReceived():
                    yield event.data
                    self._link.give_credit(self.number, event.flow_controlled_length)
                case ResponseReceived() | InformationalResponseReceived() | TrailersReceived():
                    yield event
                case StreamEnded():
                    return
                case _:
                    raise StreamAbortedError

    async def closed(self) -> None:
        """Wait until the other side resets the stream, or the connection is lost."""
        await self._closed.wait()

    def head(self, fields: Fields, *, ends: bool = False) -> None:
        self._link.command(lambda h2: h2.send_headers(self.number, fields, end_stream=ends))
        if ends:
            self._open_ends.discard("sending")

    async def data(self, data: bytes) -> None:
        """Send a piece of the body, as fast as the other side gives credit.

        :raises StreamAbortedError: the stream has ended.
        """
        left = memoryview(data)
        while left:
            room = await self._link.room(self)
            piece, left = bytes(left[:room]), left[room:]
            self._link.command(partial(H2Connection.send_data, stream_id=self.number, data=piece))
            await self._link.drain()

    def end(self, trailers: Fields | None = None) -> None:
        if trailers:
            self._link.command(lambda h2: h2.send_headers(self.number, trailers, end_stream=True))
        else:
            self._link.command(lambda h2: h2.end_stream(self.number))
        self._open_ends.discard("sending")

    def reset(self, code: ErrorCodes = ErrorCodes.CANCEL) -> None:
        """Reset it, unless it has ended both ways."""
        if self._open_ends:
            self._open_ends.clear()
            with suppress(StreamAbortedError):
                self._link.command(lambda h2: h2.reset_stream(self.number, code))


OnRequest = Callable[[RequestReceived, Stream], None]


class Link:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_client: bool) -> None:
        self._reader, self._writer = reader, writer
        self._h2 = H2Connection(
            H2Configuration(
                client_side=is_client,
                header_encoding="latin-1",
                # A test may send what HTTP/2 forbids: it is the gateway that must say so.
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.streams: dict[int, Stream] = {}
        self._received = bytearray()
        self._changed = asyncio.Event()
        self.is_terminated = asyncio.Event()
        """Set by the first GOAWAY of the other side."""
        self.is_reset = False
        """Whether the connection was reset by the other side."""
        self.fault: ProtocolError | None = None
        """What rule the other side broke."""

    def begin(self) -> None:
        """Send what a connection begins with."""
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(CONNECTION_WINDOW)
        if not self._h2.config.client_side:
            self._h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 1000})
        self._flush()

    async def run(self, data: bytes = b"", on_request: OnRequest | None = None) -> None:
        """Take what comes until the connection ends.

        :param data: what came already.
        :param on_request: called for each request.
        """
        try:
            data = data or await self._reader.read(65536)
            while data:
                self._received += data
                for frame in self._frames():
                    for event in self._h2.receive_data(frame):
                        self._take(event, on_request)
                self._flush()
                self._tell()
                data = await self._reader.read(65536)
        except ProtocolError as error:
            self.fault = error
            self._flush()
        except OSError:
            self.is_reset = True
        finally:
            for stream in self.streams.values():
                stream.take(None)
            self._tell()
            self._writer.close()

    def _frames(self) -> Iterator[bytes]:
        """Return whole frames, and the preface; h2 judges a frame by the state behind the one before."""
        received = self._received
        while len(received) >= 9:
            size = 24 if received.startswith(b"PRI ") else 9 + int.from_bytes(received[:3])
            if len(received) < size:
                break
            yield bytes(received[:size])
            del received[:size]

    def _take(self, event: Event, on_request: OnRequest | None) -> None:
        if isinstance(event, ConnectionTerminated):
            # The library takes nothing behind GOAWAY, where responses may still come (RFC 9113 section 6.8).
            is_client = self._h2.config.client_side
            self.is_terminated.set()
            for each in self.streams.values():
                each.is_refused = each.is_refused or each.number > (event.last_stream_id or 0)
            self._h2.state_machine.state = ConnectionState.CLIENT_OPEN if is_client else ConnectionState.SERVER_OPEN
        elif isinstance(event, RequestReceived):
            assert on_request is not None
            on_request(event, self.stream(event.stream_id))
        elif (number := getattr(event, "stream_id", None)) and (stream := self.streams.get(number)):
            kinds = DataReceived | ResponseReceived | InformationalResponseReceived | TrailersReceived
            if isinstance(event, kinds | StreamEnded | StreamReset):
                stream.take(event)

    def stream(self, number: int = 0) -> Stream:
        """Return a new stream, of this number if the other side began it."""
        number = number or self._h2.get_next_available_stream_id()
        stream = self.streams[number] = Stream(self, number)
        return stream

    def command(self, order: Callable[[H2Connection], None]) -> None:
        """Let h2 send something.

        :raises StreamAbortedError: it cannot, because stream or connection have ended.
        """
        try:
            order(self._h2)
        except ProtocolError as error:
            raise StreamAbortedError from error
        self._flush()

    async def delivered(self) -> None:
        """Wait until what came on all streams was passed on."""
        for stream in tuple(self.streams.values()):
            await stream.delivered.wait()

    def give_credit(self, number: int, count: int) -> None:
        if count:
            with suppress(StreamAbortedError):
                self.command(lambda h2: h2.acknowledge_received_data(count, number))

    async def room(self, stream: Stream) -> int:
        """Wait until something of a body may be sent, and return how much."""
        while True:
            try:
                room = min(self._h2.local_flow_control_window(stream.number), self._h2.max_outbound_frame_size)
            except ProtocolError as error:
                raise StreamAbortedError from error
            if room > 0:
                return room
            if self._writer.is_closing():
                raise StreamAbortedError
            await self._changed.wait()

    async def settings(self) -> None:
        """Wait until the other side's settings came, or the connection has ended."""
        while not self._h2.remote_settings.enable_connect_protocol and not self._writer.is_closing():
            await self._changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _flush(self) -> None:
        if (data := self._h2.data_to_send()) and not self._writer.is_closing():
            self._writer.write(data)

    async def drain(self) -> None:
        try:
            await self._writer.drain()
        except OSError as error:
            raise StreamAbortedError from error

    def close(self) -> None:
        """Reset the streams that have not ended, and close."""
        for stream in self.streams.values():
            stream.reset()
        self._writer.close()
