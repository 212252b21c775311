"""The short way through aiohttp's handler: its parser's verdict, but neither its task nor its request objects.

aiohttp serves requests in one task for each connection, with a task, a future and a dozen objects for each request. A
request without a body that comes while that task waits needs none of them: it goes into the pipeline at once. A head
that was judged before is not judged again.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final, cast

from aiohttp.web_protocol import RequestHandler

from gateway_core.messages import Response
from gateway_core.proxy.aiohttp_head import absolute_form, for_aiohttp, forwarded_once
from gateway_core.proxy.exchange import Exchange
from gateway_core.proxy.lane import LINGER, HeadMemo, Peer
from gateway_core.proxy.plain_answer import plain_answer
from gateway_core.proxy.socket_options import say_end
from gateway_core.proxy.sweeper import NEVER
from gateway_core.proxy.wire.request_head import RequestFacts, read_request_block
from gateway_core.proxy.wire.request_stream import RequestStream
from gateway_core.proxy.written import Written
from gateway_core.tasks import spawn

if TYPE_CHECKING:
    from aiohttp import web

    from gateway_core.proxy.downstream.accepted import AcceptedConnection
    from gateway_core.proxy.service import Proxy

_REFUSED: Final = frozenset({"CONNECT", "TRACE"})
_ALLOWED: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


class AtOnce(RequestHandler):
    """Judges heads, and serves requests without a body as soon as they are read."""

    def __init__(self, server: web.Server, proxy: Proxy, **settings: Any) -> None:
        super().__init__(server, **settings)
        self.proxy = proxy
        self.peer: Peer = cast("Peer", None)
        self.exchange: Exchange | None = None
        self.memo: HeadMemo | None = None
        self.version = "1.1"
        self.deadline = NEVER
        self.accepted: AcceptedConnection | None = None
        self._lane_requests = 0
        self._stream = RequestStream()
        self._head = b""
        self._known_head = b""  # the one that the memo is about
        self._is_busy = False  # from a complete head until its answer is over
        self._is_idle = False  # the deadline is that of an idle connection
        self._is_half_closed = False
        self._is_lingering = False
        self._is_waiting_for_turn = False
        self._gone: asyncio.Future[None] | None = None

    def _wait_for_turn(self) -> None:
        if not self._is_waiting_for_turn:
            self._is_waiting_for_turn = True
            self.proxy.turns.enter(self)

    def serve_held(self, most: int) -> int:  # noqa: ARG002 - one is as many as aiohttp's task can be given
        """Serve the next held request, in a turn of this connection (see `Turns`)."""
        self._is_waiting_for_turn = False
        self._go_on()
        return 1

    def abort(self) -> None:
        raise NotImplementedError

    def _go_on(self) -> None:
        raise NotImplementedError

    def _was_given(self, head: bytes, count: int) -> None:
        raise NotImplementedError

    # -- heads

    def judge(self, message: Any) -> Written | tuple[str, str, RequestFacts]:
        """Return method, target and fields of the head that aiohttp has parsed, or the answer that refuses it."""
        version = (message.version.major, message.version.minor)
        if version not in {(1, 0), (1, 1)}:
            return self._refuse(505 if b" HTTP/" in self._head else 400)
        self.version = "1.0" if version == (1, 0) else "1.1"
        http_1_0 = version == (1, 0)
        line, _, _ = self._head.partition(b"\r\n")
        block = self._head[len(line) : -4]
        if block.count(b"\r\n") > self.proxy.limits.max_headers:
            return self._refuse(431)
        method = line.partition(b" ")[0].decode("latin-1")
        if method in _REFUSED:
            return self._refuse(405, allow=_ALLOWED)
        facts = read_request_block(block, http_1_0=http_1_0)
        target = message.path
        if facts is not None and method == "OPTIONS":
            if target == "*" or facts.max_forwards == 0:
                return self._tell_options()
            if facts.max_forwards > 0:
                facts = forwarded_once(facts, http_1_0=http_1_0)
        if facts is not None and not target.startswith("/"):
            target, facts = absolute_form(target, block, http_1_0=http_1_0) or ("", None)
        if facts is None or not (target.isascii() and target.isprintable()) or "#" in target:
            return self._refuse(400)
        return method, target, facts

    def _tell_options(self) -> Written:
        """Answer a question about the gateway itself (RFC 9110 sections 7.6.2 and 9.3.7)."""
        response = Response(200, headers={"Allow": ", ".join(_ALLOWED)})
        return Written(False, plain_answer(response, self.proxy.next_id(), self.proxy.date.block()), self._linger)

    def _refuse(self, status: int, allow: tuple[str, ...] = ()) -> Written:
        """Answer a request that never gets as far as the pipeline; the connection is closed."""
        return Written(
            False,
            self.proxy.refusal(status, allow=allow, is_head=self._head.startswith(b"HEAD ")),
            self._linger,
        )

    # -- at once

    @property
    def is_at_rest(self) -> bool:
        """Whether aiohttp's task waits for a request."""
        waiter = self._waiter
        return waiter is not None and not waiter.done()

    def begin_at_once(self, head: bytes) -> bool:
        """Serve a request without aiohttp's task; False if it is one for the task."""
        if not self.is_at_rest or self._paused or self._is_half_closed:
            return False
        memo = self.memo
        if memo is not None and head == self._known_head and memo.snapshot is self.proxy.holder.current:
            self._serve_at_once(memo)
            return True
        # The task must not wake up before it is known whether it is to have this one.
        waiter, self._waiter = self._waiter, None
        count = self._request_count
        try:
            super().data_received(for_aiohttp(head))
        finally:
            self._waiter = waiter
        if not self._messages:
            self._was_given(head, count)
        elif (memo := self._memo_of(self._messages[0][0])) is None:
            assert waiter is not None
            waiter.set_result(None)
        else:
            self._messages.popleft()
            assert self._parser is not None
            self._parser.message_consumed()
            self._known_head, self.memo = head, memo
            self._serve_at_once(memo)
        return True

    def _memo_of(self, message: Any) -> HeadMemo | None:
        """Return what a head means; None if it is not that of a plain request without a body."""
        if not hasattr(message, "raw_headers"):
            return None  # aiohttp could not read it
        read = self.judge(message)
        if isinstance(read, Written):
            return None
        method, target, facts = read
        if not facts.is_plain or facts.upgrade is not None or facts.content_length > 0:
            return None
        memo = HeadMemo(facts, self.peer, self.proxy.holder.current)
        memo.read_line(method, target, version=self.version)
        return memo

    def _serve_at_once(self, memo: HeadMemo) -> None:
        proxy, transport = self.proxy, self.transport
        if transport is None:
            return
        if self._keepalive_handle is not None:
            self.keep_alive(True)  # puts an end to its timer, which would close the connection under the request
        self.version = memo.version
        request = memo.request(memo.origin.request_id or proxy.next_id(), proxy.now(), memo.version)
        lane: Any = self  # the rest of what a lane is stands in the class below
        exchange = self.exchange = Exchange(lane, transport, memo.snapshot, memo, request)
        self._lane_requests += 1
        most = memo.snapshot.limits.max_requests_per_connection
        if most and self._lane_requests >= most:
            exchange.keep_alive = False
        try:
            exchange.start()
        except Exception as error:  # noqa: BLE001 - the connection is answered whatever plugins leave
            exchange.crashed(error)

    def served_at_once(self, exchange: Exchange, keep_alive: bool) -> None:
        """Go on, or end, after the answer to a request that aiohttp's task knows nothing of."""
        transport, limits = self.transport, exchange.snapshot.limits
        if transport is None or transport.is_closing():
            return
        if not keep_alive:
            if (exchange.memo.facts.keep_alive or self._stream.has_more_body()) and not self._is_half_closed:
                spawn(self._linger_and_close(), name="linger")
            else:
                self._hang_up()
        elif self._paused:
            # The next request is not begun before the client has taken this answer.
            self.deadline = exchange.ended_at + limits.write_wait
        elif self._stream.size or self._is_half_closed:
            self._wait_for_turn()
        else:
            self._is_busy = False
            self._is_idle = True
            self.deadline = exchange.ended_at + limits.idle_wait

    async def _linger_and_close(self) -> None:
        await self._linger()
        self._hang_up()

    def _hang_up(self) -> None:
        """Close once what is written is sent, for which the client has as long as for any write."""
        # Not aiohttp's force_close(): it forgets the transport, and with it who does not read.
        if self.transport is not None:
            self.transport.close()
            self.deadline = self.proxy.now() + self.proxy.limits.write_wait

    async def _linger(self) -> None:
        transport = self.transport
        if transport is None:
            return
        self._is_lingering = True
        if not transport.is_closing():
            transport.resume_reading()
            say_end(transport)
        self._gone = asyncio.get_running_loop().create_future()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                await self._gone

    def forget_head(self) -> None:
        """Let go of the snapshot that the last head was read under."""
        self.memo = None
        self._known_head = b""
        self.peer.forget_origin()
