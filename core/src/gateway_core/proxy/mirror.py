"""Copies of requests for a mirror target, whose responses are dropped.

A copy takes nothing that a request needs: it is dropped rather than queued where its upstream's limits leave no room or
requests wait, and where too many copies are under way already. Its upstream's timeouts hold for it, and it ends after
`_MOST_TIME` whatever they say.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from gateway_core.messages.headers import block_of, headers_of_block
from gateway_core.proxy.sending import MOST_MIRRORED
from gateway_core.proxy.upstream.connection import BINDS, HEAD_ONLY, UpstreamConnection
from gateway_core.proxy.upstream.pool import Pool
from gateway_core.proxy.upstream.response_handler import Failure
from gateway_core.routing import UnsafePathError
from gateway_core.upstreams.admission import Verdict
from gateway_core.upstreams.outcome import Outcome

if TYPE_CHECKING:
    from gateway_core.proxy.exchange import Exchange
    from gateway_core.proxy.wire.response_head import ResponseHead
    from gateway_core.snapshot.route import Mirror
    from gateway_core.upstreams.endpoint import Endpoint

MOST_COPIES: Final = 100
"""Copies that may be under way to one upstream: each holds up to `MOST_MIRRORED` bytes."""

_MOST_TIME: Final = 30.0
"""Seconds that a copy may take: a mirror that hangs must not pile up connections."""

_CREDENTIALS: Final = ("authorization", "proxy-authorization", "cookie")


class MirrorTry:
    """One copy of one request on its way."""

    __slots__ = (
        "_connecting",
        "_connection",
        "_endpoint",
        "_flags",
        "_head",
        "_mirror",
        "_picked_at",
        "_proxy",
        "_timer",
        "_until",
        "_upstream",
    )

    def __init__(self, exchange: Exchange, mirror: Mirror) -> None:
        self._proxy = exchange.proxy
        self._mirror = mirror
        self._upstream = mirror.upstream
        self._endpoint: Endpoint | None = None
        self._head = b""
        self._flags = 0
        self._picked_at = 0.0
        self._until = 0.0
        self._connection: UpstreamConnection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self, exchange: Exchange) -> None:
        """Send the copy if its body is complete and small and there is room for it; otherwise nothing happens."""
        upload = exchange.upload
        body = b""
        if upload is not None:
            if not upload.complete or upload.received > MOST_MIRRORED:
                return
            body = upload.peek()
        upstream, load = self._upstream, self._upstream.admission.load
        if load.copies >= MOST_COPIES or exchange.memo.facts.upgrade is not None:
            return
        now = self._picked_at = self._proxy.now()
        endpoint = upstream.pick(None, now)
        if endpoint is None:
            return
        head = self._head_for(exchange, endpoint, len(body) if upload is not None else None)
        if head is None or upstream.admission.ask(endpoint) is not Verdict.ADMIT:
            upstream.record(endpoint, Outcome.ABANDONED, now, now)
            return
        self._endpoint = endpoint
        self._head = head + body
        self._flags = exchange.memo.flags & (HEAD_ONLY | BINDS)
        load.copies += 1
        upstream.admission.enter(endpoint)
        self._connect(endpoint, now)

    def _head_for(self, exchange: Exchange, endpoint: Endpoint, copy_length: int | None) -> bytes | None:
        try:
            head = exchange.head_for(endpoint, copy_length=copy_length)
        except UnsafePathError:
            return None  # the request itself is about to be answered 400
        if head is None or self._mirror.credentials:
            return head
        line, _, fields = head[:-4].partition(b"\r\n")
        headers = headers_of_block(b"\r\n" + fields)
        for name in _CREDENTIALS:
            headers.remove(name)
        return b"%b%b\r\n\r\n" % (line, block_of(headers))

    def _connect(self, endpoint: Endpoint, now: float) -> None:
        timeouts = self._mirror.timeouts
        self._until = now + min(timeouts.total or _MOST_TIME, _MOST_TIME)
        pool = endpoint.pool or self._proxy.make_pool(endpoint, self._upstream)
        assert isinstance(pool, Pool)
        connection = pool.take()
        if connection is not None:
            self._send(connection)
        else:
            self._connecting = pool.connect(min(timeouts.connect or _MOST_TIME, self._until - now), self._connected)

    def _connected(self, connection: UpstreamConnection | None, failure: Failure, reason: str) -> None:
        self._connecting = None
        if connection is None:
            self.on_failure(failure, reason)
        else:
            self._send(connection)

    def _send(self, connection: UpstreamConnection) -> None:
        self._connection = connection
        head, self._head = self._head, b""
        self._wait(self._mirror.timeouts.response)
        connection.send(self, head, self._flags)

    def _wait(self, seconds: float) -> None:
        """Expire in so many seconds, 0 is no limit, or when the copy as a whole has to be over."""
        if self._timer is not None:
            self._timer.cancel()
        left = max(0.0, self._until - self._proxy.now())
        self._timer = self._proxy.loop.call_later(min(seconds or left, left), self._expire)

    def _expire(self) -> None:
        if self._connection is not None:
            self._connection.abort()
        self._over(Outcome.TIMEOUT, "the copy was not answered in time")

    def _over(self, outcome: int, detail: str = "") -> None:
        self._connection = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            upstream = self._upstream
            upstream.record(endpoint, outcome, self._picked_at, self._proxy.now(), detail)
            upstream.admission.load.copies -= 1
            upstream.admission.leave(endpoint)
            if not upstream.admission.is_unlimited:
                self._proxy.serve_queue(upstream)

    def on_interim(self, head: ResponseHead) -> None:
        """Drop it."""

    def on_answer(self, connection: UpstreamConnection, head: ResponseHead, body: bytes, complete: bool) -> None:  # noqa: ARG002
        """Record the status, drop the rest."""
        if complete:
            self._over(head.status)
        else:
            self._wait(self._mirror.timeouts.idle)

    def on_body(self, data: bytes) -> None:  # noqa: ARG002 - the receiver's signature
        """Drop it."""
        self._wait(self._mirror.timeouts.idle)

    def on_end(self, trailer: bytes) -> None:  # noqa: ARG002 - the receiver's signature
        """Record that it is over."""
        self._over(200)

    def on_switch(self, connection: UpstreamConnection, head: ResponseHead, data: bytes) -> None:  # noqa: ARG002
        """Close what nothing asked for."""
        connection.abort()
        self._over(Outcome.ABANDONED)

    def on_failure(self, failure: Failure, detail: str) -> None:  # noqa: ARG002 - the receiver's signature
        """Record it for the mirror's own health."""
        self._over(Outcome.RESET, detail)

    def keep_bound(self, connection: UpstreamConnection) -> None:
        """Close it: a mirror has no client."""
        connection.abort()

    def pause_upload(self) -> None:
        """Nothing is uploaded piece by piece."""

    def resume_upload(self) -> None:
        """Nothing is uploaded piece by piece."""
