"""The streams that a client has begun on one connection of HTTP/2: each from its HEADERS to its end.

Exchanges begin when all that a read brought is taken in: what was reset within the same read makes no exchange, and
a small request is complete by then. They begin in turns (`Turns`), a few at a time, like pipelined requests of HTTP/1.

Streams that end early are counted whoever ends them, since their work may go on for a moment while the client begins
others (rapid reset, CVE-2023-44487; resets that are provoked, CVE-2025-8671).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

from gateway_core.messages import Request
from gateway_core.proxy.downstream.client import Client
from gateway_core.proxy.downstream.connections import LARGE_HEAD, SECONDS_PER_TURN, ConnectionHost
from gateway_core.proxy.downstream.head_reader import CachedHead
from gateway_core.proxy.downstream.http2_heads import Http2Heads
from gateway_core.proxy.downstream.http2_stream import Http2Stream
from gateway_core.proxy.exchange import Exchange
from gateway_core.proxy.http2.sender import DEFAULT_URGENCY, Sender
from gateway_core.proxy.sweeper import NEVER
from gateway_core.proxy.wire.h2 import frames
from gateway_core.proxy.wire.h2.budget import Budget
from gateway_core.proxy.wire.h2.errors import ErrorCode, Http2ConnectionError, Http2StreamError
from gateway_core.proxy.wire.h2.fields import MalformedFieldsError
from gateway_core.proxy.wire.h2.frames import END_STREAM
from gateway_core.proxy.wire.h2.priority import EarlyPriorities, Priority, read_priority
from gateway_core.proxy.wire.h2.stream_ids import StreamIds
from gateway_core.proxy.wire.request_head import HeadProblem
from gateway_core.reasons import CLIENT_TOO_SLOW, LIMIT_STREAMS, SHUTTING_DOWN

MOST_LENT: Final = 2_097_152
"""Bytes of window that a connection lends its streams beyond their first ones."""

AT_ONCE: Final = 16
"""Exchanges that begin in the turn of the loop in which they were read."""

_EARLY_ENDS: Final = (500.0, 150.0)
"""Streams that may end early at once, and per second: a browser that leaves a page of images, clients that hedge."""


class StreamsOwner(Protocol):
    """The connection, for its streams."""

    def serve_held(self, most: int) -> int:
        """Start exchanges, in a turn of this connection (see `Turns`)."""

    def abort(self) -> None:
        """Close the connection."""

    def spend(self, points: float) -> None:
        """Count a frame that does nothing; Http2ConnectionError if there are too many."""

    def update_deadline(self) -> None:
        """Called when a stream waits for the client to take its rest."""

    def streams_over(self, now: float) -> None:
        """Called when the last stream is gone."""


class ClientStreams:
    """Begins, feeds and ends the streams of one connection."""

    __slots__ = (
        "_budget", "_fresh", "_heads", "_ids", "_is_in_turn", "_late", "_lent", "_most", "_owner", "_priorities",
        "_proxy", "client", "date", "sender", "served", "streams",
    )  # fmt: skip

    def __init__(self, owner: StreamsOwner, proxy: ConnectionHost, client: Client, sender: Sender) -> None:
        """Begin without streams."""
        self._owner, self._proxy, self.client, self.sender = owner, proxy, client, sender
        self.date = proxy.date
        limits = proxy.holder.current.limits
        self._heads = Http2Heads(client, limits.max_head_bytes)
        self.streams: dict[int, Http2Stream] = {}
        self._fresh: list[Http2Stream] = []  # whose exchanges are to be started
        self._ids, self._priorities = StreamIds(), EarlyPriorities()
        self._most = limits.max_streams or NEVER
        self._lent, self._is_in_turn = 0, False
        self._late: dict[int, Http2Stream] = {}  # whose clients have to take the rest of a response in time
        self._budget = Budget(*_EARLY_ENDS, proxy.now())
        self.served = 0
        """Requests so far."""

    def __len__(self) -> int:
        """Return the number of streams that are not done."""
        return len(self.streams)

    def __iter__(self) -> Iterator[Http2Stream]:
        """Iterate over a copy: what is done to a stream may remove it."""
        return iter(list(self.streams.values()))

    @property
    def last(self) -> int:
        """The last stream that the client began."""
        return self._ids.last

    @property
    def deadline(self) -> float:
        """When the next one is late whose client has to take the rest of a response."""
        return min([stream.deadline for stream in self._late.values()]) if self._late else NEVER

    @property
    def remembers(self) -> bool:
        """Whether heads are remembered although no request is in progress."""
        return not self.streams and (self.client.remembers or not self._heads.is_empty)

    def forget_heads(self) -> None:
        """Keep nothing of a configuration."""
        self._heads.clear()
        for head in [stream.head for stream in self._fresh if isinstance(stream.head, CachedHead)]:
            head.forget_route()
        self.client.forget()

    def refuse_new(self) -> None:
        """Ignore streams that the client begins behind the last GOAWAY."""
        self._ids.refuse_new()

    # -- frames

    def take_headers(self, flags: int, stream_id: int, block: bytes) -> None:
        """Begin a stream, or take the trailers of one.

        :raises Http2ConnectionError: the client breaks the protocol.
        :raises Http2StreamError: it breaks it for this stream.
        """
        ends = flags & END_STREAM > 0
        if not self._ids.begin(stream_id):
            self._take_trailers(stream_id, block, ends=ends)
            return
        early = self._priorities.take(stream_id) if self._priorities.kept else None
        try:
            head = self._heads.read(block, self._proxy.holder.current, not ends)
        except MalformedFieldsError:
            self._refuse(stream_id, ErrorCode.PROTOCOL_ERROR)
            return
        if len(self.streams) >= self._most:
            self._proxy.limit_events.client(LIMIT_STREAMS, "limits.max_streams is reached", self.client.ip)
            self._refuse(stream_id, ErrorCode.REFUSED_STREAM)
        elif isinstance(head, HeadProblem):
            self._begin_refused(stream_id, head, ends=ends)
        else:
            stream = self.streams[stream_id] = Http2Stream(self, stream_id, head, self.sender.initial, ends)
            self._fresh.append(stream)
            if early is not None:
                self._prioritize(stream, early)
            elif head.says_priority:  # RFC 9218
                self._prioritize(stream, read_priority(Request.for_head(head, "", 0.0).headers.get("priority", "")))

    def _take_trailers(self, stream_id: int, block: bytes, *, ends: bool) -> None:
        stream = self.streams.get(stream_id)
        if stream is None:
            self._owner.spend(1)
            self._heads.skip(block)
            self._ids.expect_reset(stream_id)  # or a new one behind the last GOAWAY
            return
        if stream.is_remote_ended:
            self._heads.skip(block)
            raise Http2StreamError(stream_id, ErrorCode.STREAM_CLOSED, "HEADERS come behind the end of a request")
        try:
            trailers = self._heads.read_trailers(block)
        except MalformedFieldsError as error:
            raise Http2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, str(error)) from None
        if not ends:
            raise Http2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, "trailers do not end their stream")
        self._end_request(stream, self.client.trailers(trailers, stream.head.origin))

    def take_data(self, flags: int, stream_id: int, payload: bytes, size: int) -> None:
        """Feed a stream.

        :param size: bytes that count in windows.
        :raises Http2ConnectionError: as `take_headers`.
        :raises Http2StreamError: as `take_headers`.
        """
        stream = self.streams.get(stream_id)
        if stream is None:
            self._ids.expect_reset(stream_id)
            return
        if stream.is_remote_ended:
            raise Http2StreamError(stream_id, ErrorCode.STREAM_CLOSED, "DATA comes behind the end of a request")
        if flags & END_STREAM and stream.take_whole(payload):
            return
        if not stream.feed(payload, size):
            raise Http2StreamError(stream_id, ErrorCode.FLOW_CONTROL_ERROR, "DATA is more than the stream's window")
        if stream.exceeds_announced_length:
            raise Http2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, "DATA is more than Content-Length says")
        if flags & END_STREAM and self.streams.get(stream_id) is stream:
            self._end_request(stream, b"")

    def _end_request(self, stream: Http2Stream, trailers: bytes) -> None:
        if not stream.has_announced_length:
            raise Http2StreamError(stream.stream_id, ErrorCode.PROTOCOL_ERROR, "DATA is less than Content-Length says")
        stream.end_request(trailers)
        if stream.exchange is None and stream.head_sent:
            self.stream_done(stream)

    def take_window(self, stream_id: int, size: int) -> None:
        """Open a stream's window.

        :raises Http2ConnectionError: there was never such a stream.
        :raises Http2StreamError: the window would be too large.
        """
        stream = self.streams.get(stream_id)
        if stream is not None:
            self.sender.open_stream(stream, size)
        elif self._ids.is_idle(stream_id):
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE names a stream that was never begun")

    def take_initial_window(self, size: int) -> None:
        """Have the windows of all streams begin with another size (section 6.9.2).

        :raises Http2ConnectionError: one would be too large.
        """
        change = size - self.sender.initial
        self.sender.use_initial_window(size)
        for stream in self:
            if stream.window + change > frames.MAX_WINDOW:
                raise Http2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "the window of a stream would be too large")
            stream.change_window(change)
            self.sender.enter(stream)

    def take_reset(self, stream_id: int) -> None:
        """End a stream as its client wants it.

        :raises Http2ConnectionError: there was never such a stream, or too many end early.
        """
        stream = self.streams.get(stream_id)
        if stream is None:
            if self._ids.is_idle(stream_id):
                raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "RST_STREAM names a stream that was never begun")
            return
        is_early = stream.exchange is not None or not stream.head_sent
        self._remove(stream)
        stream.leave("the client has reset the stream")
        if is_early:
            self._spend()

    def prioritize(self, stream_id: int, value: str) -> None:
        """Take a PRIORITY_UPDATE (RFC 9218 section 7.1), which counts more than a field of the request.

        :raises Http2ConnectionError: it is for what cannot be a request.
        """
        if not stream_id & 1:
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "PRIORITY_UPDATE is for no stream of a client")
        stream, priority = self.streams.get(stream_id), read_priority(value)
        if stream is not None:
            self._prioritize(stream, priority)
        elif self._ids.is_idle(stream_id):
            self._priorities.keep(stream_id, priority, self._most - len(self.streams))

    def _prioritize(self, stream: Http2Stream, priority: Priority) -> None:
        urgency = DEFAULT_URGENCY if priority.urgency is None else priority.urgency
        self.sender.prioritize(stream, urgency, priority.is_incremental)

    # -- exchanges

    def begin(self) -> None:
        """Start the exchanges of the streams that came, as far as it is this connection's turn."""
        if (fresh := self._fresh) and not self._is_in_turn:
            if fresh[0].head.size > LARGE_HEAD:
                self.wait_for_turn()
            elif len(fresh) > 1 or fresh[0].stream_id not in self.streams:
                self.serve(AT_ONCE)
            else:  # as clients send it that have one request in progress
                self._start(fresh.pop(), self._proxy.now())

    def serve(self, most: int) -> int:
        """Start at most so many exchanges; return how many."""
        self._is_in_turn, served, now = False, 0, self._proxy.now()
        end = now + SECONDS_PER_TURN
        while self._fresh and served < most and now < end:
            stream = self._fresh.pop(0)
            if self.streams.get(stream.stream_id) is stream:
                self._start(stream, now)
                served += 1
                now = self._proxy.now()
        if self._fresh:
            self.wait_for_turn()
        return served

    def wait_for_turn(self) -> None:
        """Have the connection served again in a later turn of the loop."""
        if not self._is_in_turn:
            self._is_in_turn = True
            self._proxy.turns.enter(self._owner)

    def _start(self, stream: Http2Stream, now: float) -> None:
        self.served += 1
        exchange = Exchange(self._proxy, stream, self._proxy.holder.current, stream.head, self.client, now)
        try:
            exchange.start(stream.take_body(exchange))
        except Exception as error:  # noqa: BLE001 - this may be the upstream's bytes, or what a hook left
            exchange.crashed(error)

    def _begin_refused(self, stream_id: int, problem: HeadProblem, *, ends: bool) -> None:
        """Respond to a request that is not served; the connection goes on."""
        head = self.client.refused(problem, self._proxy.holder.current)
        head.came_over_http2(has_body=False)
        stream = self.streams[stream_id] = Http2Stream(self, stream_id, head, self.sender.initial, ends)
        self.served += 1
        exchange = Exchange(self._proxy, stream, self._proxy.holder.current, head, self.client, self._proxy.now())
        stream.take_body(exchange)
        exchange.refuse(problem.status, problem.reason, problem.detail, allow=problem.allow)
        self._spend()

    def _refuse(self, stream_id: int, code: ErrorCode) -> None:
        """Reset a stream that never began."""
        self._write_reset(stream_id, code)
        self._spend()

    # -- called by streams

    def grow(self, size: int) -> bool:
        if self._lent + size > MOST_LENT:
            return False
        self._lent += size
        return True

    def stream_done(self, stream: Http2Stream, now: float = 0.0) -> None:
        streams, stream_id = self.streams, stream.stream_id
        if streams.get(stream_id) is not stream:
            return
        if stream.queued:
            stream.wait_until(self._proxy.now() + self._proxy.limits.write_wait)
            self._late[stream_id] = stream
            self._owner.update_deadline()
            return
        if not stream.is_remote_ended:
            # The response is complete: the rest of the request is of no use (section 8.1).
            self._write_reset(stream_id, ErrorCode.NO_ERROR)
        self._remove(stream, now)

    def cut(self, stream: Http2Stream, code: ErrorCode) -> None:
        if self.streams.get(stream.stream_id) is stream:
            self._write_reset(stream.stream_id, code)
            self._remove(stream)

    # -- ends

    def reset(self, stream_id: int, code: ErrorCode, detail: str) -> None:
        """Reset a stream for what its client did.

        :raises Http2ConnectionError: there is none, or too many end early.
        """
        stream = self.streams.get(stream_id)
        if stream is None:
            raise Http2ConnectionError(code, detail)
        self.cut(stream, code)
        stream.leave(detail)
        self._spend()

    def expire(self, now: float) -> None:
        """Reset the streams whose clients have not taken the rest of a response in time."""
        for stream in list(self._late.values()):
            if stream.deadline <= now:
                self.cut(stream, ErrorCode.CANCEL)

    def give_up(self, stream: Http2Stream, detail: str, code: ErrorCode) -> None:
        """End a stream whose client does not take its response."""
        if stream.exchange is not None:
            stream.exchange.leave("client", CLIENT_TOO_SLOW, detail)
        self.cut(stream, code)

    def end_exchanges(self, detail: str) -> None:
        """End all exchanges while responses still reach the client."""
        for stream in self:
            if (exchange := stream.exchange) is None:
                continue
            if exchange.tunnel is not None:
                exchange.tunnel.go_away()
            else:
                exchange.respond_or_cut(503, SHUTTING_DOWN, detail)

    def leave_all(self, detail: str) -> None:
        """End all exchanges: the connection is gone."""
        for stream in self:
            self._remove(stream)
            stream.leave(detail)
        self._fresh.clear()

    def _remove(self, stream: Http2Stream, now: float = 0.0) -> None:
        del self.streams[stream.stream_id]
        if stream.queued:
            self.sender.drop(stream)
        if stream.lent:
            self._lent -= stream.lent
        if self._late:
            self._late.pop(stream.stream_id, None)
        if not self.streams:
            self._owner.streams_over(now or self._proxy.now())

    def _write_reset(self, stream_id: int, code: ErrorCode) -> None:
        self._ids.reset(stream_id)
        self.sender.reset(stream_id, code)

    def _spend(self) -> None:
        if not self._budget.spend(1, self._proxy.now()):
            raise Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "too many streams end early")
