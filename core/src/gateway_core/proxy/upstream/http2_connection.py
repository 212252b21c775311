"""One connection of HTTP/2 to an endpoint: many requests at a time, each a stream.

The connection is its pool's from when it is there until it is closed; a stream is lent for each request. It takes no
further ones (`has_room`) once the endpoint has said GOAWAY, the stream numbers are used up, its age is reached, or it
has as many as the endpoint takes. Bytes of bodies are credited to the connection as they come, so that a stream that
nobody reads holds up no other one; what bounds memory is the window of each stream.

A connection that went silent is found by its requests: when one is given up and nothing of any response has come since
it was sent, a PING goes out, and if nothing at all has come `SILENCE` seconds later, the connection is closed and no
other request waits for its own timeout. PINGs are rationed (`PingRation`).

An endpoint that sends many small frames takes turns with everything else (`FrameTurns`), and one that sends frames that
do nothing has a budget for them, like a client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Final, cast

from gateway_core.failure_text import lost_text
from gateway_core.metrics.http2 import PEER
from gateway_core.proxy.http2.frame_turns import FrameTurns
from gateway_core.proxy.http2.sender import Sender
from gateway_core.proxy.socket_options import close_once, set_user_timeout
from gateway_core.proxy.sweeper import NEVER
from gateway_core.proxy.upstream.http2_heads import ResponseHeads
from gateway_core.proxy.upstream.http2_stream import FIRST_WINDOW, Http2UpstreamStream
from gateway_core.proxy.upstream.response_handler import Failure, Http2ConnectionOwner
from gateway_core.proxy.wire.h2 import frames
from gateway_core.proxy.wire.h2.budget import IDLE_FRAMES, SETTINGS_POINTS, Budget
from gateway_core.proxy.wire.h2.errors import ErrorCode, Http2ConnectionError, Http2StreamError, name_of
from gateway_core.proxy.wire.h2.frames import ACK, END_STREAM, Frame, FrameReader, Setting
from gateway_core.proxy.wire.h2.windows import ReceiveWindow

CONNECTION_WINDOW: Final = 16_777_216
"""Bytes that an endpoint may have on their way on all streams together; given back as they come."""

SILENCE: Final = 5.0
"""Seconds that an endpoint has to acknowledge a PING behind a request that was given up."""

_MOST_STREAMS: Final = 100
"""Streams at once that we open at most."""

USER_TIMEOUT: Final = 30.0
"""Seconds after which a connection is lost whose endpoint does not even acknowledge packets."""

_MOST_UNSENT: Final = 1_048_576
"""Bytes that may wait while the endpoint asks for acknowledgements that it does not take."""

_LAST_STREAM: Final = 0x7FFFFFFF - 2
_PING: Final = b"silence?"


class Http2UpstreamConnection(asyncio.Protocol):
    """The protocol of one connection."""

    __slots__ = (
        "_announced", "_budget", "_heads", "_is_leaving", "_last", "_most", "_pool", "_receiving", "_silent_until",
        "_streams", "_turns", "_waiting", "expects_settings", "expires_at", "heard", "idle_since", "peer", "scheme",
        "sender", "transport", "uses",
    )  # fmt: skip

    def __init__(self, pool: Http2ConnectionOwner, scheme: str, expires_at: float = NEVER) -> None:
        """Begin without a transport.

        :param expires_at: monotonic seconds from which on it takes no further request.
        """
        self._pool = pool
        self.scheme = scheme.encode()
        self.expires_at = expires_at
        self.idle_since = pool.now()
        """Since when it has no streams; infinite while it has."""
        self.uses = 0
        """Requests that were sent over it."""
        self.heard = 0
        """Frames of responses that came over it."""
        self._budget = Budget(*IDLE_FRAMES, self.idle_since)
        self._heads = ResponseHeads(pool.max_head_bytes)
        self._streams: dict[int, Http2UpstreamStream] = {}
        self._waiting: set[Http2UpstreamStream] = set()  # whose heads came in this read, and may wait for its rest
        self._last = -1
        self.expects_settings = True
        """Whether the endpoint has not said yet how many streams it takes: until then it gets one."""
        self._most = self._announced = 1  # less than it says where it refuses streams all the same
        self._receiving = ReceiveWindow(CONNECTION_WINDOW)
        self._is_leaving = False
        self._silent_until = NEVER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._turns = FrameTurns(FrameReader(from_client=False), self.transport, self._take_some)
        self.peer: object = transport.get_extra_info("peername")
        self.sender = Sender(self.transport, self._pool.http2, self._pool.counts)
        set_user_timeout(self.transport, USER_TIMEOUT)
        settings: dict[int, int] = {
            Setting.ENABLE_PUSH: 0,
            Setting.INITIAL_WINDOW_SIZE: FIRST_WINDOW,
            Setting.MAX_HEADER_LIST_SIZE: self._pool.max_head_bytes,
        }
        self.sender.write(frames.PREFACE + frames.settings_frame(settings))
        self.sender.write(frames.window_update(0, CONNECTION_WINDOW - frames.DEFAULT_WINDOW))

    def limit_heads(self, size: int) -> None:
        """Take heads of no more than so many bytes, and say so."""
        if size != self._heads.most:
            self._heads.limit(size)
            if not self.transport.is_closing():
                self.sender.write(frames.settings_frame([(Setting.MAX_HEADER_LIST_SIZE, size)]))

    # -- lending

    @property
    def is_alive(self) -> bool:
        """Whether a request may be sent over it at some time."""
        return not (self._is_leaving or self.transport.is_closing())

    @property
    def has_room(self) -> bool:
        """Whether a request may be sent over it now; not while it is suspected to be silent, nor once it is too old."""
        has_room = len(self._streams) < self._most and self._silent_until == NEVER
        if self.expires_at != NEVER and self.expires_at <= self._pool.now():
            return False  # which `expire` may notice later
        return has_room and not (self._is_leaving or self.transport.is_closing())

    def __len__(self) -> int:
        """Return the requests in progress."""
        return len(self._streams)

    def begin(self, stream: Http2UpstreamStream) -> int:
        if self._is_leaving or len(self._streams) >= self._most or self.transport.is_closing():
            return 0
        number = self._last = self._last + 2
        self.uses += 1
        self.idle_since = NEVER
        self._streams[number] = stream
        if number >= _LAST_STREAM:
            self._is_leaving = True
        return number

    def cut(self, stream: Http2UpstreamStream, code: ErrorCode) -> None:
        if self._streams.get(stream.stream_id) is not stream:
            return
        self.sender.reset(stream.stream_id, code)
        is_silent = code is ErrorCode.CANCEL and stream.heard_before == self.heard and self._silent_until == NEVER
        if is_silent and self._pool.pings.spend(self._pool.now()):
            self._silent_until = self._pool.now() + SILENCE
            self.sender.write(frames.ping(_PING))
        self.remove(stream)

    def remove(self, stream: Http2UpstreamStream) -> None:
        if self._streams.get(stream.stream_id) is not stream:
            return
        del self._streams[stream.stream_id]
        self._waiting.discard(stream)
        if stream.queued:
            self.sender.drop(stream)
        if not self._streams:
            self.idle_since = self._pool.now()
            if self._is_leaving:
                self.close()
        if self._is_leaving or self._pool.waiting or self._pool.closed:
            self._pool.connection_changed(self)

    # -- receiving

    def data_received(self, data: bytes) -> None:
        self._silent_until = NEVER
        self._pool.counts.bytes_in += len(data)
        self._turns.feed(data)

    def _take_some(self, received: Iterable[Frame]) -> None:
        self.sender.hold()
        try:
            for kind, flags, stream_id, payload, size in received:
                try:
                    if kind == frames.DATA:
                        self._take_data(flags, stream_id, payload, size)
                    elif kind == frames.HEADERS:
                        self._take_headers(flags, stream_id, payload)
                    else:
                        self._take(kind, flags, stream_id, payload)
                except Http2StreamError as error:
                    self._fail_stream(error.stream, error.code, error.detail)
        except Http2ConnectionError as error:
            self._fail_all(error.code, error.detail)
            return
        if self._waiting:
            for stream in list(self._waiting):
                stream.flush()
            self._waiting.clear()
        self.sender.flush()

    def _take(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind == frames.WINDOW_UPDATE:
            self._take_window(stream_id, frames.read_number(payload) & frames.MAX_WINDOW)
        elif kind == frames.RST_STREAM:
            self._take_reset(stream_id, frames.read_number(payload))
        elif kind == frames.SETTINGS:
            self._spend(SETTINGS_POINTS + len(payload) // 6)
            if not flags & ACK:
                self._take_settings(payload)
        elif kind == frames.PING:
            self._take_ping(flags, payload)
        elif kind == frames.GOAWAY:
            self._spend(1)
            self._take_goaway(payload)
        else:
            self._spend(1)

    def _spend(self, points: float) -> None:
        if not self._budget.spend(points, self._pool.now()):
            raise Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "too many of its frames do nothing")

    def _stream(self, stream_id: int) -> Http2UpstreamStream | None:
        """Return a stream; None for one that is done. Http2ConnectionError if it was never begun."""
        if stream_id > self._last or not stream_id & 1:
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "it names a stream that was never begun")
        return self._streams.get(stream_id)

    def _take_data(self, flags: int, stream_id: int, payload: bytes, size: int) -> None:
        if announced := self._receiving.pass_on(size):
            if announced < 0:
                raise Http2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "it sends more than the connection's window")
            self.sender.write(frames.window_update(0, announced))
        if not payload and not flags & END_STREAM:
            self._spend(1)
        stream = self._streams.get(stream_id) or self._stream(stream_id)
        if stream is not None:
            self.heard += 1
            stream.take_data(payload, size, ends=flags & END_STREAM != 0)

    def _take_headers(self, flags: int, stream_id: int, block: bytes) -> None:
        ends = bool(flags & END_STREAM)
        stream = self._streams.get(stream_id) or self._stream(stream_id)
        if stream is None:
            self._heads.skip(block)
            return
        if stream.is_responding:
            trailers = self._heads.read_trailers(stream_id, block)
            if not ends:
                raise Http2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, "its trailers do not end the response")
            stream.take_trailers(trailers)
            return
        head = self._heads.read(stream_id, block, ends=ends)
        stream.take_head(head, ends=ends)
        self.heard += 1
        self._pool.pings.responded()
        if head.status >= 200:
            self._most += self._most < self._announced
            if not ends:
                self._waiting.add(stream)

    def _take_window(self, stream_id: int, size: int) -> None:
        if not stream_id:
            self.sender.open_window(size)
        elif (stream := self._stream(stream_id)) is not None:
            self.sender.open_stream(stream, size)

    def _take_reset(self, stream_id: int, code: int) -> None:
        self.sender.http2.reset(code, PEER)
        stream = self._stream(stream_id)
        if stream is None:
            return
        is_refused = code == ErrorCode.REFUSED_STREAM and not stream.is_responding
        if is_refused:
            self._most = min(self._announced, max(1, len(self._streams) - 1))
        self.remove(stream)
        if is_refused:
            stream.fail(Failure.REFUSED, "it refused the stream")
        else:
            detail = f"it reset the stream ({name_of(code)})"
            stream.fail(Failure.TRUNCATED if stream.is_responding else Failure.RESET, detail)

    def _take_settings(self, payload: bytes) -> None:
        if self.expects_settings:
            self.expects_settings, self._most, self._announced = False, _MOST_STREAMS, _MOST_STREAMS
        for identifier, value in frames.read_settings(payload):
            if identifier == Setting.ENABLE_PUSH and value:
                raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "it is a server, and asks for pushes")
            if identifier == Setting.MAX_CONCURRENT_STREAMS:
                self._most = self._announced = min(value, _MOST_STREAMS)
            elif identifier == Setting.HEADER_TABLE_SIZE:
                self.sender.limit_table(value)
            elif identifier == Setting.INITIAL_WINDOW_SIZE:
                change = value - self.sender.initial
                self.sender.use_initial_window(value)
                for stream in self:
                    if stream.window + change > frames.MAX_WINDOW:
                        raise Http2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "it makes a window too large")
                    stream.change_window(change)
                    self.sender.enter(stream)
        self._acknowledge(frames.SETTINGS_ACK)
        self._pool.connection_changed(self)

    def __iter__(self) -> Iterator[Http2UpstreamStream]:
        """Iterate over a copy of the streams."""
        return iter(list(self._streams.values()))

    def _take_ping(self, flags: int, payload: bytes) -> None:
        self._spend(1)
        if not flags & ACK:
            self._acknowledge(frames.ping(payload, is_ack=True))

    def _acknowledge(self, frame: bytes) -> None:
        if self.sender.unsent > _MOST_UNSENT:
            raise Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "it takes no acknowledgements of its frames")
        self.sender.write(frame)

    def _take_goaway(self, payload: bytes) -> None:
        last, code = frames.read_number(payload) & frames.MAX_WINDOW, frames.read_number(payload[4:])
        self.sender.http2.goaway(code, PEER)
        if code == ErrorCode.ENHANCE_YOUR_CALM and payload[8:] == b"too_many_pings":
            self._pool.pings.reproved()
        self._is_leaving = True
        for stream in self:
            if stream.stream_id > last:
                self.remove(stream)
                stream.fail(Failure.UNSEEN, "it closes the connection without having seen the request")
        if not self._streams:
            self.close()
        self._pool.connection_changed(self)

    # -- ends

    def _fail_stream(self, stream_id: int, code: ErrorCode, detail: str) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            raise Http2ConnectionError(code, detail)
        self.cut(stream, code)
        stream.fail(Failure.BAD_RESPONSE, detail)

    def _fail_all(self, code: ErrorCode, detail: str) -> None:
        self._is_leaving = True
        self.sender.end_connection(0, code, detail)
        self.sender.flush()
        for stream in self:
            self.remove(stream)
            stream.fail(Failure.BAD_RESPONSE, detail)
        self.close()

    def expire(self, now: float) -> None:
        """Close a connection that does not respond, and take no more requests on one that is too old."""
        if now >= self._silent_until:
            self.abort()
        elif now >= self.expires_at:
            self.retire()

    @property
    def deadline(self) -> float:
        """When `expire` has something to do."""
        return min(self._silent_until, self.expires_at if not self._is_leaving else NEVER)

    def retire(self) -> None:
        """Take no more requests, and close when those in progress are done."""
        self._is_leaving = True
        if not self._streams:
            self.close()
        self._pool.connection_changed(self)

    def close(self) -> None:
        """Close the connection, which has no streams."""
        if not self._is_leaving:
            self._is_leaving = True
            self.sender.end_connection(0, ErrorCode.NO_ERROR)
        self.sender.flush()
        close_once(self.transport)

    def abort(self) -> None:
        """Close it at once."""
        self.transport.abort()

    def pause_writing(self) -> None:
        self.sender.pause()

    def resume_writing(self) -> None:
        self.sender.resume()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._is_leaving = True
        self._silent_until = NEVER
        self._turns.finish()
        self.sender.closed()
        streams = list(self)
        self._streams.clear()
        for stream in streams:
            failure, when = (Failure.TRUNCATED, "within") if stream.is_responding else (Failure.RESET, "before")
            stream.fail(failure, lost_text(exc, when))
        self._pool.connection_changed(self)
