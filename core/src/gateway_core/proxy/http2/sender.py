"""The sending side of an HTTP/2 connection: one place for all that is written, by its streams and about them.

Everything that is written within one turn of the loop goes to the transport in one piece. Frames about the connection
and heads are written as they are made. Bodies wait in their streams (`SendStream`) until three things allow a frame of
DATA: the stream's window, the connection's, and the transport, of which no more than `MOST_UNSENT` bytes wait: whatever
is already there cannot be overtaken any more by a stream that is more urgent.

Among the streams that may send, the more urgent go first (RFC 9218): of those of one urgency, each sends a frame in
turn, except that a stream whose client says that parts of it are of no use (not incremental) is sent to its end.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from gateway_core.metrics.counts import EndpointCounts
from gateway_core.metrics.http2 import GATEWAY, Http2Counts
from gateway_core.proxy.http2.pending import PendingBytes
from gateway_core.proxy.http2.waiting import HIGH_WATER, Holding, WaitingBytes
from gateway_core.proxy.wire.h2.errors import ErrorCode, Http2ConnectionError, Http2StreamError
from gateway_core.proxy.wire.h2.frames import (
    DATA,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    FRAME_HEAD_SIZE,
    HEADERS,
    MAX_FRAME_SIZE,
    data_frames,
    goaway,
    headers_frames,
    make_head,
    rst_stream,
)
from gateway_core.proxy.wire.h2.hpack import TABLE_SIZE
from gateway_core.proxy.wire.h2.hpack_encoder import EMPTY_TABLE
from gateway_core.proxy.wire.h2.windows import opened

MOST_UNSENT: Final = 131_072
"""Bytes that wait in a transport at most before DATA waits in its streams."""

_MOST_QUEUED: Final = 2 * MOST_UNSENT
"""Bytes of all frames together that wait in a transport before its peer should not be read any more: what waits beyond
`MOST_UNSENT` are heads and acknowledgements of what it sent."""

_LARGE: Final = 32_768  # bytes that are written without a copy of all of them, if they are
_LARGE_PIECE: Final = 4_096  # bytes of a piece on average: asyncio goes through all pieces to say how much waits

DEFAULT_URGENCY: Final = 3


class SendStream(PendingBytes):
    """What one stream has to send. A subclass overrides `drained`."""

    __slots__ = (
        "is_ended", "is_incremental", "is_ready", "stalled_since", "stream_id", "trailers", "urgency", "window",
    )  # fmt: skip

    def __init__(self, stream_id: int, window: int) -> None:
        """Begin with nothing to send, and a window of so many bytes."""
        self.queued, self._parts = 0, None  # as `PendingBytes` does, which would take a call for each stream
        self.stream_id = stream_id
        self.window = window
        self.is_ended = False
        """Whether nothing follows what waits."""
        self.is_ready = False
        """Whether it is in its connection's queue of those that may send."""
        self.urgency, self.is_incremental = DEFAULT_URGENCY, True
        self.stalled_since = 0.0
        """Since when bytes wait for its window, in seconds of the loop's clock; 0 if none do."""
        self.trailers = b""
        """The block that ends it; empty if DATA does."""

    def change_window(self, size: int) -> None:
        """Have the window be larger, or smaller, by so many bytes."""
        self.window += size

    def end_with(self, trailers: bytes) -> None:
        """Have the end wait, with a block of trailers or without."""
        self.is_ended, self.trailers = True, trailers

    def drained(self) -> None:
        """Called when bytes were sent, and when the end was."""


class Sender:
    """Writes the frames of one connection."""

    __slots__ = (
        "_begun", "_counts", "_empties_table", "_holding", "_is_scheduled", "_is_tls", "_loop", "_pieces", "_ready",
        "_size", "_stalled_since", "_transport", "http2", "initial", "is_paused", "window",
    )  # fmt: skip

    def __init__(
        self, transport: asyncio.Transport, http2: Http2Counts, counts: EndpointCounts | None = None,
        holding: Holding | None = None,
    ) -> None:  # fmt: skip
        """Begin with the windows that every connection begins with.

        :param http2: where ends and stalls are counted.
        :param counts: where what is written is counted; None counts nothing.
        :param holding: where what waits in streams is counted, with that of other connections.
        """
        self.http2 = http2
        self._holding = holding or Holding(WaitingBytes(), lambda: None)
        self._transport, self._counts, self._loop = transport, counts, asyncio.get_running_loop()
        self._begun, self._stalled_since = self._loop.time(), 0.0
        self._pieces: list[bytes | memoryview] = []
        self._size = 0
        self._ready: dict[int, deque[SendStream]] = {}  # by urgency; only those that are not empty
        self._is_scheduled = self.is_paused = False  # paused while the transport does not take more
        self._empties_table = False  # the next block of fields begins with the size of the table
        self._is_tls = transport.get_extra_info("ssl_object") is not None
        self.window = self.initial = DEFAULT_WINDOW
        """Bytes of DATA that the peer takes on the connection, and on a new stream."""
        self._limit()

    def _limit(self) -> None:
        self._transport.set_write_buffer_limits(high=MOST_UNSENT - 1, low=MOST_UNSENT // 4)

    # -- writing

    def write(self, frame: bytes | memoryview) -> None:
        """Write frames with the next flush."""
        self._pieces.append(frame)
        self._size += len(frame)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self.flush)

    def hold(self) -> None:
        """Wait for a `flush`, which the caller promises, instead of scheduling one."""
        self._is_scheduled = True

    def flush(self) -> None:
        """Send what is written, and what streams may send."""
        if self._ready:
            self._pump()
        self._is_scheduled = False
        if self._pieces:
            pieces, size, self._pieces, self._size = self._pieces, self._size, [], 0
            if not self._transport.is_closing():
                if self._counts is not None:
                    self._counts.bytes_out += size
                # Over TLS each piece would be a record.
                if size < _LARGE or size < _LARGE_PIECE * len(pieces) or self._is_tls:
                    self._transport.write(b"".join(pieces))
                else:
                    self._transport.writelines(pieces)
                    # asyncio of CPython 3.12.1 and 3.13.0 does not call pause_writing here; setting the limits does.
                    if not self.is_paused and self._transport.get_write_buffer_size() >= MOST_UNSENT:
                        self._limit()
                if self._ready:
                    self._go_on()  # unless it waits for the transport

    @property
    def unsent(self) -> int:
        """Bytes that wait in the transport, or to be written to it."""
        return self._transport.get_write_buffer_size() + self._size

    @property
    def high_water(self) -> int:
        """Bytes that wait in a stream before its producer is paused."""
        return HIGH_WATER if self.window > 0 and not self._holding.is_among_plenty else 1

    @property
    def is_choked(self) -> bool:
        """Whether the peer should not be read until it has taken what is written."""
        return self.is_paused and self.unsent > _MOST_QUEUED

    def reset(self, stream_id: int, code: ErrorCode) -> None:
        """Write RST_STREAM."""
        self.http2.reset(code, GATEWAY)
        self.write(rst_stream(stream_id, code))

    def end_connection(self, last: int, code: ErrorCode, detail: str = "") -> None:
        """Write the last GOAWAY; as `goaway`."""
        self.http2.goaway(code, GATEWAY)
        self.write(goaway(last, code, detail))

    def closed(self) -> None:
        """Called when the connection is closed."""
        self.http2.closed(self._loop.time() - self._begun)

    # -- streams

    def send_head(self, stream: SendStream, block: bytes, *, ends: bool) -> None:
        """Write a block of fields; with ``ends`` nothing follows."""
        stream.is_ended = ends
        self._write_block(stream.stream_id, block, ends=ends)

    def send_begin(
        self, stream: SendStream, block: bytes, body: bytes, trailers: bytes = b"", *, ends: bool, at_once: bool = False
    ) -> None:
        """Write a message's fields with the first part of its body, in one piece if the windows allow.

        With ``ends`` it is complete with that and its trailers, if there are any; ``at_once`` flushes, where no frames
        of other streams might go with these.
        """
        if self._empties_table:
            block = self._behind_size(block)
        size, length, rest, most = len(body), len(block), len(trailers), MAX_FRAME_SIZE
        if size <= self.window and size <= stream.window and size <= most and length <= most and rest <= most:
            self.window -= size
            stream.window -= size
            stream.is_ended, stream_id, flags = ends, stream.stream_id, END_STREAM if ends and not rest else 0
            head = make_head(length << 8 | HEADERS, END_HEADERS, stream_id)
            self._pieces += (head, block, make_head(size << 8 | DATA, flags, stream_id), body)
            self._size += length + size + 2 * FRAME_HEAD_SIZE
            if rest:
                self._pieces += (make_head(rest << 8 | HEADERS, END_HEADERS | END_STREAM, stream_id), trailers)
                self._size += rest + FRAME_HEAD_SIZE
        else:
            self._write_block(stream.stream_id, block, ends=False)
            self._hold(stream, body)
            stream.is_ended, stream.trailers = ends, trailers
            self.enter(stream)
        if at_once:
            self.flush()
        elif not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self.flush)

    def send(self, stream: SendStream, data: bytes | memoryview) -> None:
        """Send bytes of a body when that is possible."""
        size = len(data)
        is_in_the_way = self._ready or stream.queued or self.is_paused or self._transport.is_closing()
        if size >= _LARGE and not is_in_the_way and size <= min(self.window, stream.window, MOST_UNSENT - self.unsent):
            self.window -= size
            stream.window -= size
            self._write_data(stream.stream_id, data, 0)
            self.flush()
        elif data:
            self._hold(stream, data)
            self.enter(stream)

    def end(self, stream: SendStream, trailers: bytes) -> None:
        """End a message behind what waits of it, with a block of trailers unless that is empty."""
        stream.end_with(trailers)
        if stream.queued:
            self.enter(stream)
        elif trailers and len(trailers) <= MAX_FRAME_SIZE and not self._empties_table:  # as calls of gRPC end
            self.write(make_head(len(trailers) << 8 | HEADERS, END_HEADERS | END_STREAM, stream.stream_id) + trailers)
        else:
            self._write_end(stream)

    def enter(self, stream: SendStream) -> None:
        """Have a stream send when its turn comes, if it may and there is something."""
        if not stream.queued:
            return
        if stream.window <= 0:
            self.leave(stream)  # SETTINGS may have made its window smaller while it waited for its turn
            stream.stalled_since = self._loop.time()
        elif not stream.is_ready:
            if stream.stalled_since:
                self._count_stall(stream)
            stream.is_ready = True
            self._ready.setdefault(stream.urgency, deque()).append(stream)
            if not self._is_scheduled and not self.is_paused:
                self._is_scheduled = True
                self._loop.call_soon(self.flush)

    def prioritize(self, stream: SendStream, urgency: int, is_incremental: bool) -> None:
        """Have a stream sent before or behind others from now on."""
        self.leave(stream)
        stream.urgency, stream.is_incremental = urgency, is_incremental
        self.enter(stream)

    def drop(self, stream: SendStream) -> None:
        """Have a stream send nothing any more."""
        self.leave(stream)
        self._holding.remove(stream.queued)
        stream.discard()

    def _hold(self, stream: SendStream, data: bytes | memoryview) -> None:
        stream.add(data)
        self._holding.add(len(data))

    def leave(self, stream: SendStream) -> None:
        """Have a stream send nothing for now."""
        if stream.stalled_since:
            self._count_stall(stream)
        if stream.is_ready:
            stream.is_ready = False
            queue = self._ready[stream.urgency]
            queue.remove(stream)
            if not queue:
                del self._ready[stream.urgency]

    def _write_end(self, stream: SendStream) -> None:
        if stream.trailers:
            self._write_block(stream.stream_id, stream.trailers, ends=True)
        else:
            self.write(make_head(DATA, END_STREAM, stream.stream_id))

    def _pump(self) -> None:
        """Write DATA as long as windows and the transport allow."""
        if self.is_paused or self._transport.is_closing():
            return
        room = MOST_UNSENT - self.unsent
        for urgency in sorted(self._ready):
            queue = self._ready.get(urgency)
            while queue:
                if self.window <= 0:
                    self._stalled_since = self._stalled_since or self._loop.time()
                    return
                if room <= 0:
                    return
                stream = queue[0]
                is_alone = len(queue) == 1 or not stream.is_incremental  # no other one has its turn in between
                most = -(-room // MAX_FRAME_SIZE) * MAX_FRAME_SIZE if is_alone else MAX_FRAME_SIZE
                data = stream.take(min(self.window, stream.window, most))
                size = len(data)
                self.window -= size
                stream.window -= size
                room -= size
                self._holding.remove(size)
                is_last = stream.is_ended and not stream.queued
                self._is_scheduled = True  # this is the flush
                self._write_data(stream.stream_id, data, END_STREAM if is_last and not stream.trailers else 0)
                if is_last and stream.trailers:
                    self._write_end(stream)
                if not stream.queued or stream.window <= 0:
                    queue.popleft()
                    stream.is_ready = False
                    self.enter(stream)  # only to note that it waits for its window
                elif stream.is_incremental:
                    queue.rotate(-1)
                stream.drained()
            if self._ready.get(urgency) is queue:  # which `drained` may have changed
                del self._ready[urgency]

    def _write_data(self, stream_id: int, data: bytes | memoryview, flags: int) -> None:
        pieces = data_frames(stream_id, data, flags)
        self._pieces += pieces
        self._size += len(data) + FRAME_HEAD_SIZE * (len(pieces) // 2)

    def _write_block(self, stream_id: int, block: bytes, *, ends: bool) -> None:
        if self._empties_table:
            block = self._behind_size(block)
        self.write(headers_frames(stream_id, block, ends=ends))

    def _behind_size(self, block: bytes) -> bytes:
        self._empties_table = False
        return EMPTY_TABLE + block

    # -- what the peer says

    def limit_table(self, size: int) -> None:
        """Take the size of the peer's table of fields at most.

        Ours has no entries, but a decoder may insist to be informed once it has reduced its own (RFC 7541 section 4.2).
        """
        if size < TABLE_SIZE:
            self._empties_table = True

    def open_window(self, size: int) -> None:
        """Take a WINDOW_UPDATE of the connection; Http2ConnectionError if the window would be too large."""
        try:
            self.window = opened(self.window, size)
        except ValueError as error:
            code = ErrorCode.FLOW_CONTROL_ERROR if size else ErrorCode.PROTOCOL_ERROR
            raise Http2ConnectionError(code, str(error)) from None
        if self._stalled_since and self.window > 0:
            self.http2.stalled += self._loop.time() - self._stalled_since
            self._stalled_since = 0.0
        self._go_on()

    def use_initial_window(self, size: int) -> None:
        """Have new streams begin with another window."""
        self.initial = size

    def open_stream(self, stream: SendStream, size: int) -> None:
        """Take a WINDOW_UPDATE of a stream; Http2StreamError if the window would be too large."""
        try:
            stream.window = opened(stream.window, size)
        except ValueError as error:
            code = ErrorCode.FLOW_CONTROL_ERROR if size else ErrorCode.PROTOCOL_ERROR
            raise Http2StreamError(stream.stream_id, code, str(error)) from None
        self.enter(stream)

    def _count_stall(self, stream: SendStream) -> None:
        self.http2.stalled += self._loop.time() - stream.stalled_since
        stream.stalled_since = 0.0

    def pause(self) -> None:
        """Called when the transport does not take more."""
        self.is_paused = True

    def resume(self) -> None:
        """Called when it does again."""
        self.is_paused = False
        self._go_on()

    def _go_on(self) -> None:
        if not self._is_scheduled and not self.is_paused and self.window > 0 and self._ready:
            self._is_scheduled = True
            self._loop.call_soon(self.flush)
