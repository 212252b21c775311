"""The fast lane: takes requests whose head is plain to the letter, and hands everything else to aiohttp.

It never guesses. What it does not take verbatim as valid, the aiohttp lane judges, with the very bytes that came.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from gateway_core.proxy.bounded_reads import bound_reads
from gateway_core.proxy.exchange import Exchange
from gateway_core.proxy.half_closed import HalfClosed
from gateway_core.proxy.lane import FRESH_GRACE, LINGER, HeadMemo, Peer
from gateway_core.proxy.socket_options import READ_SIZE, read_little, say_end
from gateway_core.proxy.sweeper import NEVER
from gateway_core.proxy.upload import HIGH_WATER, Upload
from gateway_core.proxy.wire.request_head import METHODS, TARGET_BYTES, read_request_block

if TYPE_CHECKING:
    from gateway_core.proxy.server import GatewayServer
    from gateway_core.proxy.upstream_connection import UpstreamConnection
    from gateway_core.snapshot import Snapshot


class FastLane(asyncio.Protocol):
    """The client's side of a connection in the fast lane."""

    __slots__ = (
        "_buffer",
        "_is_lingering",
        "_is_reading_paused",
        "_is_writing_paused",
        "_left",
        "_requests",
        "_server",
        "_turning",
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
        self._buffer = b""
        self._left = 0  # bytes still to come of the body of the request under way
        self._requests = 0
        self._is_lingering = False
        self._is_reading_paused = False
        self._is_writing_paused = False
        self._turning = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.peer = Peer(transport)
        read_little(transport)
        proxy = self.proxy
        if not proxy.admit(self):
            proxy.turn_away(self.transport)
            return
        self.deadline = proxy.now() + proxy.limits.header_timeout

    # -- reading

    def data_received(self, data: bytes) -> None:
        if self.exchange is not None or self._is_lingering or self._is_writing_paused:
            self._more(data)
            return
        waited = False
        if self._buffer:
            data, waited = self._buffer + data, True
            self._buffer = b""
        self._turning = True
        rest = self._read(data, waited)
        while rest and self._takes_next:
            rest = self._read(rest)
        self._turning = False
        if rest:
            self._buffer = rest

    @property
    def _takes_next(self) -> bool:
        return (
            self.exchange is None
            and not self._is_lingering
            and not self._is_writing_paused
            and not self.transport.is_closing()
        )

    def _read(self, data: bytes, waited: bool = False) -> bytes:
        """Take one request from the data; return what is behind it.

        :param waited: whether a part of the head was there before, so that its time runs already.
        """
        proxy, memo = self.proxy, self.memo
        snapshot = proxy.holder.current
        if memo is None or memo.snapshot is not snapshot or not data.startswith(memo.whole):
            memo = self._read_head(snapshot, data, waited)
            if memo is None:
                return b""
        request = memo.request(memo.origin.request_id or proxy.next_id(), proxy.now())
        exchange = self.exchange = Exchange(self, self.transport, snapshot, memo, request)
        self.deadline = NEVER
        self._requests += 1
        most = snapshot.limits.max_requests_per_connection
        if most and self._requests >= most:
            exchange.keep_alive = False
        start, length = memo.size, memo.facts.content_length
        if length > 0:
            start += self._begin_upload(exchange, data[start : start + length], length)
        try:
            exchange.start()
        except Exception as error:  # noqa: BLE001 - this may be another request's end, or the upstream's bytes
            exchange.crashed(error)
        return data[start:] if start < len(data) else b""

    def _begin_upload(self, exchange: Exchange, body: bytes, length: int) -> int:
        self._left = length - len(body)
        upload = exchange.upload = Upload(self, 0, body, complete=not self._left)
        if self._left > READ_SIZE:
            bound_reads(self.transport, self)
        if len(body) >= HIGH_WATER:
            upload.pause()
        return len(body)

    def is_in_body(self) -> bool:
        """Whether more of a request's body is to come."""
        return self._left > 0

    def _read_head(self, snapshot: Snapshot, data: bytes, waited: bool) -> HeadMemo | None:
        """Return what a head means that is not the last one again; None if the request is not, or not yet, for us."""
        memo, line_end = self.memo, data.find(b"\r\n")
        end = data.find(b"\r\n\r\n", line_end)
        if end < 0:
            self._wait_for_head(data, waited)
            return None
        if memo is None or memo.snapshot is not snapshot or data[line_end:end] != memo.facts.raw:
            memo = self._memo_of(snapshot, data[line_end:end])
        line = data[:line_end]
        method_bytes, _, rest = line.partition(b" ")
        target, _, version = rest.partition(b" ")
        method = METHODS.get(method_bytes)
        if (
            memo is None
            or end > snapshot.limits.max_head_bytes
            or method is None
            or version != b"HTTP/1.1"
            or target[:1] != b"/"
            or target.translate(None, TARGET_BYTES)
        ):
            self._hand_over(data)
            return None
        memo.read_line(method, target.decode("ascii"), line)
        self.memo = memo
        return memo

    def _memo_of(self, snapshot: Snapshot, block: bytes) -> HeadMemo | None:
        """Return what a header block means, or None if the request is not for this lane."""
        limits = snapshot.limits
        if len(block) > limits.max_head_bytes or block.count(b"\r\n") > limits.max_headers:
            return None
        facts = read_request_block(block)
        if facts is None or not facts.is_plain or (facts.upgrade is not None and facts.content_length > 0):
            return None
        return HeadMemo(facts, self.peer, snapshot)

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
            self._buffer += data
            if len(self._buffer) > HIGH_WATER and not self._is_reading_paused:
                self._is_reading_paused = True
                self.transport.pause_reading()

    def _hand_over(self, data: bytes) -> None:
        """Give the connection with its bytes to an aiohttp handler, and be out of the way."""
        transport = self.transport
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
        transport = self.transport
        if transport.is_closing() or exchange is None:
            return
        if not keep_alive:
            if self._left or exchange.memo.facts.keep_alive:
                self._linger()
            else:
                self._close()
            return
        limits = exchange.snapshot.limits
        if self._is_writing_paused:
            # The next request is not begun before the client has taken this answer.
            self.deadline = exchange.ended_at + limits.write_timeout
            return
        if self._is_reading_paused:
            self._is_reading_paused = False
            transport.resume_reading()
        if self._buffer:
            self.deadline = exchange.ended_at + limits.header_timeout
            if not self._turning:
                data, self._buffer = self._buffer, b""
                self.data_received(data)
        else:
            self.deadline = exchange.ended_at + limits.idle_timeout

    def _linger(self) -> None:
        self._is_lingering = True
        self.deadline = self.proxy.now() + LINGER
        if self._is_reading_paused:
            self._is_reading_paused = False
            self.transport.resume_reading()
        say_end(self.transport)

    def _close(self) -> None:
        """Close once what is written is sent, for which the client has as long as for any write."""
        self.transport.close()
        self.deadline = self.proxy.now() + self.proxy.limits.write_timeout

    def break_off(self, flush: bool) -> None:
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.client_gone()
        if flush:
            self._close()
        else:
            self.transport.abort()

    def pause_upload(self) -> None:
        if not self._is_reading_paused and not self.transport.is_closing():
            self._is_reading_paused = True
            self.transport.pause_reading()

    def resume_upload(self) -> None:
        if self._is_reading_paused and not self.transport.is_closing():
            self._is_reading_paused = False
            self.transport.resume_reading()

    def open_tunnel(self, connection: UpstreamConnection, data: bytes) -> None:
        exchange, self.exchange = self.exchange, None
        assert exchange is not None
        self.proxy.lanes.discard(self)
        tunnel = self.proxy.open_tunnel(self.transport, connection.transport, exchange)
        if data:
            tunnel.send_to_client(data)
        if self._buffer:
            tunnel.send_upstream(self._buffer)
            self._buffer = b""

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
        """Serve the next request, now that the answer to the last one is taken."""
        limits = self.proxy.limits
        if self._is_reading_paused:
            self._is_reading_paused = False
            self.transport.resume_reading()
        self.deadline = self.proxy.now() + (limits.header_timeout if self._buffer else limits.idle_timeout)
        data, self._buffer = self._buffer, b""
        if data:
            self.data_received(data)

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
        if self.exchange is not None or self._is_lingering or self._is_writing_paused:
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
        if exchange is None or self._left or exchange.memo.facts.upgrade is not None or not transport.can_write_eof():
            return False
        if not self._buffer:
            exchange.keep_alive = False
        self.proxy.half_closed.add(HalfClosed(self, transport))
        return True

    def connection_lost(self, exc: BaseException | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.proxy.dismiss(self)
        self.deadline = NEVER
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.client_gone()
