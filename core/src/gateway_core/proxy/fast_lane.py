"""The fast lane: takes requests whose head is plain to the letter, and hands everything else to aiohttp.

It never guesses. What it does not take verbatim as valid, the aiohttp lane judges, with the very bytes that came.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from gateway_core.proxy.bounded_reads import bound_reads
from gateway_core.proxy.downstream.half_closed import HalfClosed
from gateway_core.proxy.exchange import Exchange
from gateway_core.proxy.lane import FRESH_GRACE, LINGER, HeadMemo, Peer, plain_memo
from gateway_core.proxy.socket_options import READ_SIZE, read_little, say_end
from gateway_core.proxy.sweeper import NEVER
from gateway_core.proxy.upload import HIGH_WATER, Upload
from gateway_core.proxy.wire.request_head import METHODS, TARGET_BYTES

if TYPE_CHECKING:
    from gateway_core.proxy.downstream.accepted import AcceptedConnection
    from gateway_core.proxy.server import GatewayServer
    from gateway_core.proxy.upstream.connection import UpstreamConnection
    from gateway_core.snapshot import Snapshot


class FastLane(asyncio.Protocol):
    """The client's side of a connection in the fast lane."""

    __slots__ = (
        "_buffer",
        "_is_handed_over",
        "_is_lingering",
        "_is_reading_paused",
        "_is_waiting_for_turn",
        "_is_writing_paused",
        "_left",
        "_position",
        "_requests",
        "_server",
        "accepted",
        "deadline",
        "exchange",
        "memo",
        "peer",
        "proxy",
        "transport",
    )

    version = "1.1"

    def __init__(self, server: GatewayServer) -> None:
        self._server = server
        self.proxy = server.proxy
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.peer: Peer = cast("Peer", None)
        self.exchange: Exchange | None = None
        self.memo: HeadMemo | None = None
        self.deadline = NEVER
        self.accepted: AcceptedConnection | None = None
        self._buffer = b""
        self._position = 0  # where in the buffer the next request begins: a copy for each would be quadratic work
        self._left = 0  # bytes still to come of the body of the request under way
        self._requests = 0
        self._is_handed_over = False
        self._is_lingering = False
        self._is_reading_paused = False
        self._is_waiting_for_turn = False
        self._is_writing_paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.peer = Peer(transport, self._server.listener, self.accepted)
        read_little(transport)
        proxy = self.proxy
        if not proxy.admit(self):
            proxy.turn_away(self.transport)
            return
        self.deadline = proxy.now() + proxy.limits.header_timeout

    # -- reading

    def data_received(self, data: bytes) -> None:
        if self.exchange is not None or self._is_lingering or self._is_writing_paused or self._is_waiting_for_turn:
            self._more(data)
            return
        waited = False
        if self._buffer:
            data, waited = self._buffer + data, True
            self._buffer = b""
        position = self._read(data, 0, waited)
        if position < len(data):
            self._hold(data, position)

    def _hold(self, data: bytes, position: int) -> None:
        """Keep the requests behind the one that was served; they are served in later turns of the loop (`Turns`)."""
        if self._is_lingering:
            return
        self._buffer, self._position = data, position
        if len(data) - position > HIGH_WATER:
            self._stop_reading()
        if self._takes_next:
            self._wait_for_turn()

    def _wait_for_turn(self) -> None:
        self.deadline = NEVER
        self._is_waiting_for_turn = True
        self.proxy.turns.enter(self)

    def serve_held(self, most: int) -> int:
        """Serve held requests, in a turn of this connection."""
        data, position, served = self._buffer, self._position, 0
        self._buffer, self._position = b"", 0
        while position < len(data) and served < most and self._takes_next:
            position = self._read(data, position)
            served += 1
        self._is_waiting_for_turn = False
        if position < len(data):
            self._hold(data, position)
        elif not self._is_handed_over and (self.exchange is None or self.exchange.upload is None):
            self._read_on()
            if self._takes_next and not self._buffer:
                self.deadline = self.proxy.now() + self.proxy.limits.idle_wait
        return served

    @property
    def _takes_next(self) -> bool:
        return (
            self.exchange is None
            and not self._is_lingering
            and not self._is_writing_paused
            and not self._is_handed_over
            and not self.transport.is_closing()
        )

    def _stop_reading(self) -> None:
        if not self._is_reading_paused and not self.transport.is_closing():
            self._is_reading_paused = True
            self.transport.pause_reading()

    def _read_on(self) -> None:
        if self._is_reading_paused and not self.transport.is_closing():
            self._is_reading_paused = False
            self.transport.resume_reading()

    def _read(self, data: bytes, position: int, waited: bool = False) -> int:
        """Take one request from the data; return where the next one begins.

        :param waited: whether a part of the head was there before, so that its time runs already.
        """
        proxy, memo = self.proxy, self.memo
        snapshot = proxy.holder.current
        # A slice costs less than `startswith`, and is no copy where one head is all that was read.
        if memo is None or memo.snapshot is not snapshot or data[position : position + memo.size] != memo.whole:
            memo = self._read_head(snapshot, data, position, waited)
            if memo is None:
                return len(data)
        request = memo.request(memo.origin.request_id or proxy.next_id(), proxy.now())
        exchange = self.exchange = Exchange(self, self.transport, snapshot, memo, request)
        self.deadline = NEVER
        self._requests += 1
        if 0 < snapshot.limits.max_requests_per_connection <= self._requests:
            exchange.keep_alive = False
        position += memo.size
        length = memo.facts.content_length
        if length > 0:
            position += self._begin_upload(exchange, data[position : position + length], length)
        try:
            exchange.start()
        except Exception as error:  # noqa: BLE001 - this may be another request's end, or the upstream's bytes
            exchange.crashed(error)
        return position

    def _begin_upload(self, exchange: Exchange, body: bytes, length: int) -> int:
        self._left = length - len(body)
        upload = exchange.upload = Upload(self, 0, body, complete=not self._left)
        if self._left:
            self._read_on()
        if self._left > READ_SIZE:
            bound_reads(self.transport, self)
        if len(body) >= HIGH_WATER:
            upload.pause()
        return len(body)

    def is_in_body(self) -> bool:
        """Whether much may still come: of a request's body, or of what is thrown away."""
        return self._left > 0 or self._is_lingering

    def may_read(self) -> bool:
        """Whether reading is not stopped."""
        return not self._is_reading_paused

    def _read_head(self, snapshot: Snapshot, data: bytes, position: int, waited: bool) -> HeadMemo | None:
        """Return what a head means that is not the last one again; None if the request is not, or not yet, for us."""
        memo, line_end = self.memo, data.find(b"\r\n", position)
        end = data.find(b"\r\n\r\n", line_end) if line_end >= 0 else -1
        if end < 0:
            self._wait_for_head(data[position:], waited)
            return None
        if memo is None or memo.snapshot is not snapshot or data[line_end:end] != memo.facts.raw:
            memo = plain_memo(data[line_end:end], self.peer, snapshot)
        line = data[position:line_end]
        method_bytes, _, rest = line.partition(b" ")
        target, _, version = rest.partition(b" ")
        method = METHODS.get(method_bytes)
        if (
            memo is None
            or end - position > snapshot.limits.max_head_bytes
            or method is None
            or version != b"HTTP/1.1"
            or target[:1] != b"/"
            or target.translate(None, TARGET_BYTES)
        ):
            self._hand_over(data[position:])
            return None
        memo.read_line(method, target.decode("ascii"), line)
        self.memo = memo
        return memo

    def forget_head(self) -> None:
        """Let go of the snapshot that the last head was read under."""
        self.memo = None
        self.peer.forget_origin()

    def _wait_for_head(self, data: bytes, waited: bool) -> None:
        """Keep an incomplete head; hand over what can never become a plain one."""
        limits = self.proxy.limits
        if len(data) > limits.max_head_bytes or data.count(b"\n") != data.count(b"\r\n") or not data[:1].isalpha():
            self._hand_over(data)
            return
        if not waited and self._requests:
            self.deadline = self.proxy.now() + limits.header_timeout
        self._buffer = data

    def _more(self, data: bytes) -> None:
        """Take bytes that come while a request is under way: of its body, or of requests behind it."""
        if self._is_lingering:
            return
        exchange = self.exchange
        if self._left and exchange is not None:
            piece = data[: self._left]
            self._left -= len(piece)
            exchange.feed(piece)
            if not self._left and self.exchange is exchange:
                exchange.feed_end()
            data = data[len(piece) :]
            if data and self.exchange is None and not self._is_lingering:
                self.data_received(data)
                return
        if data:
            held = self._buffer[self._position :] + data
            self._buffer, self._position = held, 0
            if len(held) > HIGH_WATER:
                self._stop_reading()

    def _hand_over(self, data: bytes) -> None:
        """Give the connection with its bytes to an aiohttp handler, and be out of the way."""
        transport = self.transport
        self._read_on()
        self._is_handed_over = True
        self.proxy.lanes.discard(self)
        self.deadline = NEVER
        handler = self._server.general_lane()
        handler.take_over(self.peer, self._requests)
        transport.set_protocol(handler)
        handler.connection_made(transport)
        handler.data_received(data)

    # -- what the exchange says

    def exchange_over(self, keep_alive: bool) -> None:
        exchange, self.exchange = self.exchange, None
        if self.transport.is_closing() or exchange is None:
            return
        if not keep_alive:
            if self._left or exchange.memo.facts.keep_alive:
                self._linger()
            else:
                self._close()
            return
        if self._is_writing_paused:
            # The next request is not begun before the client has taken this answer.
            self.deadline = exchange.ended_at + exchange.snapshot.limits.write_wait
        elif self._is_waiting_for_turn:
            pass  # this is its turn, which goes on
        elif self._buffer:
            self._wait_for_turn()
        else:
            if self._is_reading_paused:
                self._read_on()
            self.deadline = exchange.ended_at + exchange.snapshot.limits.idle_wait

    def _linger(self) -> None:
        self._is_lingering = True
        self.deadline = self.proxy.now() + LINGER
        self._read_on()
        bound_reads(self.transport, self)
        say_end(self.transport)

    def _close(self) -> None:
        """Close once what is written is sent, for which the client has as long as for any write."""
        self.transport.close()
        self.deadline = self.proxy.now() + self.proxy.limits.write_wait

    def break_off(self, flush: bool) -> None:
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.client_gone()
        if flush:
            self._close()
        else:
            self.transport.abort()

    pause_upload = _stop_reading
    resume_upload = _read_on

    def open_tunnel(self, connection: UpstreamConnection, data: bytes) -> None:
        exchange, self.exchange = self.exchange, None
        assert exchange is not None
        self.proxy.lanes.discard(self)
        tunnel = self.proxy.open_tunnel(self.transport, connection.transport, exchange)
        if data:
            tunnel.send_to_client(data)
        if self._buffer:
            tunnel.send_upstream(self._buffer[self._position :])
            self._buffer, self._position = b"", 0

    # -- what the transport says

    def pause_writing(self) -> None:
        self._is_writing_paused = True
        if self.exchange is not None:
            self.exchange.pause_answer()

    def resume_writing(self) -> None:
        self._is_writing_paused = False
        if self.exchange is not None:
            self.exchange.resume_answer()
        elif not self._is_lingering and not self.transport.is_closing():
            self._go_on()

    def _go_on(self) -> None:
        """Serve the next request, now that the response to the last one is taken."""
        if self._is_waiting_for_turn:
            return
        if self._buffer:
            self._wait_for_turn()
        else:
            self._read_on()
            self.deadline = self.proxy.now() + self.proxy.limits.idle_wait

    def expire(self, now: float) -> None:  # noqa: ARG002 - the sweeper's signature
        """Close a connection that is idle, or whose head does not get complete."""
        self.deadline = NEVER
        if self.transport.get_write_buffer_size() or self.transport.is_closing():
            self.transport.abort()  # what is written will not be read any more
        elif self._buffer and self.exchange is None:
            self._buffer = b""
            self.transport.write(self.proxy.refusal(408))
            self._linger()
        else:
            self.transport.close()

    def close_if_idle(self) -> None:
        """Close the connection unless a request is under way, which then is its last.

        A connection that has just been made gets a moment for the request that it was made for.
        """
        if self.exchange is not None or self._is_lingering or self._is_writing_paused or self._is_waiting_for_turn:
            return
        if self._requests:
            self.transport.close()
        else:
            self.deadline = min(self.deadline, self.proxy.now() + FRESH_GRACE)

    def abort(self) -> None:
        """Close the connection whatever is under way."""
        self.transport.abort()

    def eof_received(self) -> bool:
        """Answer what was asked, although the client will send nothing more."""
        exchange, transport = self.exchange, self.transport
        if not transport.can_write_eof():
            return False
        if exchange is None:
            if not self._is_waiting_for_turn:
                return False
        elif self._left or exchange.memo.facts.upgrade is not None:
            return False
        elif not self._buffer:
            exchange.keep_alive = False
        self.proxy.half_closed.add(HalfClosed(self, transport))
        return True

    def connection_lost(self, exc: BaseException | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.proxy.dismiss(self)
        self.deadline = NEVER
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.client_gone()
