"""One connection to an endpoint: sends requests and receives their responses, one at a time.

Who has a connection, and what may happen to it:

    (new)    -> IDLE      `Pool` made it: the transport is there, TLS included
    IDLE     -> HEAD      `send`: its handler has it until the response is complete
    HEAD     -> LENGTH | CHUNKS | UNTIL_CLOSE     the final head came, a body follows
    HEAD     -> SWITCHED  101: the handler keeps the transport, the connection has no further part in it
    HEAD, LENGTH, CHUNKS -> IDLE      the response is complete, and so is the request: back to the owner
    any      -> CLOSED    `abort`, the endpoint's end, or a response that leaves the connection unfit for another one

IDLE connections are in the pool's list, or with the one client that they are bound to (`BoundConnections`); between
`Pool.take` and `send`, within one turn of the loop, with the sender. What an endpoint sends on an IDLE connection
closes it. What comes before the first byte of a response on a connection that was used before, and begins none, was
left by the response before it: the connection is stale, and the handler may send the request again elsewhere.

Only a connection on which both directions are complete is used again (RFC 9112 section 9.3), and none whose framing
had to be repaired. The body is not decoded beyond its framing, and flows no faster than the handler lets it.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast

from gateway_core.failure_text import lost_text
from gateway_core.proxy.bounded_reads import bound_reads
from gateway_core.proxy.socket_options import READ_SIZE, ended_orderly, last_words
from gateway_core.proxy.splice import LEAST, Splice, splice
from gateway_core.proxy.upstream.response_handler import MOST_INTERIM, ConnectionOwner, Failure, ResponseHandler
from gateway_core.proxy.wire.bodies import BadChunkError, ChunkDecoder, encode_chunk, last_chunk, only_chunk
from gateway_core.proxy.wire.repairs import BadResponseError, may_begin_head
from gateway_core.proxy.wire.request_head import BINDS, HEAD_ONLY, IN_CHUNKS, MAY_SWITCH
from gateway_core.proxy.wire.response_head import CHUNKED, NO_BODY, UNTIL_CLOSE, ResponseHead, read_response_head

# Plain numbers, not an Enum: looking up a member costs more than the branch that it decides.
_IDLE, _HEAD, _LENGTH, _CHUNKS, _UNTIL_CLOSE, _SWITCHED, _CLOSED = range(7)

# What the connection notes among its request's flags for itself, so that one look at them decides the usual case.
_READING_PAUSED: Final = 8
_BACKED_UP: Final = 16
_UNFIT: Final = 64  # for another request, whatever else its response says
_UNUSUAL: Final = HEAD_ONLY | _READING_PAUSED | _BACKED_UP | BINDS | _UNFIT


Handler = ResponseHandler["UpstreamConnection"]
Owner = ConnectionOwner["UpstreamConnection"]


class UpstreamConnection(asyncio.Protocol):
    """A connection to an endpoint; its pool owns it while it is idle, a `ResponseHandler` while it is in use."""

    __slots__ = (
        "_buffer", "_decoder", "_ended_orderly", "_interims", "_remaining", "_splice", "_state", "bound", "client",
        "expires_at", "flags", "handler", "peer", "pool", "transport", "upload_complete", "uses",
    )  # fmt: skip

    http_version = "1.1"
    transport: asyncio.Transport

    def __init__(self, pool: Owner, client: str = "", expires_at: float = float("inf")) -> None:
        """Begin without transport.

        :param client: the only client's address that it serves, where it began with a PROXY header.
        :param expires_at: monotonic seconds from which on it takes no further request.
        """
        self.pool = pool
        self.client = client
        self.expires_at = expires_at
        self.handler: Handler | None = None
        self.uses = 0
        """Requests that were sent over it, the one in progress included."""
        self.upload_complete = True
        self.flags = 0
        self.bound = 0
        """`BINDS` once the connection belongs to one client, until it closes."""
        self._state = _IDLE
        self._buffer = b""
        self._remaining = 0
        self._decoder: ChunkDecoder | None = None
        self._interims = 0
        self._splice: Splice | None = None
        # Not when the end comes: uvloop calls no eof_received for TLS that ends without close_notify.
        self._ended_orderly = pool.tolerates_missing_close_notify

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.peer: object = transport.get_extra_info("peername")  # once, as uvloop asks the system
        self.transport.set_write_buffer_limits(high=READ_SIZE // 2)

    # -- sending

    def send(self, handler: Handler, head: bytes, flags: int = 0, upload_complete: bool = True) -> None:
        """Send a request's head with its flags, and what is ready of its body; `handler` gets the response."""
        self.handler = handler
        self.uses += 1
        self.flags = flags | self.bound
        self.upload_complete = upload_complete
        self._state = _HEAD
        self._interims = 0
        self.pool.counts.bytes_out += len(head)
        self.transport.write(head)

    def send_with_body(
        self, handler: Handler, head: bytes, body: bytes, flags: int, complete: bool, trailers: bytes = b""
    ) -> None:
        """Send a request with the part of its body that is there, or with all of it and its trailers."""
        if flags & IN_CHUNKS:
            body = encode_chunk(body) + (last_chunk(trailers) if complete else b"")
        self.send(handler, head + body, flags, complete)

    def send_body(self, data: bytes) -> None:
        """Send the next part of the request's body."""
        self.pool.counts.bytes_out += len(data)
        self.transport.write(encode_chunk(data) if self.flags & IN_CHUNKS else data)

    def send_end(self, trailers: bytes = b"") -> None:
        """End the request's body; ``trailers``, a block of lines, go out only behind chunks."""
        if not self.upload_complete:
            self.upload_complete = True
            if self.flags & IN_CHUNKS:
                self.transport.write(last_chunk(trailers))

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
        if self.handler is not None:
            self.handler.pause_upload()

    def resume_writing(self) -> None:
        self.flags &= ~_BACKED_UP
        if self.handler is not None:
            self.handler.resume_upload()

    def pause_reading(self) -> None:
        """Pause the response: its handler cannot take more at present."""
        if not self.transport.is_closing():
            self.flags |= _READING_PAUSED
            bound_reads(self.transport, self)
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on with the response."""
        self.flags &= ~_READING_PAUSED
        if not self.transport.is_closing():
            self.transport.resume_reading()

    # -- receiving

    def data_received(self, data: bytes) -> None:
        pool, handler = self.pool, self.handler
        pool.counts.bytes_in += len(data)
        if self._state != _HEAD:
            (self._take_chunks if self._state == _CHUNKS else self._take_body)(data)
            return
        if self._buffer:
            data = self._buffer + data
        known = pool.last_head
        if known is None or not data.startswith(known.ending):
            self._read_head(data)
            return
        body = data[known.size :]
        if not self.flags & _UNUSUAL and known.keep_alive and self.upload_complete and handler is not None:
            length = known.length
            whole = body if len(body) == length else only_chunk(body) if length == CHUNKED else None
            if whole is not None:
                # The usual response, here in one piece.
                self._buffer, self._state, self.handler = b"", _IDLE, None
                pool.give_back(self)
                handler.on_response(known, whole, True)
                return
        self._buffer = b""
        self._begin_body(known, body)

    def view_received(self, data: memoryview) -> bool:
        """Pass a part of a body on without a copy, unless it needs a closer look than its length."""
        handler = self.handler
        if self._state != _LENGTH or handler is None or len(data) >= self._remaining:
            return False
        self._remaining -= len(data)
        self.pool.counts.bytes_in += len(data)
        handler.on_body(data)
        if self._remaining >= LEAST and self.handler is handler and (sink := handler.sink()) is not None:
            self._splice = splice(self.transport, sink, self._remaining, self._spliced)
        return True

    def _spliced(self, size: int) -> None:
        self._remaining -= size
        self.pool.counts.bytes_in += size

    def _take_body(self, data: bytes) -> None:
        """Take the next part of a body that is not in chunks."""
        handler = self.handler
        if not self.is_in_body():
            # Bytes that no request asked for: whatever they are, the next response must not begin with them.
            self.abort()
        elif handler is None:
            pass
        elif self._state == _UNTIL_CLOSE:
            handler.on_body(data)
            if len(data) > READ_SIZE:
                bound_reads(self.transport, self)  # it turns out to be a large one
        else:
            left = self._remaining = self._remaining - len(data)
            if left < 0:
                self.flags |= _UNFIT
                data = data[:left]
            handler.on_body(data)
            if left <= 0 and self.handler is handler:
                self._release()
                handler.on_end(b"")

    def _read_head(self, data: bytes) -> None:
        pool = self.pool
        if self.uses > 1 and not (data.startswith(b"HTTP/1.") or self._interims or may_begin_head(data, pool.leniency)):
            self._fail(Failure.STALE, "it sent what begins no response over a connection that was used before")
            return
        try:
            head = read_response_head(data, pool.max_head_bytes, pool.leniency)
        except BadResponseError as error:
            self._fail(Failure.BAD_RESPONSE, str(error))
            return
        if head is None:
            self._buffer = data
            return
        self._buffer = b""
        if head.status < 200:
            self._read_interim(head, data[head.size :])
        else:
            pool.remember(head)
            self._begin_body(head, data[head.size :])

    def _read_interim(self, head: ResponseHead, rest: bytes) -> None:
        handler = self.handler
        if handler is None:
            return
        self._interims += 1
        if not head.keep_alive:
            self.flags |= _UNFIT
        if head.status == 101:
            if not self.flags & MAY_SWITCH:
                self._fail(Failure.BAD_RESPONSE, "it changes to a protocol that was not asked for")
                return
            self._state = _SWITCHED
            self.handler = None
            self.pool.forget(self)
            handler.on_switch(self, head, rest)
            return
        if self._interims > MOST_INTERIM:
            self._fail(Failure.BAD_RESPONSE, f"it sends more than {MOST_INTERIM} interim responses")
            return
        handler.on_interim(head)
        if rest and self.handler is handler:
            self._read_head(rest)

    def _begin_body(self, head: ResponseHead, rest: bytes) -> None:
        handler = self.handler
        if handler is None:
            return
        if not head.keep_alive:
            self.flags |= _UNFIT
        if head.binds:
            self.flags |= BINDS
        length = 0 if self.flags & HEAD_ONLY or head.length == NO_BODY else head.length
        if length >= 0:
            left = length - len(rest)
            if left <= 0:
                if left < 0:
                    self.flags |= _UNFIT
                    rest = rest[:length]
                self._release()
                handler.on_response(head, rest, True)
                return
            self._state = _LENGTH
            self._remaining = left
            if left > READ_SIZE:
                bound_reads(self.transport, self)
            handler.on_response(head, rest, False)
        elif length == UNTIL_CLOSE:
            self._state = _UNTIL_CLOSE
            handler.on_response(head, rest, False)
        else:
            self._begin_chunks(handler, head, rest)

    def _begin_chunks(self, handler: Handler, head: ResponseHead, rest: bytes) -> None:
        only = only_chunk(rest)
        if only is not None:
            self._release()
            handler.on_response(head, only, True)
            return
        self._state = _CHUNKS
        decoder = self._decoder = ChunkDecoder(self.pool.leniency)
        try:
            payload = decoder.feed(rest)
        except BadChunkError as error:
            self._fail(Failure.BAD_RESPONSE, str(error))
            return
        if decoder.done and not decoder.trailer:
            self._end_chunks(decoder)
            handler.on_response(head, payload, True)
            return
        handler.on_response(head, payload, False)
        if decoder.done and self.handler is handler:
            self._end_chunks(decoder)
            handler.on_end(decoder.trailer)

    def _take_chunks(self, data: bytes) -> None:
        handler, decoder = self.handler, self._decoder
        if handler is None or decoder is None:
            return
        try:
            payload = decoder.feed(data)
        except BadChunkError as error:
            self._fail(Failure.BAD_RESPONSE, str(error))
            return
        if payload:
            handler.on_body(payload)
        if decoder.done and self.handler is handler:
            self._end_chunks(decoder)
            handler.on_end(decoder.trailer)
        elif len(data) > READ_SIZE:
            bound_reads(self.transport, self)

    def _end_chunks(self, decoder: ChunkDecoder) -> None:
        if decoder.rest or decoder.is_repaired:
            self.flags |= _UNFIT
        self._release()

    def _release(self) -> None:
        """Give the connection back: its response is complete."""
        handler, self.handler, self._decoder = self.handler, None, None
        self._state = _IDLE
        if self.flags & _READING_PAUSED:
            self.resume_reading()  # a slow client must not pause the next request's response
        # An endpoint that responded without having taken the body may never read what would come behind it.
        if self.flags & (_UNFIT | _BACKED_UP) or not self.upload_complete or self.transport.is_closing():
            self.abort()
        elif not self.flags & BINDS:
            self.pool.give_back(self)
        elif handler is not None:
            self.bound = BINDS
            handler.keep_bound(self)

    def _fail(self, failure: Failure, detail: str) -> None:
        handler = self.handler
        self.abort()
        if handler is not None:
            handler.on_failure(failure, detail)

    def abort(self) -> None:
        """Close the connection at once; the handler is not notified."""
        self.handler = None
        self._decoder = None
        self._buffer = b""
        if self._splice is not None:
            self._splice.close()
        if self._state != _CLOSED:
            self._state = _CLOSED
            self.pool.forget(self)
            self.transport.abort()

    def eof_received(self) -> bool:
        self._ended_orderly |= ended_orderly(self.transport)
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        if exc is not None and self._state == _HEAD:
            # Writing notices a reset before reading has brought the response that says why (RFC 9112 section 9.5).
            for data in last_words(self.transport):
                self.data_received(data)
                if not _HEAD <= self._state <= _CHUNKS:
                    break
        handler, state, began = self.handler, self._state, bool(self._buffer) or self._interims > 0
        self.handler, self._buffer = None, b""
        if state != _CLOSED:
            self._state = _CLOSED
            self.pool.forget(self)
        if handler is None:
            return
        if state == _HEAD:
            failure = Failure.TRUNCATED if began else Failure.RESET
            handler.on_failure(failure, lost_text(exc, "before", self.pool.hint_for_new if self.uses == 1 else ""))
        elif state == _UNTIL_CLOSE and exc is None and self._ended_orderly:
            handler.on_end(b"")
        else:
            handler.on_failure(Failure.TRUNCATED, lost_text(exc, "within"))
