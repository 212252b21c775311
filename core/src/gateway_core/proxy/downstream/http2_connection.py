"""One client's connection of HTTP/2 (RFC 9113): frames in, exchanges out, many at a time.

How it works. `data_received` reads frames; those of streams go to `ClientStreams`, those of the connection are acted
upon here. What streams and connection have to send goes through the one `Sender`, in one piece for each turn of the
loop.

There are three kinds of misconduct. What breaks the protocol for everybody ends the connection: GOAWAY with a
code, then our FIN, and what still comes is dropped for a while, since closing a socket with unread bytes is a reset
that may destroy the GOAWAY. What breaks it for one stream resets that. And what is legal and costs us more than the
client comes out of budgets (`Budget`): streams that end early, and frames that do nothing.

**Fairness.** One read may bring thousands of small frames. Some of them (`take_some`) are acted upon, the others in
later turns of the loop, among those of other connections (`Turns`); and nothing more is read until then. Nothing is
read either while the client does not take what it is sent of heads and acknowledgements, which no window holds back.

How a connection ends is `Lifetime`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from gateway_core.metrics.http2 import PEER
from gateway_core.proxy.downstream.client import Client
from gateway_core.proxy.downstream.connections import Connection, ConnectionHost
from gateway_core.proxy.downstream.http2_lifetime import Lifetime, State
from gateway_core.proxy.downstream.http2_stream import FIRST_WINDOW
from gateway_core.proxy.downstream.http2_streams import ClientStreams
from gateway_core.proxy.downstream.sweeps import MovingExchange
from gateway_core.proxy.exchange import Exchange
from gateway_core.proxy.http2.frame_turns import AT_ONCE, take_some
from gateway_core.proxy.http2.sender import Sender
from gateway_core.proxy.http2.waiting import Holding
from gateway_core.proxy.socket_options import abort_unread, close_once, say_end
from gateway_core.proxy.sweeper import NEVER
from gateway_core.proxy.wire.h2 import frames
from gateway_core.proxy.wire.h2.budget import IDLE_FRAMES, SETTINGS_POINTS, Budget, WindowUpdates
from gateway_core.proxy.wire.h2.errors import ErrorCode, Http2ConnectionError, Http2StreamError
from gateway_core.proxy.wire.h2.frames import ACK, Frame, FrameReader, Setting
from gateway_core.proxy.wire.h2.windows import ReceiveWindow
from gateway_core.reasons import HTTP2_MISUSE

CONNECTION_WINDOW: Final = 4_194_304
"""Bytes that all streams of a connection may have on their way together; returned as they come, so that no stream that
is held up holds up another one."""

LINGER: Final = 2.0
"""Seconds that a connection is read from behind its last GOAWAY, so that the client gets to see it."""

_MOST_DROPPED: Final = 262_144
"""Bytes that are read then: a client that goes on and on does not look."""

_SMALL_WINDOW: Final = 128
"""Bytes below which opening a window is more work than what it allows."""

_WINDOW_POINTS: Final = 0.1  # for opening it by more

_PING: Final = b"draining"


class Http2Connection(asyncio.Protocol):
    """The protocol of one connection, from its preface on."""

    __slots__ = (
        "_budget", "_dropped", "_frames", "_idle_since", "_is_deaf", "_lifetime", "_proxy", "_read_deadline",
        "_reader", "_receiving", "_streams", "_transport", "_updates", "_write_deadline", "client", "deadline",
        "sender",
    )  # fmt: skip

    def __init__(self, proxy: ConnectionHost, client: Client, transport: asyncio.Transport) -> None:
        """Take over a connection that is admitted already; `connection_made` is not called."""
        self._proxy, self.client, self._transport = proxy, client, transport
        limits, now = proxy.holder.current.limits, proxy.now()
        self._reader, self._budget = FrameReader(from_client=True), Budget(*IDLE_FRAMES, now)
        self.sender = Sender(transport, proxy.http2_counts, None, Holding(proxy.http2_waiting, self._shed))
        self._streams = ClientStreams(self, proxy, client, self.sender)
        self._receiving, self._updates = ReceiveWindow(CONNECTION_WINDOW), WindowUpdates(self.sender.window)
        self._lifetime = Lifetime(limits.max_connection_age, proxy.rng.random(), now)
        self._idle_since = now
        self._frames: Iterator[Frame] | None = None  # of a read that brought many
        self._dropped = 0  # bytes that came behind the last GOAWAY
        self._is_deaf = False  # nothing is read
        self._write_deadline = NEVER  # while nothing is read because the client does not take what is written
        self.deadline = self._read_deadline = now + limits.header_timeout  # of what has begun: at first the preface
        settings: dict[int, int] = {
            Setting.INITIAL_WINDOW_SIZE: FIRST_WINDOW,
            Setting.MAX_CONCURRENT_STREAMS: limits.max_streams or frames.MAX_WINDOW,
            Setting.MAX_HEADER_LIST_SIZE: limits.max_head_bytes,
            Setting.ENABLE_CONNECT_PROTOCOL: 1,
            Setting.NO_RFC7540_PRIORITIES: 1,
        }
        self.sender.write(frames.settings_frame(settings))
        self.sender.write(frames.window_update(0, CONNECTION_WINDOW - frames.DEFAULT_WINDOW))

    # -- reading

    def data_received(self, data: bytes) -> None:
        if self._lifetime.is_closing:
            self._dropped += len(data)
            self._listen()
            return
        received = self._reader.read(data)
        if len(data) > frames.FRAME_HEAD_SIZE * AT_ONCE and self._frames is None:
            self._frames = received
            self._take_held()
        else:
            self._take(received if self._frames is None else chain(self._frames, received))

    def _take_held(self) -> None:
        """Act upon some of the frames of a read that brought many."""
        self._take(take_some(self._frames or iter(())))
        if not self._lifetime.is_closing and self._reader.is_reading:
            self._streams.wait_for_turn()
        else:
            self._frames = None
        self._listen()

    def _take(self, received: Iterable[Frame]) -> None:
        self.sender.hold()
        try:
            for kind, flags, stream_id, payload, size in received:
                try:
                    if kind == frames.HEADERS:
                        self._streams.take_headers(flags, stream_id, payload)
                    elif kind == frames.DATA:
                        self._take_data(flags, stream_id, payload, size)
                    else:
                        self._CONTROL.get(kind, Http2Connection._pass_over)(self, flags, stream_id, payload)
                except Http2StreamError as error:
                    self._streams.reset(error.stream, error.code, error.detail)
            self._streams.begin()
        except Http2ConnectionError as error:
            if error.code is ErrorCode.ENHANCE_YOUR_CALM:
                self._proxy.limit_events.client(HTTP2_MISUSE, error.detail, self.client.ip)
            self._fail(error.code, error.detail)
            return
        self.sender.flush()
        if self._reader.is_in_frame or self._read_deadline < NEVER or self.sender.is_paused:
            self._watch_reading()

    def _watch_reading(self) -> None:
        """See that the rest of a frame comes in time, and that the client takes what it is sent of heads."""
        if not self._reader.is_in_frame:
            self._read_deadline = NEVER
        elif self._reader.is_moving or self._read_deadline == NEVER:
            self._read_deadline = self._proxy.now() + self._proxy.limits.header_timeout
        if self.sender.is_choked and self._write_deadline == NEVER:
            self._write_deadline, self._read_deadline = self._proxy.now() + self._proxy.limits.write_wait, NEVER
            self._listen()
        self.update_deadline()

    def _listen(self) -> None:
        """Read from the socket, or not, by what waits."""
        deaf = self._frames is not None or self._write_deadline < NEVER or self._dropped > _MOST_DROPPED
        if deaf is not self._is_deaf and not self._transport.is_closing():
            self._is_deaf = deaf
            if deaf:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _take_data(self, flags: int, stream_id: int, payload: bytes, size: int) -> None:
        if announced := self._receiving.pass_on(size):
            if announced < 0:
                raise Http2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "DATA is more than the connection's window")
            self.sender.write(frames.window_update(0, announced))
        if not payload and not flags & frames.END_STREAM:
            self.spend(1)
        self._streams.take_data(flags, stream_id, payload, size)

    def _take_window(self, flags: int, stream_id: int, payload: bytes) -> None:  # noqa: ARG002 - as all of these
        size = frames.read_number(payload) & frames.MAX_WINDOW
        if not self._updates.use(self.sender.window):
            self.spend(1 if size < _SMALL_WINDOW else _WINDOW_POINTS)
        if stream_id:
            self._streams.take_window(stream_id, size)
        else:
            self.sender.open_window(size)
            self._updates.opened(size)

    def _take_reset(self, flags: int, stream_id: int, payload: bytes) -> None:  # noqa: ARG002
        self.spend(1)
        self.sender.http2.reset(frames.read_number(payload), PEER)
        self._streams.take_reset(stream_id)

    def _take_ping(self, flags: int, stream_id: int, payload: bytes) -> None:  # noqa: ARG002
        self.spend(1)
        if not flags & ACK:
            self.sender.write(frames.ping(payload, is_ack=True))
        elif payload == _PING and self._lifetime.state is State.DRAINING:
            self._finish()

    def _take_settings(self, flags: int, stream_id: int, payload: bytes) -> None:  # noqa: ARG002
        if flags & ACK:
            if payload:
                raise Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "an acknowledgement of SETTINGS has a payload")
            self.spend(1)
            return
        self.spend(SETTINGS_POINTS + len(payload) // 6)
        settings: dict[int, int] = {}  # the last of several values holds
        for identifier, value in frames.read_settings(payload):
            settings[identifier] = value
            if identifier == Setting.HEADER_TABLE_SIZE:
                self.sender.limit_table(value)
        if Setting.INITIAL_WINDOW_SIZE in settings:
            self._streams.take_initial_window(settings[Setting.INITIAL_WINDOW_SIZE])
        self.sender.write(frames.SETTINGS_ACK)

    def _take_priority(self, flags: int, stream_id: int, payload: bytes) -> None:  # noqa: ARG002
        self.spend(1)
        if frames.read_number(payload) & frames.MAX_WINDOW == stream_id:
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a stream depends on itself")

    def _take_priority_update(self, flags: int, stream_id: int, payload: bytes) -> None:  # noqa: ARG002
        self.spend(1)
        self._streams.prioritize(frames.read_number(payload) & frames.MAX_WINDOW, payload[4:].decode("latin-1"))

    def _pass_over(self, flags: int, stream_id: int, payload: bytes) -> None:  # noqa: ARG002
        """Do nothing about frames of extensions."""
        self.spend(1)

    def _take_goaway(self, flags: int, stream_id: int, payload: bytes) -> None:  # noqa: ARG002
        """Count it: the client begins all streams, and will begin no more."""
        self.spend(1)
        self.sender.http2.goaway(frames.read_number(payload[4:]), PEER)

    def spend(self, points: float) -> None:
        if not self._budget.spend(points, self._proxy.now()):
            raise Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "too many frames do nothing")

    def serve_held(self, most: int) -> int:
        served = self._streams.serve(most)
        if self._frames is not None and not self._lifetime.is_closing:
            self._take_held()
        return served

    def pause_writing(self) -> None:
        self.sender.pause()

    def resume_writing(self) -> None:
        self.sender.resume()
        if self._write_deadline < NEVER:
            self._write_deadline = NEVER
            self._listen()
            self.update_deadline()

    # -- for who sees to all connections

    @property
    def remembers(self) -> bool:
        """Whether heads are remembered that an idle connection should forget."""
        return self._streams.remembers

    def forget_heads(self) -> None:
        """Keep nothing of a configuration."""
        self._streams.forget_heads()

    def awaited_bodies(self) -> Iterable[Exchange]:
        for each in self._streams:
            if each.exchange is not None and each.body is not None and not each.body.is_paused:
                yield each.exchange

    def awaited_responses(self) -> Iterable[tuple[Exchange | None, int]]:
        for each in self._streams:
            if each.queued:
                yield each.exchange, each.bytes_sent - each.queued

    def end_slow_reader(self, exchange: MovingExchange | None) -> None:
        for stream in self._streams:
            if stream.queued and stream.exchange is exchange:
                self._streams.give_up(stream, "the client takes its response below limits.min_rate", ErrorCode.CANCEL)

    def _shed(self) -> None:
        detail = "responses wait, and those of this client are most of what waits for all clients"
        self._proxy.limit_events.client(HTTP2_MISUSE, detail, self.client.ip)
        for stream in self._streams:
            if stream.queued:
                self._streams.give_up(stream, detail, ErrorCode.ENHANCE_YOUR_CALM)

    # -- time

    def streams_over(self, now: float) -> None:
        if self._lifetime.is_finishing:
            self._close()
        else:
            self._idle_since = now  # what comes beside streams does not keep it
            self.update_deadline()

    def update_deadline(self) -> None:
        """Say when something is due. While there are streams it may be too early: `expire` finds nothing late then."""
        streams, lifetime = self._streams, self._lifetime
        if not lifetime.is_closing:
            rest = streams.deadline if streams.streams else self._idle_since + self._proxy.holder.current.idle_wait
            self.deadline = min(self._read_deadline, lifetime.deadline, self._write_deadline, rest)

    def expire(self, now: float) -> None:
        """Act on what is late: the rest of a frame, a client that takes nothing, an idle or old connection."""
        self.deadline = NEVER
        if self._lifetime.is_closing or now >= self._write_deadline:
            abort_unread(self._transport)
        elif now >= self._read_deadline:
            self._fail(ErrorCode.NO_ERROR, "the rest of a frame did not come within limits.header_timeout")
        elif now >= self._lifetime.deadline:
            self._grow_old()
        elif not self._streams and now >= self._idle_since + self._proxy.limits.idle_wait:
            self._finish()
        else:
            self._streams.expire(now)
            self.update_deadline()

    # -- the end

    def _grow_old(self) -> None:
        """Take the next step to the end, which is due."""
        state = self._lifetime.state
        if state is State.OPEN:
            self.drain()
        elif state is State.DRAINING:
            self._finish()
        else:
            self._lifetime.end_streams()
            self._streams.end_exchanges("limits.max_connection_age has passed twice")
            self.update_deadline()

    def drain(self) -> None:
        if self._lifetime.state is not State.OPEN:
            return
        self._lifetime.drain(self._proxy.now())
        self.sender.write(frames.goaway(frames.MAX_WINDOW, ErrorCode.NO_ERROR))
        self.sender.write(frames.ping(_PING))
        self.update_deadline()

    def _finish(self) -> None:
        """Name the last stream that is served."""
        self._lifetime.finish(self._proxy.now())
        self._streams.refuse_new()
        self.sender.end_connection(self._streams.last, ErrorCode.NO_ERROR)
        if self._streams:
            self.update_deadline()
        else:
            self._close()

    def _fail(self, code: ErrorCode, detail: str) -> None:
        """End the connection at once."""
        self._lifetime.close()
        self.sender.end_connection(self._streams.last, code, detail)
        self._streams.leave_all(detail)
        self._close()

    def _close(self) -> None:
        """Send what is written and our FIN, and read on for a while."""
        self._lifetime.close()
        self._frames, self._write_deadline = None, NEVER
        self._listen()
        self.sender.flush()
        self.deadline = self._proxy.now() + LINGER
        if not say_end(self._transport):
            close_once(self._transport)

    def abort(self) -> None:
        self._transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._lifetime.close()
        self.deadline, self._frames = NEVER, None
        self._proxy.connections.dismiss(self)
        self.sender.closed()
        self._streams.leave_all("")
        self.client.forget()

    _CONTROL: Final = {
        frames.WINDOW_UPDATE: _take_window,
        frames.RST_STREAM: _take_reset,
        frames.PING: _take_ping,
        frames.SETTINGS: _take_settings,
        frames.PRIORITY: _take_priority,
        frames.PRIORITY_UPDATE: _take_priority_update,
        frames.GOAWAY: _take_goaway,
    }
    """What is done with other frames than DATA and HEADERS."""


def begin_http2(proxy: ConnectionHost, before: Connection, transport: asyncio.Transport, data: bytes) -> None:
    """Go on with a connection whose client has chosen HTTP/2.

    :param before: its protocol so far.
    :param data: what came of HTTP/2 already.
    """
    before.client.go_on_with_http2()
    connection = Http2Connection(proxy, before.client, transport)
    proxy.connections.hand_over(before, connection)
    transport.set_protocol(connection)
    if data:
        connection.data_received(data)
    if not proxy.keeps_alive:  # the gateway drains, and all other connections know it
        connection.drain()
