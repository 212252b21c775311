"""One request over a connection of HTTP/2 to an endpoint: what an attempt has where HTTP/1 has an `UpstreamConnection`.

A stream is for one request. Its response comes as head, body and trailers, and flows no faster than its handler lets
it, by the window of the stream: a client that stops reading holds up no other stream of the connection.

What one read brings of a response is passed on together: a head with the first frame of its body, and with its trailers
if these end it, as they end a unary call of gRPC. What the read leaves incomplete is passed on at its end (`flush`).

A stream that the endpoint refuses, or that it says that it has not seen, was not acted upon, so the request may be sent
again whatever its method (`Failure.REFUSED`, `Failure.UNSEEN`). RST_STREAM with NO_ERROR behind a complete response
only says that the endpoint has no use for the rest of the request (RFC 9113 section 8.1).
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from gateway_core.proxy.http2.sender import Sender, SendStream
from gateway_core.proxy.http2.waiting import HIGH_WATER, LOW_WATER
from gateway_core.proxy.upstream.response_handler import MOST_INTERIM, Failure, StreamHandler
from gateway_core.proxy.wire.h2.errors import ErrorCode, Http2StreamError
from gateway_core.proxy.wire.h2.fields import encode_request
from gateway_core.proxy.wire.h2.frames import window_update
from gateway_core.proxy.wire.h2.hpack_encoder import encode_block
from gateway_core.proxy.wire.h2.windows import ReceiveWindow
from gateway_core.proxy.wire.request_head import HEAD_ONLY, MAY_SWITCH
from gateway_core.proxy.wire.response_head import NO_BODY, ResponseHead

FIRST_WINDOW: Final = 65_535
"""Bytes of a response that an endpoint may send before a WINDOW_UPDATE."""

LARGEST_WINDOW: Final = 1_048_576
"""Bytes to which the window grows of a response that is passed on as fast as it comes."""


class StreamOwner(Protocol):
    """The connection, for its streams."""

    sender: Sender
    scheme: bytes
    transport: asyncio.Transport
    peer: object

    uses: int
    """Requests that were sent over it."""
    heard: int
    """Frames of responses that came over it."""

    def begin(self, stream: Http2UpstreamStream) -> int:
        """Return the number of a new stream; 0 if the connection takes none any more."""

    def cut(self, stream: Http2UpstreamStream, code: ErrorCode) -> None:
        """End a stream by RST_STREAM."""

    def remove(self, stream: Http2UpstreamStream) -> None:
        """Forget a stream, both directions of which are complete."""


class EndedPool(Protocol):
    """The pool, as far as a stream goes."""

    closed: bool


class Http2UpstreamStream(SendStream):
    """A request on its way to an endpoint, and its response on its way back."""

    http_version = "2"

    __slots__ = (
        "_begun", "_connection", "_head", "_interims", "_is_bodiless", "_is_over", "_is_paused", "_is_upload_paused",
        "_left", "_receiving", "_size", "bound", "client", "flags", "handler", "heard_before", "is_responding", "pool",
        "upload_complete", "uses",
    )  # fmt: skip

    def __init__(self, connection: StreamOwner, pool: EndedPool, window: int) -> None:
        """Begin without a number, which a stream gets with its head.

        :param window: bytes that the endpoint takes at first.
        """
        SendStream.__init__(self, 0, window)  # `super()` makes an object
        self._connection = connection
        self.pool = pool
        self.client = ""
        self.bound = 0
        self.uses = 1
        self.heard_before = 0
        """Frames of responses that had come over the connection when the request was sent."""
        self.handler: StreamHandler | None = None
        self.flags = 0
        self.upload_complete = True
        self._head: ResponseHead | None = None  # that waits for what comes behind it in the same read, with
        self._begun, self._size = b"", 0  # the first frame of its body, and what that counts in windows
        self._interims = 0
        self._left: int | None = None  # bytes that the body still has by Content-Length
        self.is_responding = False
        """Whether the final head came."""
        self._is_bodiless = self._is_over = self._is_paused = self._is_upload_paused = False
        self._receiving: ReceiveWindow | None = None  # until more than one frame comes, which is always allowed

    @property
    def transport(self) -> asyncio.Transport:
        """That of its connection."""
        return self._connection.transport

    @property
    def peer(self) -> object:
        """The address at the other end of its connection."""
        return self._connection.peer

    # -- sending

    def send(self, handler: StreamHandler, head: bytes, flags: int = 0, upload_complete: bool = True) -> None:
        """Send a request's head, as it would go over HTTP/1; `handler` gets the response."""
        self.send_with_body(handler, head, b"", flags, upload_complete)

    def send_with_body(
        self,
        handler: StreamHandler,
        head: bytes,
        body: bytes,
        flags: int,
        complete: bool,
        trailers: bytes = b"",
    ) -> None:
        """Send a request with the part of its body that is there, or with all of it and its trailers."""
        self.handler, self.flags, self.upload_complete = handler, flags, complete
        connection = self._connection
        if flags & MAY_SWITCH:
            self._fail_soon(Failure.BAD_RESPONSE, "other protocols are asked for over HTTP/1 only")
            return
        number = connection.begin(self)
        if not number:
            self._fail_soon(Failure.REFUSED, "its connection takes no further requests")
            return
        sender = connection.sender
        self.stream_id, self.window = number, sender.initial
        self.uses, self.heard_before = connection.uses, connection.heard
        block = encode_request(head, connection.scheme, lambda: handler.seconds_left)
        if body:
            sender.send_begin(self, block, body, ends=complete and not trailers)
            if self.queued:
                self._pause_upload_if_full()
        else:
            sender.send_head(self, block, ends=complete and not trailers)
        if complete and trailers:
            sender.end(self, encode_block(trailers))

    def send_body(self, data: bytes) -> None:
        """Send the next part of the request's body."""
        if self._is_over:
            return
        self._connection.sender.send(self, data)
        self._pause_upload_if_full()

    def _pause_upload_if_full(self) -> None:
        if self.queued >= HIGH_WATER and not self._is_upload_paused and self.handler is not None:
            self._is_upload_paused = True
            self.handler.pause_upload()

    def send_end(self, trailers: bytes = b"") -> None:
        """End the request's body."""
        if not self.upload_complete:
            self.upload_complete = True
            self._connection.sender.end(self, encode_block(trailers) if trailers else b"")

    def drained(self) -> None:
        if self._is_upload_paused and self.queued <= LOW_WATER:
            self._is_upload_paused = False
            if self.handler is not None:
                self.handler.resume_upload()

    def pause_reading(self) -> None:
        """Pause the response: its handler cannot take more at present."""
        self._is_paused = True

    def resume_reading(self) -> None:
        """Go on with the response."""
        self._is_paused = False
        if self._receiving is not None:
            self._credit(self._receiving, 0)

    def abort(self) -> None:
        """End the stream at once; the handler is not called."""
        self.handler = None
        if not self._is_over:
            self._is_over = True
            self._connection.cut(self, ErrorCode.CANCEL)

    # -- called by the connection

    def take_head(self, head: ResponseHead, *, ends: bool) -> None:
        """Take a head, interim or final.

        :raises Http2StreamError: it comes where none may, or announces a body, and there is none.
        """
        if head.status < 200:
            self._take_interim(head, ends=ends)
            return
        self._is_bodiless = head.length == NO_BODY or self.flags & HEAD_ONLY != 0  # RFC 9113 section 8.1.1
        if head.content_length is not None and not self._is_bodiless:
            self._left = head.content_length
        if ends:
            self._expect_end()
            self.is_responding = True
            self._end(head, b"")
        else:
            self.is_responding = True
            self._head = head

    def _take_interim(self, head: ResponseHead, *, ends: bool) -> None:
        self._interims += 1
        detail = ""
        if ends or head.status == 101:
            detail = (
                f"it ends its response with {head.status}" if ends else "it changes to a protocol: HTTP/2 has no 101"
            )
        elif self._interims > MOST_INTERIM:
            detail = f"it sends more than {MOST_INTERIM} interim responses"
        if detail:
            raise Http2StreamError(self.stream_id, ErrorCode.PROTOCOL_ERROR, detail)
        if self.handler is not None:
            self.handler.on_interim(head)

    def take_data(self, data: bytes, size: int, *, ends: bool) -> None:
        """Take a part of the body.

        :raises Http2StreamError: there may be no body, not so much now, or not as much as was announced (RFC 9113
            section 8.1.1).
        """
        if not self.is_responding:
            raise Http2StreamError(self.stream_id, ErrorCode.PROTOCOL_ERROR, "it sends a body without a head")
        if data and self._is_bodiless:
            detail = "it sends a body with a response that has none, by its status or to HEAD"
            raise Http2StreamError(self.stream_id, ErrorCode.PROTOCOL_ERROR, detail)
        head, window = self._head, self._receiving
        if window is None and (head is None or self._begun or not (data or ends)):
            head, window = None, self._open()
        if window is not None and not window.take(size):
            detail = "it sends more than the stream's window"
            raise Http2StreamError(self.stream_id, ErrorCode.FLOW_CONTROL_ERROR, detail)
        if self._left is not None:
            self._left -= len(data)
            if ends or self._left < 0:
                self._expect_end()
        if ends:
            self._head = None
            self._end(head, data)
        elif window is None:
            self._begun, self._size = data, size
        else:
            if data and self.handler is not None:
                self.handler.on_body(data)
            self._credit(window, size)

    def take_trailers(self, trailers: bytes) -> None:
        """Take the fields behind the body, which end the response.

        :raises Http2StreamError: as `take_data`.
        """
        if self._left:
            self._expect_end()
        head, data = self._head, self._begun
        if data and trailers and self.upload_complete:
            self._head, self._begun = None, b""
            self._end(head, data, trailers)
        else:
            self.flush()
            self._end(None, b"", trailers)

    def _expect_end(self) -> None:
        if self._left:
            raise Http2StreamError(self.stream_id, ErrorCode.PROTOCOL_ERROR, "its body is not as long as it says")

    def flush(self) -> None:
        """Pass on what waits of a response whose rest is still to come."""
        if self._head is not None:
            self._open()

    def _open(self) -> ReceiveWindow:
        """Pass on what waits, and have a window for what comes."""
        window = self._receiving = ReceiveWindow(FIRST_WINDOW)
        head, data, size = self._head, self._begun, self._size
        self._head, self._begun = None, b""
        window.take(size)
        if head is not None and self.handler is not None:
            self.handler.on_response(head, data, False)
        self._credit(window, size)
        return window

    def _end(self, head: ResponseHead | None, data: bytes, trailers: bytes = b"") -> None:
        handler, self.handler = self.handler, None
        self._is_over = True
        if self.upload_complete:
            self._connection.remove(self)
        else:
            self._connection.cut(self, ErrorCode.NO_ERROR)  # the rest of the request is of no use
        if handler is None:
            return
        if head is not None:
            handler.on_whole(head, data, trailers) if trailers else handler.on_response(head, data, True)
            return
        if data:
            handler.on_body(data)
        handler.on_end(trailers)

    def _credit(self, window: ReceiveWindow, size: int) -> None:
        if self._is_paused or self._is_over:
            window.owe(size)
            return
        announced = window.give(size)
        if announced:
            if window.size < LARGEST_WINDOW:
                announced += window.size
                window.grow(window.size)
            self._connection.sender.write(window_update(self.stream_id, announced))

    def fail(self, failure: Failure, detail: str) -> None:
        """End it: no complete response will come; the connection has forgotten it."""
        self._is_over = True
        if self._begun:
            self.flush()
        self._fail(failure, detail)

    def _fail_soon(self, failure: Failure, detail: str) -> None:
        """Fail once the caller of `send` has returned: it is not prepared for a handler that is called meanwhile."""
        self._is_over = True
        asyncio.get_running_loop().call_soon(self._fail, failure, detail)

    def _fail(self, failure: Failure, detail: str) -> None:
        handler, self.handler = self.handler, None
        self._is_over = True
        if handler is not None:
            handler.on_failure(failure, detail)
