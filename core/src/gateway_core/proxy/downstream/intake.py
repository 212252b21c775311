"""What a client has sent: bytes that nothing has read yet, and the body of the request in progress.

Bytes wait in `ClientInput`: the beginning of a head, requests behind the one in progress, or a part of a body. The
socket is not read while more than `HIGH_WATER` of them wait, nor while the receiver of a body does not keep up.

Bytes behind a request with Upgrade wait like any others until its response: after a 101 they belong to the new
protocol; after any other status nothing was switched, and they are the next request (RFC 9110 section 7.8), which is
read as strictly as every other. They are never sent upstream as they are.

`BodyIntake` reads the bodies of a connection, one after the other, and passes them to the exchange's `RequestBody`.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast

from gateway_core.proxy.downstream.client import Client
from gateway_core.proxy.downstream.http1_writer import Http1ResponseWriter
from gateway_core.proxy.request_body import HIGH_WATER, BodyOwner, RequestBody
from gateway_core.proxy.wire.bodies import BadChunkError, BodyReader
from gateway_core.proxy.wire.request_fields import RequestFacts
from gateway_core.reasons import BAD_BODY


class ClientInput:
    """Keeps pieces as they came, and joins them once: a copy of all for each piece would be quadratic work."""

    __slots__ = ("_is_body_paused", "_parts", "_position", "_transport", "is_paused", "size")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._parts: list[bytes] = []
        self._position = 0  # where in the first part the bytes begin that were not taken
        self._is_body_paused = False
        self.is_paused = False
        """Whether the socket is not read."""
        self.size = 0
        """Bytes that wait."""

    def own(self, transport: asyncio.Transport) -> ClientInput:  # noqa: ARG002 - it has one
        """Return an input that may keep something."""
        return self

    def hold(self, data: bytes, position: int = 0) -> None:
        """Keep the bytes of ``data`` from a position on, behind what is kept."""
        if not self._parts:
            self._position = position
            self.size = len(data) - position
        else:
            if position:
                data = data[position:]
            self.size += len(data)
        self._parts.append(data)
        if self.size > HIGH_WATER:
            self.update()

    def take(self) -> tuple[bytes, int]:
        """Return everything and where in it the bytes begin; nothing is kept, `update` follows when they are read."""
        parts, position = self._parts, self._position
        self._parts, self._position, self.size = [], 0, 0
        if not parts:
            return b"", 0
        return (parts[0] if len(parts) == 1 else b"".join(parts)), position

    def drop(self) -> None:
        """Keep nothing, and read on: what comes is not kept either."""
        if self.size or self.is_paused or self._is_body_paused:
            self.take()
            self.pause_body(False)

    @property
    def takes_body(self) -> bool:
        """Whether the receiver of a body keeps up."""
        return not self._is_body_paused

    def pause_body(self, is_paused: bool) -> None:
        """Read no more for now, or go on, as the receiver of a body wants it."""
        self._is_body_paused = is_paused
        self.update()

    def update(self) -> None:
        """Read from the socket or not, by what waits now."""
        pause = self._is_body_paused or self.size > HIGH_WATER
        if pause is not self.is_paused and not self._transport.is_closing():
            self.is_paused = pause
            if pause:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()


class _NothingWaits(ClientInput):
    """The input of connections that have had nothing to keep: most never have, and it is one object for all."""

    __slots__ = ()

    def own(self, transport: asyncio.Transport) -> ClientInput:
        return ClientInput(transport)

    def hold(self, data: bytes, position: int = 0) -> None:  # noqa: ARG002 - as that of others
        raise AssertionError("a connection that keeps bytes needs an input of its own")

    def pause_body(self, is_paused: bool) -> None:  # noqa: ARG002 - as that of others
        raise AssertionError("a connection that pauses a body needs an input of its own")


NOTHING_WAITS: Final = _NothingWaits(cast("asyncio.Transport", None))

# -- bodies

MALFORMED: Final = (400, BAD_BODY, "the request body is malformed")
"""Status, reason and detail; where such a body ends is unknown, and with it where another request could begin (RFC 9112
section 6.3)."""


class BodyIntake:
    """Reads the bodies of one connection, one after the other."""

    __slots__ = ("_client", "_expects_continue", "_reader", "_writer", "body", "is_large")

    def __init__(self, client: Client, writer: Http1ResponseWriter) -> None:
        self._client = client
        self._writer = writer
        self._expects_continue = False
        self._reader: BodyReader | None = None
        self.body: RequestBody | None = None
        """The body that is in progress and not complete."""
        self.is_large = False
        """Whether the body may be longer than what a read brings."""

    @property
    def waits_for_client(self) -> bool:
        """Whether the client could send more of the body now."""
        may_send = not self._expects_continue or self._writer.continue_sent
        return self.body is not None and not self.body.is_paused and may_send

    def begin(self, owner: BodyOwner, facts: RequestFacts, data: bytes, position: int) -> tuple[RequestBody, int]:
        """Return the body of a request, with what is there of it, and where the bytes begin that were not read.

        :raises BadChunkError: it is malformed.
        """
        length, end = facts.content_length, position + facts.content_length
        if not facts.chunked and end <= len(data):  # the usual body came whole
            piece = data[position:end] if length else b""
            return RequestBody(owner, self._writer, piece, True), end  # a keyword would take as long as the rest
        reader = BodyReader(-1 if facts.chunked else facts.content_length)
        piece, position = reader.take(data, position)
        if reader.is_complete:
            trailers = self._client.trailers(reader.trailers)
            return RequestBody(owner, self._writer, piece, is_complete=True, trailers=trailers), position
        self._reader, self.is_large, self._expects_continue = reader, reader.is_large, facts.expect
        body = self.body = RequestBody(owner, self._writer, piece)
        if body.received >= HIGH_WATER:
            body.pause()
        return body, position

    def read(self, data: bytes, position: int) -> int:
        """Pass on the next part of the body in progress; return where the bytes begin that were not read."""
        reader, body = self._reader, self.body
        assert reader is not None
        assert body is not None
        try:
            piece, position = reader.take(data, position)
        except BadChunkError:
            self.stop()
            body.fail(*MALFORMED)
            return len(data)
        if piece:
            body.feed(piece)
        if reader.is_complete and self.body is body:
            self.stop()
            body.end(self._client.trailers(reader.trailers))
        return position

    def stop(self) -> None:
        """Feed nothing more: the body is complete, or the exchange is over."""
        self._reader = self.body = None
        self.is_large = False


class _NoBody(BodyIntake):
    """The intake of connections on which no body came; one object for all."""

    __slots__ = ()

    def begin(self, *_: object) -> tuple[RequestBody, int]:
        raise AssertionError("a connection with a body needs an intake of its own")


NO_BODY_CAME: Final = _NoBody(cast("Client", None), cast("Http1ResponseWriter", None))
