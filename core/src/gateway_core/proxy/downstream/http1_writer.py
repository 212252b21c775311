"""Responses over HTTP/1: framing, persistence and what old clients lack (RFC 9112 sections 6, 7 and 9).

A body's length is sent if it is known, in chunks if it is not; to HTTP/1.0, which knows no chunks, a body of unknown
length ends with the connection. The usual response, an upstream's complete one, is one write of parts that are there
already.
"""

from __future__ import annotations

import asyncio
from enum import IntEnum
from typing import Final, Protocol

from gateway_core.proxy.response_fields import BODILESS, DateField, facts_of, status_line
from gateway_core.proxy.socket_options import reset_on_close
from gateway_core.proxy.tunnel import TunnelEnd
from gateway_core.proxy.wire.bodies import LAST_CHUNK, encode_chunk
from gateway_core.proxy.wire.request_head import RequestHead
from gateway_core.proxy.wire.response_head import CHUNKED, NO_BODY, UPGRADE_REQUIRED, ResponseHead


class Framing(IntEnum):
    """How a client learns where the body ends."""

    NONE = 0
    """There is no body, or none is sent."""
    LENGTH = 1
    CHUNKED = 2
    UNTIL_CLOSE = 3


_END: Final = b"\r\n\r\n"
_NONE: Final = Framing.NONE
_LENGTH: Final = Framing.LENGTH
_CHUNKED: Final = Framing.CHUNKED
_UNTIL_CLOSE: Final = Framing.UNTIL_CLOSE


class WriterOwner(Protocol):
    """The connection that owns the writer."""

    def exchange_finished(self, now: float) -> None:
        """Called when the exchange is over and its response complete."""

    def cut(self, *, flush: bool) -> None:
        """Close the connection; the exchange ends by itself."""

    def begin_tunnel(self) -> bytes:
        """Stop reading requests, and return the bytes that came behind the last one's head."""

    def stop_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class _NoOwner:
    """What a writer has for its owner once the connection is lost, so that they do not keep each other."""

    def exchange_finished(self, now: float) -> None:
        pass

    def cut(self, *, flush: bool) -> None:
        pass

    def begin_tunnel(self) -> bytes:
        return b""

    def stop_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


_NO_OWNER: Final = _NoOwner()


class Http1ResponseWriter:
    """Writes the responses of one connection, one after the other (a `ResponseWriter`)."""

    __slots__ = (
        "_date",
        "_framing",
        "_is_usual",
        "_method",
        "_owner",
        "_passing",
        "_transport",
        "bytes_sent",
        "continue_sent",
        "finish",
        "head_sent",
        "is_paused",
        "keep_alive",
        "version",
    )

    # Of the response in progress; there is none before the first request:
    version: str
    continue_sent: bool
    """Whether the client was asked to send its body."""
    _method: str
    _is_usual: bool

    def __init__(self, owner: WriterOwner, transport: asyncio.Transport, date: DateField) -> None:
        self._owner = owner
        self.finish = owner.exchange_finished  # without a call in between, as each request ends with it
        self._transport = transport
        self._date = date
        self.keep_alive = True
        self.head_sent = False
        self.bytes_sent = 0
        self.is_paused = False
        self._framing = _NONE
        self._passing = 0  # what waits of a spliced body

    def begin(self, head: RequestHead) -> None:
        """Begin the response to a request."""
        self.version = head.version
        self.keep_alive = head.facts.keep_alive
        self.head_sent = self.continue_sent = False
        self.bytes_sent = 0
        self._is_usual = head.is_usual
        self._method = head.method
        self._framing = _NONE

    def make_last(self) -> None:
        self.keep_alive = False

    def pause(self) -> None:
        """Called when the client does not keep up."""
        self.is_paused = True

    def resume(self) -> None:
        """Called when the client takes more."""
        self.is_paused = False

    def disown(self) -> None:
        """Notify the owner no more: the connection is lost."""
        self._owner, self.finish = _NO_OWNER, _NO_OWNER.exchange_finished

    # -- heads

    def interim(self, status: int, reason: str, block: bytes) -> None:
        if self.version == "1.1" and not self.head_sent:
            self.continue_sent = self.continue_sent or status == 100
            self._transport.write(status_line(status, reason) + block + b"\r\n\r\n")

    def send_continue(self) -> None:
        if self.version == "1.1" and not self.head_sent:
            self.continue_sent = True
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def relay(
        self, head: ResponseHead, added: bytes, id_line: bytes, body: bytes, complete: bool, trailers: bytes = b""
    ) -> None:
        if trailers:  # they need chunks
            self.relay(head, added, id_line, body, False)
            self.end(trailers)
            return
        if not head.has_date:
            added = self._date.block() + added
        if complete and self._is_usual and head.plain:
            if not self.keep_alive:
                added += b"\r\nConnection: close"
            size = self.bytes_sent = len(body)
            if head.length == size:
                self.head_sent = True
                self._transport.write(b"".join((head.plain, added, id_line, body)))
                return
            if head.length == CHUNKED:
                # What came whole in chunks goes on with its length, which spares both sides the chunks.
                self.head_sent = True
                length = b"\r\nContent-Length: %d" % size
                self._transport.write(b"".join((head.plain, length, added, id_line, body)))
                return
        length_said = head.content_length
        if complete and self._method != "HEAD" and head.length != NO_BODY:
            length_said = len(body)  # not what the head says: a plugin may have asked the upstream with HEAD
        if head.status == UPGRADE_REQUIRED and head.upgrade and self.version == "1.1":
            added += b"\r\nConnection: Upgrade\r\nUpgrade: " + head.upgrade
        if head.trailer and not complete and head.length == CHUNKED and self.version == "1.1":
            added += head.trailer  # where trailers can follow
        self._write(head.status, head.reason, head.block + added, length_said, id_line, body, complete)

    def start(
        self,
        status: int,
        reason: str,
        block: bytes,
        length: int | None,
        id_line: bytes,
        body: bytes = b"",
        complete: bool = False,
    ) -> None:
        if status < 200:  # a client would take what follows for the next response
            raise ValueError(f"{status} is not the status of a final response: use 200 to 999")
        facts = facts_of(block)
        if facts.has_request_id:
            id_line = _END  # a hook saw it, and left this one
        if not facts.has_date:
            block += self._date.block()
        self._write(status, reason, block, length, id_line, body, complete)

    def whole(self, head: bytes, id_line: bytes, body: bytes) -> bool:
        if not (self._is_usual and self.keep_alive):
            return False
        self.head_sent = True
        self.bytes_sent = len(body)
        self._transport.write(b"".join((head, id_line, body)))
        return True

    def _write(
        self, status: int, reason: str, block: bytes, length: int | None, id_line: bytes, body: bytes, complete: bool
    ) -> None:
        """Write head and body together: one call to the system instead of two."""
        framing = self._framing = framing_of(status, self._method == "HEAD", length, self.version)
        if framing is _UNTIL_CLOSE:
            self.keep_alive = False
        if framing is _NONE:
            body = b""
        self.bytes_sent = len(body)
        if framing is _CHUNKED:
            body = encode_chunk(body) + (LAST_CHUNK if complete else b"")
        fields = framing_fields(status, framing, length, self.version, self.keep_alive)
        data = b"".join((status_line(status, reason), block, fields, id_line, body))  # raises for what a hook left
        self.head_sent = True
        self._transport.write(data)

    # -- bodies

    def data(self, data: bytes | memoryview) -> None:
        framing = self._framing
        if data and framing is not _NONE:
            self.bytes_sent += len(data)
            is_chunked = framing is _CHUNKED
            self._transport.write(b"".join((b"%x\r\n" % len(data), data, b"\r\n")) if is_chunked else data)

    def sink(self) -> asyncio.Transport | None:
        transport = self._transport
        may_pass = self._framing is _LENGTH and not self.is_paused and not transport.is_closing()
        return transport if may_pass and not transport.get_write_buffer_size() else None

    def passed(self, size: int, waiting: int) -> None:
        self.bytes_sent += size
        self._passing = waiting
        self.is_paused = waiting > 0

    @property
    def waiting_bytes(self) -> int:
        """Bytes that are written, or on their way past here, and that the client has not taken."""
        return self._transport.get_write_buffer_size() + self._passing

    def end(self, trailers: bytes = b"") -> None:
        if self._framing is _CHUNKED:
            self._transport.write(b"0%b\r\n\r\n" % trailers if trailers else LAST_CHUNK)

    # -- the connection

    def cut(self, *, flush: bool) -> None:
        if self._framing is _UNTIL_CLOSE and self.head_sent:
            reset_on_close(self._transport)
        self._owner.cut(flush=flush)

    def switch(self, status: int, reason: str, block: bytes, protocol: bytes) -> TunnelEnd:
        self.head_sent = True
        self.keep_alive = False
        fields = b"\r\nConnection: Upgrade\r\nUpgrade: %b\r\n\r\n" % protocol
        self._transport.write(b"".join((status_line(status, reason), block, fields)))
        return TunnelEnd(self._transport, self._owner.begin_tunnel())

    def pause_request(self) -> None:
        self._owner.stop_reading()

    def resume_request(self) -> None:
        self._owner.resume_reading()


def whole_head(status: int, reason: str, block: bytes, length: int | None) -> bytes:
    """Return the head of a whole response for `Http1ResponseWriter.whole`, without the line of its id.

    :param length: bytes of the body; None for a status that has none.
    """
    framing = framing_of(status, False, length, "1.1")
    return status_line(status, reason) + block + framing_fields(status, framing, length, "1.1", True)


def framing_of(status: int, is_head: bool, length: int | None, version: str) -> Framing:
    """Return how to frame a body of ``length`` bytes, or of unknown length."""
    if is_head or status in BODILESS:
        return Framing.NONE
    if length is not None:
        return Framing.LENGTH
    return Framing.CHUNKED if version == "1.1" else Framing.UNTIL_CLOSE


def framing_fields(status: int, framing: Framing, length: int | None, version: str, keep_alive: bool) -> bytes:
    """Return the block of the fields that frame a response and say whether the connection goes on.

    :param length: the body's length; for HEAD and 304 what it would be, if known.
    """
    if framing is Framing.CHUNKED:
        block = b"\r\nTransfer-Encoding: chunked"
    elif length is not None and status != 204:
        block = b"\r\nContent-Length: %d" % length
    else:
        block = b""
    if not keep_alive:
        return block + b"\r\nConnection: close"
    return block if version == "1.1" else block + b"\r\nConnection: keep-alive"
