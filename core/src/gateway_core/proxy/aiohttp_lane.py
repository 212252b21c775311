"""The general lane: aiohttp serves the request, and the same pipeline does the rest.

aiohttp is given one head at a time, without what frames a body: bodies and what is behind them are ours to cut, so that
nothing of one request, a trailer for example, can get into another, and no request is lost for what comes behind it. It
judges what is valid together with `read_request_block`; the answer is written by the exchange, so that both lanes put
the same bytes on the wire.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web

from gateway_core.proxy.aiohttp_at_once import AtOnce
from gateway_core.proxy.aiohttp_head import for_aiohttp, status_of
from gateway_core.proxy.bounded_reads import bound_reads
from gateway_core.proxy.downstream.half_closed import HalfClosed
from gateway_core.proxy.exchange import Exchange
from gateway_core.proxy.lane import FRESH_GRACE, LINGER, HeadMemo, Peer
from gateway_core.proxy.socket_options import READ_SIZE, read_little, say_end
from gateway_core.proxy.sweeper import NEVER
from gateway_core.proxy.upload import HIGH_WATER, Upload
from gateway_core.proxy.wire.chunks import BadChunkError
from gateway_core.proxy.wire.request_head import RequestFacts
from gateway_core.proxy.wire.request_stream import BadHeadError
from gateway_core.proxy.written import Written

if TYPE_CHECKING:
    from gateway_core.proxy.server import GatewayServer
    from gateway_core.proxy.upstream.connection import UpstreamConnection


class AiohttpLane(AtOnce):
    """The client's side of a connection in the aiohttp lane."""

    def __init__(self, server: GatewayServer, **settings: Any) -> None:
        super().__init__(server, server.proxy, **settings)
        self._listener = server.listener
        self._is_admitted = False
        self._over: asyncio.Future[bool] | None = None
        self._is_reading_held = False
        self._is_tunnel = False

    def take_over(self, peer: Peer, requests: int) -> None:
        """Go on with a connection that began in the fast lane and was admitted there."""
        self.peer = peer
        self._is_admitted = True
        self._lane_requests = requests

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not self._is_admitted:
            self.peer = Peer(transport, self._listener, self.accepted)
            read_little(transport)
            if not self.proxy.admit(self):
                self.proxy.turn_away(cast("asyncio.Transport", transport))
                return
        else:
            self.proxy.lanes.add(self)
        super().connection_made(transport)
        bound_reads(cast("asyncio.Transport", transport), self, READ_SIZE // 2)
        self.deadline = self.proxy.now() + self.proxy.limits.header_timeout

    def data_received(self, data: bytes) -> None:
        if self._is_lingering:
            return
        if self._is_idle:
            self._is_idle = False
            self.deadline = NEVER
        self._stream.feed(data)
        if self._is_busy:
            self._take_body()
        else:
            self._take_head()
            self._bound_held()

    def _take_head(self) -> bool:
        """Give aiohttp the next head if it is complete, and say whether it is; what follows waits."""
        limits, stream = self.proxy.limits, self._stream
        try:
            head = stream.take_head(limits.max_head_bytes)
        except BadHeadError as error:
            self._reject(error.status)
            return True
        if head is None:
            if stream.size and self.deadline is NEVER:
                self.deadline = self.proxy.now() + limits.header_timeout
            return False
        self._is_busy = True
        self.deadline = NEVER
        self._head = head
        if not self.begin_at_once(head):
            count = self._request_count
            super().data_received(for_aiohttp(head))
            self._was_given(head, count)
        return True

    def _was_given(self, head: bytes, count: int) -> None:
        """Reject a head that aiohttp makes nothing of."""
        if self._request_count == count:
            self._reject(505 if head.startswith(b"PRI ") else 400)  # it waits for more of an HTTP/2 preface

    def _take_body(self) -> None:
        """Pass on what came of the body; what is behind it waits for its turn."""
        exchange, stream = self.exchange, self._stream
        if exchange is not None and stream.has_more_body():
            try:
                piece = stream.take_body()
            except BadChunkError:
                exchange.bad_body()
                return
            if piece:
                exchange.feed(piece)
            if not stream.has_more_body() and self.exchange is exchange:
                exchange.feed_end()
        self._bound_held()

    def _bound_held(self) -> None:
        """Read no further while much of what came waits."""
        if self._stream.size > HIGH_WATER:
            self.pause_upload()

    def may_read(self) -> bool:
        """Whether reading is not stopped."""
        return not self._is_reading_held

    def is_in_body(self) -> bool:
        """Reads are bounded for good: what comes may be held here until aiohttp's task has had its turn."""
        return True

    def _go_on(self) -> None:
        """Read the next request, now that the answer to the last one is written."""
        if self.transport is None or self._is_lingering:
            return
        self._is_busy = False
        if self._take_head():
            return
        self.resume_upload()  # only now: what is held already comes first, and is bounded
        if self._is_half_closed:
            self._hang_up()
        elif not self._stream.size and not self.transport.get_write_buffer_size():
            self.deadline = self.proxy.now() + self.proxy.limits.idle_wait
            self._is_idle = True

    # -- a request

    async def serve(self, base: web.BaseRequest) -> Written:
        """Take one request through the pipeline."""
        await self._written()
        self.deadline = NEVER
        read = self.judge(base._message)  # noqa: SLF001 - the raw head has no public name
        return read if isinstance(read, Written) else await self._run(*read)

    async def _run(self, method: str, target: str, facts: RequestFacts) -> Written:
        proxy, transport, stream = self.proxy, self.transport, self._stream
        if transport is None:
            return Written(False)
        upload = None
        if facts.chunked or facts.content_length > 0:
            stream.begin_body(facts.content_length)
            try:
                body = stream.take_body()
            except BadChunkError:
                return self._refuse(400)
            upload = Upload(self, 0, body, complete=not stream.has_more_body())
            if len(body) < HIGH_WATER:
                self.resume_upload()
            else:
                upload.pause()
            if stream.has_more_body() and self._is_half_closed:
                transport.abort()  # the rest of the body will not come
                return Written(False)
        snapshot = proxy.holder.current
        memo = HeadMemo(facts, self.peer, snapshot)
        memo.read_line(method, target, version=self.version)
        request = memo.request(memo.origin.request_id or proxy.next_id(), proxy.now(), self.version)
        exchange = self.exchange = Exchange(self, transport, snapshot, memo, request)
        exchange.upload = upload
        self._lane_requests += 1
        most = snapshot.limits.max_requests_per_connection
        if (most and self._lane_requests >= most) or self._is_last:
            exchange.keep_alive = False
        over = self._over = asyncio.get_running_loop().create_future()
        try:
            exchange.start()
        except Exception as error:  # noqa: BLE001 - the connection is answered whatever plugins leave
            exchange.crashed(error)
        keep_alive = False
        try:
            keep_alive = await over
            is_asked = not facts.keep_alive and not stream.has_more_body()
            expected = keep_alive or is_asked or self._is_half_closed
            return Written(keep_alive, linger=None if expected else self._linger)
        finally:
            self._over = None
            if keep_alive:
                self._wait_for_turn()

    @property
    def _is_last(self) -> bool:
        """Whether no request can follow."""
        return self._is_half_closed and not self._stream.size

    async def _written(self) -> None:
        """Wait until the client has taken the answer before: a request is not begun on top of a pile."""
        if self._paused:
            self.deadline = self.proxy.now() + self.proxy.limits.write_wait
            with contextlib.suppress(ConnectionError):
                await self._drain_helper()

    def _reject(self, status: int) -> None:
        """Answer what is no request and never becomes one; the connection ends once the client has read it."""
        transport = self.transport
        if transport is None:
            return
        transport.write(self.proxy.refusal(status))
        self._is_lingering = self._is_busy = True
        self.deadline = self.proxy.now() + LINGER
        if not say_end(transport):
            transport.close()

    def eof_received(self) -> bool:  # type: ignore[override]  # aiohttp's never keeps a connection open
        self._leave()
        transport = self.transport
        if (
            transport is None
            or self._is_lingering
            or not self._is_busy
            or self._stream.has_more_body()
            or not transport.can_write_eof()
        ):
            return False
        self._is_half_closed = True
        if self.exchange is not None and self._is_last:
            self.exchange.keep_alive = False
        self.proxy.half_closed.add(HalfClosed(self, transport))
        return True

    def _leave(self) -> None:
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    def handle_error(  # type: ignore[override]  # anything that has prepare and write_eof will do
        self,
        request: web.BaseRequest,  # noqa: ARG002 - aiohttp's signature
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> Written:
        """Answer what aiohttp could not read, without a byte of it."""
        if status >= 500:
            self.proxy.log.error("a request failed: %r", exc, exc_info=exc)
        if status == 400:
            status = status_of(message or "")
        is_head = self._head.startswith(b"HEAD ")
        return Written(False, self.proxy.refusal(status, is_head=is_head), self._linger)

    # -- what the exchange says

    def exchange_over(self, keep_alive: bool) -> None:
        exchange, self.exchange = self.exchange, None
        if self._over is None and not self._is_tunnel:
            if exchange is not None:
                self.served_at_once(exchange, keep_alive)
            return
        if self._over is not None and not self._over.done():
            self._over.set_result(keep_alive)
        transport = self.transport
        if self._is_tunnel:
            # The transport tells the tunnel, and nobody else, that it is gone.
            super().connection_lost(None)
        elif transport is not None and transport.get_write_buffer_size():
            self.deadline = self.proxy.now() + self.proxy.limits.write_wait

    def break_off(self, flush: bool) -> None:
        exchange, self.exchange = self.exchange, None
        transport = self.transport
        if exchange is not None:
            exchange.client_gone()
        if transport is not None:
            if flush:
                self._hang_up()
            else:
                transport.abort()

    def pause_upload(self) -> None:
        transport = self.transport
        if transport is not None and not self._is_reading_held and not transport.is_closing():
            self._is_reading_held = True
            transport.pause_reading()

    def resume_upload(self) -> None:
        transport = self.transport
        if transport is not None and self._is_reading_held and not transport.is_closing():
            self._is_reading_held = False
            transport.resume_reading()

    def open_tunnel(self, connection: UpstreamConnection, data: bytes) -> None:
        exchange, transport = self.exchange, self.transport
        assert exchange is not None
        assert transport is not None
        self.proxy.lanes.discard(self)
        self._is_tunnel = True
        self.exchange = None
        tail = self._stream.take_rest()
        tunnel = self.proxy.open_tunnel(transport, connection.transport, exchange)
        if data:
            tunnel.send_to_client(data)
        if tail:
            tunnel.send_upstream(tail)

    # -- what the transport says

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.exchange is not None:
            self.exchange.pause_answer()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.exchange is not None:
            self.exchange.resume_answer()
        elif self._is_busy and self.is_at_rest and not self._is_lingering:
            self._go_on()

    def expire(self, now: float) -> None:  # noqa: ARG002 - the sweeper's signature
        """Close a connection whose head does not get complete, or that is idle and not aiohttp's to close."""
        self.deadline = NEVER
        transport = self.transport
        if transport is None or self.exchange is not None:
            return
        if transport.get_write_buffer_size() or transport.is_closing() or self._is_lingering:
            transport.abort()  # what is written will not be read any more
        elif self._stream.size and not self._is_busy:
            self._reject(408)
        elif not self._lane_requests or self._keepalive_handle is None:
            self._hang_up()

    def close_if_idle(self) -> None:
        """Close the connection unless a request is under way, which then is its last."""
        # Not aiohttp's close(): it drops what still comes of a body that is under way.
        if self._is_busy or self._stream.size:
            return  # a request that has begun to arrive is answered or times out
        if self._lane_requests:
            self._hang_up()
        else:
            self.deadline = min(self.deadline, self.proxy.now() + FRESH_GRACE)

    def abort(self) -> None:
        """Close the connection whatever is under way."""
        if self.transport is not None:
            self.transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.proxy.dismiss(self)
        self._leave()
        self.deadline = NEVER
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.client_gone()
        super().connection_lost(exc)


__all__ = ["AiohttpLane"]
