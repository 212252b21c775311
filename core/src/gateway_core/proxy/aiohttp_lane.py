"""The general lane: aiohttp reads the request, and the same pipeline does the rest.

aiohttp parses heads, chunks and pipelines and reports what is not valid; the answer is written by the exchange, so that
both lanes put the same bytes on the wire.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from gateway_core.proxy.exchange import Exchange
from gateway_core.proxy.lane import FRESH_GRACE, LINGER, HeadMemo, Peer
from gateway_core.proxy.socket_options import read_little
from gateway_core.proxy.sweeper import NEVER
from gateway_core.proxy.upload import Upload
from gateway_core.proxy.wire.request_head import RequestFacts, read_request_block, valid_host
from gateway_core.tasks import spawn

if TYPE_CHECKING:
    from gateway_core.proxy.server import GatewayServer
    from gateway_core.proxy.upstream_connection import UpstreamConnection

_REFUSED: Final = frozenset({"CONNECT", "TRACE"})
_ALLOWED: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


def _status_of(error: BaseException | None, message: str) -> int:
    """Return the status for what aiohttp could not read; its errors differ by class or by text only."""
    if isinstance(error, LineTooLong) or message.startswith("Too many headers"):
        return 431
    if message.startswith("Pause on PRI") or "Invalid HTTP version" in message.partition("\n\n")[0]:
        return 505
    return 400


class Written:
    """Stands for an answer that is on the wire already; what aiohttp asks of a response."""

    __slots__ = ("_data", "_linger", "keep_alive")

    def __init__(
        self, keep_alive: bool, data: bytes = b"", linger: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self.keep_alive = keep_alive
        self._data = data
        self._linger = linger

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write what is still to be written."""
        transport = request.transport
        if self._data and transport is not None:
            transport.write(self._data)

    async def write_eof(self) -> None:
        """Wait for the client to have read the answer if it is a last one that it may not expect."""
        if self._linger is not None:
            await self._linger()


class AiohttpLane(RequestHandler):
    """The client's side of a connection in the aiohttp lane."""

    def __init__(self, server: GatewayServer, **settings: Any) -> None:
        super().__init__(server, **settings)
        self.proxy = server.proxy
        self.peer: Peer = cast("Peer", None)
        self._is_admitted = False
        self._is_lingering = False
        self._gone: asyncio.Future[None] | None = None
        self.exchange: Exchange | None = None
        self.version = "1.1"
        self.deadline = NEVER
        self._lane_requests = 0
        self._over: asyncio.Future[bool] | None = None
        self._awaits_head = False
        self._body: Any = None
        self._is_tunnel = False
        self._pump: asyncio.Task[None] | None = None
        self._may_read = asyncio.Event()
        self._may_read.set()

    def take_over(self, peer: Peer, requests: int) -> None:
        """Go on with a connection that began in the fast lane and was admitted there."""
        self.peer = peer
        self._is_admitted = True
        self._lane_requests = requests

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not self._is_admitted:
            self.peer = Peer(transport)
            read_little(transport)
            if not self.proxy.admit(self):
                self.proxy.turn_away(cast("asyncio.Transport", transport))
                return
        else:
            self.proxy.lanes.add(self)
        super().connection_made(transport)
        self.deadline = self.proxy.now() + self.proxy.limits.header_timeout

    def data_received(self, data: bytes) -> None:
        if self._is_lingering:
            return
        if self.exchange is None and not self._awaits_head and not self._messages and self._over is None:
            self._awaits_head = True
            if self.deadline is NEVER:
                self.deadline = self.proxy.now() + self.proxy.limits.header_timeout
        super().data_received(data)
        body, exchange = self._body, self.exchange
        if body is not None and exchange is not None and self._messages and not body.is_eof():
            # Behind a body that is not at its end there can be no request, only what aiohttp could not read.
            exchange.bad_body()

    # -- a request

    async def serve(self, base: web.BaseRequest) -> Written:
        """Take one request through the pipeline."""
        self._awaits_head = False
        await self._written()
        self.deadline = NEVER
        message = base._message  # noqa: SLF001 - the raw head has no public name
        version = (message.version.major, message.version.minor)
        if version not in {(1, 0), (1, 1)}:
            return self._refuse(505)
        self.version = "1.0" if version == (1, 0) else "1.1"
        block = b"".join([b"\r\n%b: %b" % field for field in message.raw_headers])
        limits = self.proxy.limits
        if len(block) + len(message.path) > limits.max_head_bytes or len(message.raw_headers) > limits.max_headers:
            return self._refuse(431)
        if message.method in _REFUSED:
            return self._refuse(405, allow=_ALLOWED)
        facts = read_request_block(block, http_1_0=self.version == "1.0")
        if facts is None:
            return self._refuse(400)
        target = message.path
        if not target.startswith("/"):
            absolute = self._absolute_form(target, block)
            if absolute is None:
                return self._refuse(400)
            target, facts = absolute
        if not (target.isascii() and target.isprintable()):
            return self._refuse(400)
        return await self._run(base, message.method, target, facts)

    def _absolute_form(self, target: str, block: bytes) -> tuple[str, RequestFacts] | None:
        """Return the origin form of an absolute one; its authority takes the place of Host (RFC 9112 section 3.2.2)."""
        parts = urlsplit(target)
        authority = parts.netloc.encode("latin-1", "replace")
        if parts.scheme not in {"http", "https"} or not valid_host(authority) or parts.fragment:
            return None
        fields = [line for line in block.split(b"\r\n")[1:] if not line.lower().startswith(b"host:")]
        rebuilt = b"\r\nHost: " + authority + b"".join([b"\r\n" + line for line in fields])
        changed = read_request_block(rebuilt, http_1_0=self.version == "1.0")
        rest = target[len(parts.scheme) + 3 + len(parts.netloc) :]
        if changed is None:
            return None
        return rest if rest.startswith("/") else "/" + rest, changed

    async def _run(self, base: web.BaseRequest, method: str, target: str, facts: RequestFacts) -> Written:
        proxy, transport = self.proxy, self.transport
        if transport is None:
            return Written(False)
        snapshot = proxy.holder.current
        memo = HeadMemo(facts, self.peer, snapshot)
        memo.read_line(method, target, version=self.version)
        request = memo.request(memo.origin.request_id or proxy.next_id(), proxy.now(), self.version)
        exchange = self.exchange = Exchange(self, transport, snapshot, memo, request)
        self._lane_requests += 1
        if self._lane_requests == snapshot.limits.max_requests_per_connection:
            exchange.keep_alive = False
        over = self._over = asyncio.get_running_loop().create_future()
        if facts.chunked or facts.content_length > 0:
            exchange.upload = Upload(self, 0)
            self._body = base.content
            self._pump = spawn(self._feed(exchange, base.content), name="upload")
        exchange.start()
        try:
            keep_alive = await over
            expected = keep_alive or not facts.keep_alive
            return Written(keep_alive, linger=None if expected else self._linger)
        finally:
            self._over = self._body = None
            if self._pump is not None:
                self._pump.cancel()
                self._pump = None

    async def _written(self) -> None:
        """Wait until the client has taken the answer before: a request is not begun on top of a pile."""
        if self._paused:
            self.deadline = self.proxy.now() + self.proxy.limits.write_timeout
            with contextlib.suppress(ConnectionError):
                await self._drain_helper()

    async def _feed(self, exchange: Exchange, content: Any) -> None:
        """Pass the body on, no faster than it is taken."""
        try:
            while not exchange.over:
                await self._may_read.wait()
                data = await content.readany()
                if not data:
                    exchange.feed_end()
                    return
                exchange.feed(data)
        except asyncio.CancelledError:
            raise
        except Exception:  # noqa: BLE001 - whatever the parser found wrong with the body, it is not a body
            exchange.bad_body()

    async def _linger(self) -> None:
        transport = self.transport
        if transport is None:
            return
        self._is_lingering = True
        self._may_read.set()
        if not transport.is_closing():
            transport.resume_reading()
            if transport.can_write_eof():
                transport.write_eof()
        self._gone = asyncio.get_running_loop().create_future()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                await self._gone

    def eof_received(self) -> None:
        self._leave()

    def _leave(self) -> None:
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    def _refuse(self, status: int, allow: tuple[str, ...] = ()) -> Written:
        """Answer a request that never gets as far as the pipeline; the connection is closed."""
        return Written(
            False,
            self.proxy.refusal(status, allow=allow),
            self._linger,
        )

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
            status = _status_of(exc, message or "")
        return Written(False, self.proxy.refusal(status), self._linger)

    # -- what the exchange says

    def exchange_over(self, keep_alive: bool) -> None:
        self.exchange = None
        if self._over is not None and not self._over.done():
            self._over.set_result(keep_alive)
        transport = self.transport
        if self._is_tunnel:
            # The transport tells the tunnel, and nobody else, that it is gone.
            super().connection_lost(None)
        elif transport is not None and transport.get_write_buffer_size():
            self.deadline = self.proxy.now() + self.proxy.limits.write_timeout

    def break_off(self, flush: bool) -> None:
        exchange, self.exchange = self.exchange, None
        transport = self.transport
        if exchange is not None:
            exchange.client_gone()
        if transport is not None:
            if flush:
                transport.close()
            else:
                transport.abort()

    def pause_upload(self) -> None:
        self._may_read.clear()

    def resume_upload(self) -> None:
        self._may_read.set()

    def open_tunnel(self, connection: UpstreamConnection, data: bytes) -> None:
        exchange, transport = self.exchange, self.transport
        assert exchange is not None
        assert transport is not None
        self.proxy.lanes.discard(self)
        self._is_tunnel = True
        self.exchange = None
        tail, self._message_tail = self._message_tail, b""
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

    def expire(self, now: float) -> None:  # noqa: ARG002 - the sweeper's signature
        """Close a connection whose head does not get complete; an idle one is aiohttp's to close."""
        self.deadline = NEVER
        transport = self.transport
        if transport is None or self.exchange is not None:
            return
        if transport.get_write_buffer_size() or transport.is_closing():
            transport.abort()  # what is written will not be read any more
        elif self._awaits_head and not self._request_in_progress:
            transport.write(self.proxy.refusal(408))
            self.force_close()
        elif not self._lane_requests:
            self.force_close()

    def close_if_idle(self) -> None:
        """Close the connection unless a request is under way, which then is its last."""
        # Not aiohttp's close(): it drops what still comes of a body that is under way.
        if self.exchange is not None or self._request_in_progress:
            return
        if self._awaits_head:
            return  # a request that has begun to arrive, or is between aiohttp's tasks, is answered or times out
        if self._lane_requests:
            self.force_close()
        else:
            self.deadline = min(self.deadline, self.proxy.now() + FRESH_GRACE)

    def forget_head(self) -> None:
        """Nothing is remembered here."""

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


__all__ = ["AiohttpLane", "Written"]
