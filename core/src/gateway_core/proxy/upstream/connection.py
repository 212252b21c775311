"""One connection to an endpoint: writes requests, reads answers, one at a time.

Bytes in, calls out: `Receiver` says what a connection tells whoever sent the request. The body is not decoded beyond
its framing, and flows no faster than the receiver lets it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from gateway_core.proxy.bounded_reads import bound_reads
from gateway_core.proxy.socket_options import READ_SIZE, ended_orderly, last_words
from gateway_core.proxy.upstream.response_handler import Failure, Receiver
from gateway_core.proxy.wire.chunks import BadChunkError, ChunkDecoder, encode_chunk, only_chunk
from gateway_core.proxy.wire.response_head import (
    NO_BODY,
    UNTIL_CLOSE,
    BadAnswerError,
    ResponseHead,
    read_response_head,
)

if TYPE_CHECKING:
    from gateway_core.proxy.upstream.pool import Pool

_MOST_INTERIM: Final = 16
"""Interim answers before a final one: more is a peer that plays for time."""

# Plain numbers, not an Enum: looking up a member costs more than the branch that it decides.
_IDLE: Final = 0
_HEAD: Final = 1
_LENGTH: Final = 2
_CHUNKS: Final = 3
_UNTIL_CLOSE: Final = 4
_SWITCHED: Final = 5
_CLOSED: Final = 6

HEAD_ONLY: Final = 1
"""The request's method is HEAD: its answer has no body."""
IN_CHUNKS: Final = 2
"""The request's body goes out in chunks."""
MAY_SWITCH: Final = 4
"""The request asks for another protocol."""
BINDS: Final = 32
"""The connection belongs to one client: it never goes back to the pool."""

# What the connection notes there for itself, so that one look at the flags tells the usual case.
_READING_PAUSED: Final = 8
_BACKED_UP: Final = 16
_UNUSUAL: Final = HEAD_ONLY | _READING_PAUSED | _BACKED_UP | BINDS


class UpstreamConnection(asyncio.Protocol):
    """A connection to an endpoint; `Pool` owns it while it is idle, a `Receiver` while it is in use."""

    __slots__ = (
        "_buffer",
        "_decoder",
        "_interims",
        "_remaining",
        "_said_end",
        "_state",
        "bound",
        "deadline",
        "flags",
        "pool",
        "receiver",
        "reusable",
        "transport",
        "upload_complete",
        "uses",
    )

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.receiver: Receiver | None = None
        self.uses = 0
        """Requests that were sent over it, the one under way included."""
        self.deadline = float("inf")
        """When it has been idle for too long."""
        self.upload_complete = True
        self.flags = 0
        self.bound = 0
        """`BINDS` once the connection belongs to one client, until it closes."""
        self.reusable = True
        self._state = _IDLE
        self._buffer = b""
        self._remaining = 0
        self._decoder: ChunkDecoder | None = None
        self._interims = 0
        self._said_end = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    # -- sending

    def send(self, receiver: Receiver, head: bytes, flags: int = 0, upload_complete: bool = True) -> None:
        """Send a request's head, and what is ready of its body behind it; `receiver` gets the answer.

        :param flags: `HEAD_ONLY`, `IN_CHUNKS`, `MAY_SWITCH`, `BINDS`.
        """
        self.receiver = receiver
        self.uses += 1
        self.flags = flags | self.bound
        self.upload_complete = upload_complete
        self._state = _HEAD
        self._interims = 0
        self.transport.write(head)

    def send_body(self, data: bytes) -> None:
        """Send the next part of the request's body."""
        self.transport.write(encode_chunk(data) if self.flags & IN_CHUNKS else data)

    def send_end(self) -> None:
        """Note that the request's body is complete."""
        if not self.upload_complete:
            self.upload_complete = True
            if self.flags & IN_CHUNKS:
                self.transport.write(b"0\r\n\r\n")

    @property
    def is_alive(self) -> bool:
        """Whether a request may be sent over it."""
        return self._state != _CLOSED and not self.transport.is_closing()

    def is_in_body(self) -> bool:
        return _LENGTH <= self._state <= _UNTIL_CLOSE

    def may_read(self) -> bool:
        return not self.flags & _READING_PAUSED

    def pause_writing(self) -> None:
        self.flags |= _BACKED_UP
        if self.receiver is not None:
            self.receiver.pause_upload()

    def resume_writing(self) -> None:
        self.flags &= ~_BACKED_UP
        if self.receiver is not None:
            self.receiver.resume_upload()

    def pause_reading(self) -> None:
        """Have the answer wait: its receiver cannot take more at present."""
        if not self.transport.is_closing():
            self.flags |= _READING_PAUSED
            bound_reads(self.transport, self)
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on with the answer."""
        self.flags &= ~_READING_PAUSED
        if not self.transport.is_closing():
            self.transport.resume_reading()

    # -- receiving

    def data_received(self, data: bytes) -> None:
        state = self._state
        if state == _HEAD:
            self._read_head(self._buffer + data if self._buffer else data)
        elif state == _LENGTH:
            self._take_length(data)
        elif state == _CHUNKS:
            self._take_chunks(data)
        elif state == _UNTIL_CLOSE:
            if (receiver := self.receiver) is not None:
                receiver.on_body(data)
            self._bound_reads_after(data)
        else:
            # Bytes that no request asked for: whatever they are, the next answer must not begin with them.
            self.abort()

    def _read_head(self, data: bytes) -> None:
        known = self.pool.last_head
        if known is not None and data.startswith(known.ending):
            self._buffer = b""
            body = data[known.size :]
            if len(body) == known.length and known.keep_alive and self.upload_complete and not self.flags & _UNUSUAL:
                # The usual answer, here in one piece.
                receiver, self.receiver = self.receiver, None
                if receiver is not None:
                    self._state = _IDLE
                    self.pool.give_back(self)
                    receiver.on_answer(self, known, body, True)
                return
            self._begin_body(known, body)
            return
        end = data.find(b"\r\n\r\n")
        if end < 0:
            if len(data) > self.pool.max_head_bytes:
                self._fail(Failure.BAD_ANSWER, "its head is too large")
            elif not data.startswith(b"HTTP/1."[: len(data)]) or data.count(b"\n") != data.count(b"\r\n"):
                self._fail(Failure.BAD_ANSWER, "what it sends is no HTTP/1 answer")
            else:
                self._buffer = data
            return
        self._buffer = b""
        pool = self.pool
        try:
            if end > pool.max_head_bytes:
                raise BadAnswerError("its head is too large")
            head = read_response_head(data[:end])
        except BadAnswerError as error:
            self._fail(Failure.BAD_ANSWER, str(error))
            return
        if head.status < 200:
            self._read_interim(head, data[end + 4 :])
        else:
            pool.last_head = None if head.binds else head
            self._begin_body(head, data[end + 4 :])

    def _read_interim(self, head: ResponseHead, rest: bytes) -> None:
        receiver = self.receiver
        if receiver is None:
            return
        self._interims += 1
        if head.status == 101:
            if not self.flags & MAY_SWITCH:
                self._fail(Failure.BAD_ANSWER, "it changes to a protocol that nobody asked for")
                return
            self._state = _SWITCHED
            self.receiver = None
            self.pool.forget(self)
            receiver.on_switch(self, head, rest)
            return
        if self._interims > _MOST_INTERIM:
            self._fail(Failure.BAD_ANSWER, "it sends interim answers without end")
            return
        receiver.on_interim(head)
        if rest and self.receiver is receiver:
            self._read_head(rest)

    def _begin_body(self, head: ResponseHead, rest: bytes) -> None:
        receiver = self.receiver
        if receiver is None:
            return
        self.reusable = head.keep_alive
        if head.binds:
            self.flags |= BINDS
        length = 0 if self.flags & HEAD_ONLY else head.length
        if length == NO_BODY:
            length = 0
        if length >= 0:
            left = length - len(rest)
            if left <= 0:
                if left < 0:
                    self.reusable = False
                    rest = rest[:length]
                self._release()
                receiver.on_answer(self, head, rest, True)
                return
            self._state = _LENGTH
            self._remaining = left
            if left > READ_SIZE:
                bound_reads(self.transport, self)
            receiver.on_answer(self, head, rest, False)
        elif length == UNTIL_CLOSE:
            self._state = _UNTIL_CLOSE
            receiver.on_answer(self, head, rest, False)
        else:
            self._begin_chunks(receiver, head, rest)

    def _begin_chunks(self, receiver: Receiver, head: ResponseHead, rest: bytes) -> None:
        only = only_chunk(rest)
        if only is not None:
            self._release()
            receiver.on_answer(self, head, only, True)
            return
        self._state = _CHUNKS
        decoder = self._decoder = ChunkDecoder()
        payload = b""
        if rest:
            try:
                payload = decoder.feed(rest)
            except BadChunkError as error:
                self._fail(Failure.BAD_ANSWER, str(error))
                return
        if decoder.done and not decoder.trailer:
            self._end_chunks(decoder)
            receiver.on_answer(self, head, payload, True)
            return
        receiver.on_answer(self, head, payload, False)
        if decoder.done and self.receiver is receiver:
            self._end_chunks(decoder)
            receiver.on_end(decoder.trailer)

    def _take_length(self, data: bytes) -> None:
        receiver = self.receiver
        if receiver is None:
            return
        left = self._remaining - len(data)
        if left > 0:
            self._remaining = left
            receiver.on_body(data)
            return
        if left < 0:
            self.reusable = False
            data = data[:left]
        receiver.on_body(data)
        if self.receiver is receiver:
            self._release()
            receiver.on_end(b"")

    def _take_chunks(self, data: bytes) -> None:
        receiver, decoder = self.receiver, self._decoder
        if receiver is None or decoder is None:
            return
        try:
            payload = decoder.feed(data)
        except BadChunkError as error:
            self._fail(Failure.BAD_ANSWER, str(error))
            return
        if payload:
            receiver.on_body(payload)
        if decoder.done and self.receiver is receiver:
            self._end_chunks(decoder)
            receiver.on_end(decoder.trailer)
        else:
            self._bound_reads_after(data)

    def _bound_reads_after(self, data: bytes) -> None:
        """Bound further reads of a body of unknown length if it turns out to be a large one."""
        if len(data) > READ_SIZE:
            bound_reads(self.transport, self)

    def _end_chunks(self, decoder: ChunkDecoder) -> None:
        if decoder.rest:
            self.reusable = False
        self._release()

    # -- ends

    def _release(self) -> None:
        """Give the connection back: its answer is complete."""
        receiver, self.receiver = self.receiver, None
        self._decoder = None
        self._state = _IDLE
        if self.flags & _READING_PAUSED:
            self.resume_reading()  # who is slow is no concern of the next request's
        # An endpoint that answered without having taken the body may never read what would come behind it.
        if not self.reusable or not self.upload_complete or self.flags & _BACKED_UP or self.transport.is_closing():
            self.abort()
        elif not self.flags & BINDS:
            self.pool.give_back(self)
        elif receiver is not None:
            self.bound = BINDS
            receiver.keep_bound(self)

    def _fail(self, failure: Failure, detail: str) -> None:
        receiver = self.receiver
        self.abort()
        if receiver is not None:
            receiver.on_failure(failure, detail)

    def abort(self) -> None:
        """Close the connection at once; nobody is told."""
        self.receiver = None
        self._decoder = None
        self._buffer = b""
        if self._state != _CLOSED:
            self._state = _CLOSED
            self.pool.forget(self)
            self.transport.abort()

    def eof_received(self) -> bool:
        self._said_end = ended_orderly(self.transport)
        return False

    def _read_last_words(self) -> None:
        """Read what the endpoint said before it refused the rest of the request's body with a reset.

        Writing notices the reset before reading has brought the answer, which may say why (RFC 9112 section 9.5).
        """
        for data in last_words(self.transport):
            self.data_received(data)
            if not _HEAD <= self._state <= _CHUNKS:
                break

    def connection_lost(self, exc: BaseException | None) -> None:
        if exc is not None and self._state == _HEAD:
            self._read_last_words()
        receiver, state = self.receiver, self._state
        began = bool(self._buffer) or self._interims > 0
        self.receiver = None
        self._buffer = b""
        if state != _CLOSED:
            self._state = _CLOSED
            self.pool.forget(self)
        if receiver is None:
            return
        if state == _HEAD:
            failure = Failure.TRUNCATED if began else Failure.RESET
            receiver.on_failure(failure, "it closed the connection before its answer")
        elif state == _UNTIL_CLOSE and exc is None and self._said_end:
            receiver.on_end(b"")
        else:
            receiver.on_failure(Failure.TRUNCATED, "it closed the connection within its answer")
