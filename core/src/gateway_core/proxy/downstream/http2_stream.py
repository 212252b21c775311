"""One stream of a client: its request's body on the way in, its response on the way out (a `ResponseWriter`).

A stream belongs to its `Http2Connection` from its HEADERS until both sides are done with it:

    half closed (remote)   the request is complete, the response is not
    half closed (local)    the response is written, and waits for windows or for the end of the request
    closed                 both, or RST_STREAM either way

What comes of the body is fed to the exchange's `RequestBody`, and the client may send more as it is passed on. While
the body's receiver does not keep up, it may not; all other streams of the connection go on.
"""

from __future__ import annotations

from typing import Final, Protocol

from gateway_core.proxy.downstream.http2_tunnel import StreamTransport
from gateway_core.proxy.exchange import Exchange
from gateway_core.proxy.http2.sender import Sender, SendStream
from gateway_core.proxy.http2.waiting import LOW_WATER
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.response_fields import BODILESS, DateField
from gateway_core.proxy.sweeper import NEVER
from gateway_core.proxy.tunnel import TunnelEnd
from gateway_core.proxy.wire.h2.errors import ErrorCode
from gateway_core.proxy.wire.h2.fields import without_handshake
from gateway_core.proxy.wire.h2.frames import window_update
from gateway_core.proxy.wire.h2.hpack_encoder import encode_block, encode_status, encode_value, name_prefix
from gateway_core.proxy.wire.h2.windows import ReceiveWindow
from gateway_core.proxy.wire.request_head import RequestHead
from gateway_core.proxy.wire.response_head import NO_BODY, ResponseHead

_END: Final = b"\r\n\r\n"
_ID_BEGIN: Final = len(b"\r\nX-Request-Id: ")
_ID_END: Final = -len(_END)
_CONTINUE: Final = encode_status(100)
_SWITCHED: Final = encode_status(200)
_LENGTH_PREFIX: Final = name_prefix(b"content-length")
_ID_PREFIX: Final = name_prefix(b"x-request-id")

FIRST_WINDOW: Final = 65_535
"""Bytes that a client may send on a new stream before a WINDOW_UPDATE."""

LARGEST_WINDOW: Final = 2_097_152
"""Bytes to which the window of a stream grows whose body is passed on as fast as it comes."""

_PASSED: Final = 65_536
"""Bytes of a view that is not copied: what it lies in, which then cannot be used again, is not much larger."""

_CLOSED: Final = ReceiveWindow(0)
_NO_PIECES: Final[list[bytes]] = []
"""The window of requests without a body, and what came of it."""


class StreamOwner(Protocol):
    """The connection, for its streams."""

    sender: Sender
    date: DateField
    streams: dict[int, Http2Stream]
    """Those that are not done."""

    def grow(self, size: int) -> bool:
        """Lend a stream so many bytes of window beyond its first; False if the connection's share is used up."""

    def stream_done(self, stream: Http2Stream, now: float = 0.0) -> None:
        """Called when a response is complete and written, or waits only for windows; at ``now``, if that is known."""

    def cut(self, stream: Http2Stream, code: ErrorCode) -> None:
        """End a stream by RST_STREAM."""


class Http2Stream(SendStream):
    """A stream that a client began."""

    __slots__ = (
        "_is_head", "_is_paused_by_body", "_owner", "_pieces", "_tunnel", "body", "bytes_sent", "continue_sent",
        "deadline", "exchange", "head", "head_sent", "is_paused", "is_remote_ended", "lent", "received", "receiving",
        "trailers_received",
    )  # fmt: skip

    version = "2"

    def __init__(self, owner: StreamOwner, stream_id: int, head: RequestHead, window: int, ends: bool) -> None:
        """Begin with a request's head.

        :param window: bytes that the client takes at first.
        :param ends: whether the request has no body.
        """
        SendStream.__init__(self, stream_id, window)  # `super()` makes an object
        self._owner = owner
        self.head = head
        self.exchange: Exchange | None = None
        """From when it is started until it is over."""
        self.body: RequestBody | None = None
        """The request's body while it is fed."""
        self._is_head = head.method == "HEAD"
        self.head_sent = self.continue_sent = False
        self.bytes_sent = 0
        self.is_paused = False
        self.is_remote_ended = ends
        """Whether the client has sent all of its request."""
        self.received = 0
        """Bytes of the body so far."""
        self._pieces = _NO_PIECES if ends else []  # of the body, until the exchange is started
        self.trailers_received = b""
        self.receiving = _CLOSED if ends else ReceiveWindow(FIRST_WINDOW)
        self.lent = 0
        """Bytes of window beyond the first one."""
        self._is_paused_by_body = False
        self._tunnel: StreamTransport | None = None
        self.deadline = NEVER
        """When the client has to have taken what waits of a response whose exchange is over."""

    # -- the request

    def take_body(self, exchange: Exchange) -> RequestBody | None:
        """Return the body of the request with what is there of it; None if it has none."""
        self.exchange = exchange
        if not self.head.has_body:
            return None
        pieces, self._pieces = self._pieces, []
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        body = RequestBody(exchange, self, data, is_complete=self.is_remote_ended, trailers=self.trailers_received)
        if not self.is_remote_ended:
            self.body = body
            self.credit(0)
        return body

    def take_whole(self, data: bytes) -> bool:
        """Take a body that is one frame of DATA, before the exchange is started; False if it has to be fed."""
        is_first = not (self._pieces or self.exchange is not None or self.head_sent)
        if is_first and (self._announced < 0 or self._announced == len(data)) and self.head.facts.upgrade is None:
            self.received, self.is_remote_ended = len(data), True
            self._pieces.append(data)
            return True
        return False

    def feed(self, data: bytes, size: int) -> bool:
        """Take a piece of the body; False if the client was not allowed to send it.

        :param size: bytes that count in windows, padding included.
        """
        if not self.receiving.take(size):
            return False
        self.received += len(data)
        if self._tunnel is not None:
            self._tunnel.feed(data)
            self.credit(size)
        elif self._waits_for_switch or (self.exchange is None and not self.head_sent):
            self._pieces.append(data)
            self.receiving.owe(size)
        elif self.body is not None:
            if data:
                self.body.feed(data)
            self.credit(size)
        else:
            self.credit(size)  # the exchange is over
        return True

    @property
    def _waits_for_switch(self) -> bool:
        """Whether what comes is for the protocol that was asked for, if there will be one."""
        return self.head.facts.upgrade is not None and not self.head_sent

    @property
    def _announced(self) -> int:
        return self.head.facts.content_length

    @property
    def has_announced_length(self) -> bool:
        """Whether the body is as long as Content-Length says, if that says anything."""
        return self._announced < 0 or self._announced == self.received

    @property
    def exceeds_announced_length(self) -> bool:
        """Whether the body is longer than Content-Length says."""
        return 0 <= self._announced < self.received

    def end_request(self, trailers: bytes) -> None:
        """Take the end of the body."""
        self.is_remote_ended = True
        self.trailers_received = trailers
        body, self.body = self.body, None
        if body is not None:
            body.end(trailers)
        elif self._tunnel is not None:
            self._tunnel.feed_eof()

    def credit(self, size: int) -> None:
        """Give the client credit, now or later, to send as much again."""
        if self._is_paused_by_body or self.is_remote_ended:
            self.receiving.owe(size)
            return
        announced = self.receiving.give(size)
        if announced:
            window = self.receiving.size
            if window < LARGEST_WINDOW and self._owner.grow(window):
                self.lent += window
                self.receiving.grow(window)
                announced += window
            self._owner.sender.write(window_update(self.stream_id, announced))

    def pause_request(self) -> None:
        self._is_paused_by_body = True

    def resume_request(self) -> None:
        self._is_paused_by_body = False
        if not self.is_remote_ended:
            self.credit(0)

    # -- heads of the response

    def make_last(self) -> None:
        """Do nothing: the connection's other streams go on."""

    def interim(self, status: int, reason: str, block: bytes) -> None:  # noqa: ARG002 - HTTP/2 has no reasons
        if not self.head_sent:
            self.continue_sent = self.continue_sent or status == 100
            self._owner.sender.send_head(self, encode_status(status) + encode_block(block), ends=False)

    def send_continue(self) -> None:
        if not self.head_sent:
            self.continue_sent = True
            self._owner.sender.send_head(self, _CONTINUE, ends=False)

    def relay(
        self, head: ResponseHead, added: bytes, id_line: bytes, body: bytes, complete: bool, trailers: bytes = b""
    ) -> None:
        length, size = head.content_length, len(body)
        is_framed = length == size if not trailers else length is None and not head.trailer
        is_usual = complete and size > 0 and is_framed and head.has_date and not self._is_head
        if is_usual and (known := head.encoded) is not None and known[0] is added:
            self._send_head(known[1], id_line, body, complete, encode_block(trailers) if trailers else b"")
            return
        if not head.has_date:
            added = self._owner.date.block() + added
        if complete and not trailers and not self._is_head and head.length != NO_BODY:
            length = size
        if head.trailer and (trailers or not complete):
            added += head.trailer
        fields = encode_block(head.block)  # each by itself: few upstreams' heads are the same as the last one for long
        if added:
            fields += encode_block(added)
        encoded = self._write(head.status, fields, length, id_line, body, complete, trailers)
        if is_usual:
            head.know_encoded(added, encoded)

    def start(
        self,
        status: int,
        reason: str,  # noqa: ARG002 - HTTP/2 has none
        block: bytes,
        length: int | None,
        id_line: bytes,
        body: bytes = b"",
        complete: bool = False,
    ) -> None:
        found: object = status  # which hooks may set to anything
        if not isinstance(found, int) or not 200 <= found <= 999:
            raise ValueError(f"{found!r} is not the status of a final response: use 200 to 999")
        lowered = block.lower()
        if lowered.find(b"\r\nx-request-id:") >= 0:
            id_line = _END  # a hook saw it, and left this one
        if lowered.find(b"\r\ndate:") < 0:
            block += self._owner.date.block()
        self._write(status, encode_block(block), length, id_line, body, complete)

    def whole(self, head: bytes, id_line: bytes, body: bytes) -> bool:  # noqa: ARG002 - see `start`
        return False

    def _write(
        self, status: int, fields: bytes, length: int | None, id_line: bytes, body: bytes, complete: bool,
        trailers: bytes = b"",
    ) -> bytes:  # fmt: skip
        """Write a head with what is there of the body; return its block without the request's id."""
        encoded = encode_status(status) + fields
        if length is not None and status != 204:
            encoded += encode_value(_LENGTH_PREFIX, b"%d" % length)
        if self._is_head or status in BODILESS:
            self._is_head, body = True, b""
        self._send_head(encoded, id_line, body, complete, encode_block(trailers) if trailers else b"")
        return encoded

    def _send_head(self, encoded: bytes, id_line: bytes, body: bytes, complete: bool, end: bytes = b"") -> None:
        if id_line != _END:
            encoded += encode_value(_ID_PREFIX, id_line[_ID_BEGIN:_ID_END])
        self.head_sent = True
        self.bytes_sent = len(body)
        owner = self._owner
        sender = owner.sender
        if body:
            is_alone = complete and len(owner.streams) == 1  # there is no other stream to wait for
            sender.send_begin(self, encoded, body, end, ends=complete, at_once=is_alone)
            if self.queued and not complete:
                self._pause_if_full()
        else:
            sender.send_head(self, encoded, ends=complete and not end)
            if end:
                sender.end(self, end)

    # -- the body of the response

    def data(self, data: bytes | memoryview) -> None:
        if data and not self._is_head:
            self.bytes_sent += len(data)
            self._send(data if len(data) >= _PASSED else bytes(data))

    def sink(self) -> None:
        """Return none: a body goes in frames."""

    def passed(self, size: int, waiting: int) -> None:  # noqa: ARG002 - see `sink`
        raise AssertionError("nothing passes by a stream")

    def _send(self, data: bytes | memoryview) -> None:
        self._owner.sender.send(self, data)
        if self.queued:
            self._pause_if_full()

    def _pause_if_full(self) -> None:
        sender = self._owner.sender
        most = sender.high_water if self.window > 0 else 1  # nothing leaves before a window opens
        if self.queued < most or self.is_paused:
            return
        if self.window > 0:
            sender.flush()  # which mostly sends all of it
        if self.queued >= most:
            self.keep()
            self.is_paused = True
            if self.exchange is not None:
                self.exchange.pause_response()

    def end(self, trailers: bytes = b"") -> None:
        self._owner.sender.end(self, encode_block(trailers) if trailers else b"")

    def drained(self) -> None:
        if self._tunnel is not None:
            self._tunnel.drained()
        if self.is_paused and self.queued <= LOW_WATER:
            self.is_paused = False
            if self.exchange is not None:
                self.exchange.resume_response()
        if self.exchange is None:
            self._owner.stream_done(self)

    # -- ends

    def wait_until(self, when: float) -> None:
        """Give the client until then to take what waits: the exchange is over."""
        self.deadline = when

    def finish(self, now: float) -> None:
        self.exchange = self.body = None
        self._owner.stream_done(self, now)

    def cut(self, *, flush: bool) -> None:
        if flush and self.queued:
            self.is_paused = False  # there is nothing to resume
            self._owner.sender.flush()  # what still waits then is dropped with the stream
        self.exchange = self.body = None
        self._owner.cut(self, ErrorCode.INTERNAL_ERROR)

    def leave(self, detail: str) -> None:
        """End the exchange without a response: the stream is gone."""
        exchange, self.exchange, self.body = self.exchange, None, None
        if self._tunnel is not None:
            self._tunnel.lost()
        if exchange is not None:
            exchange.client_gone(detail)

    # -- tunnels

    def switch(self, status: int, reason: str, block: bytes, protocol: bytes) -> TunnelEnd:  # noqa: ARG002
        """Say that the stream is a byte stream from now on: that is 200 over HTTP/2 (RFC 8441 section 5)."""
        self.head_sent = True
        encoded = _SWITCHED + encode_block(without_handshake(block))
        self._owner.sender.send_head(self, encoded, ends=False)
        self._tunnel = StreamTransport(self, self, self._owner.sender)
        pieces, self._pieces = self._pieces, []
        self.credit(0)
        if self.is_remote_ended:
            self._tunnel.feed_eof()
        return TunnelEnd(self._tunnel, b"".join(pieces))

    def abort(self) -> None:
        self._owner.cut(self, ErrorCode.CANCEL)

    def write_is_over(self) -> None:
        if self.exchange is None:
            self._owner.stream_done(self)
