"""Copies of requests for a mirror target: answers are dropped, failures are nobody's business."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from gateway_core.proxy.pool import Pool
from gateway_core.proxy.receiver import Failure
from gateway_core.proxy.sending import MOST_MIRRORED
from gateway_core.proxy.upstream_connection import HEAD_ONLY, UpstreamConnection
from gateway_core.routing import UnsafePathError
from gateway_core.upstreams.outcome import Outcome

if TYPE_CHECKING:
    from gateway_core.proxy.exchange import Exchange
    from gateway_core.proxy.wire.response_head import ResponseHead
    from gateway_core.upstreams.endpoint import Endpoint
    from gateway_core.upstreams.upstream import Upstream

_MOST_TIME: Final = 30.0
"""Seconds that a copy may take: a mirror that hangs must not pile up connections."""


class MirrorTry:
    """One copy of one request on its way."""

    __slots__ = ("_connection", "_endpoint", "_exchange", "_head", "_picked_at", "_proxy", "_timer", "_upstream")

    def __init__(self, exchange: Exchange, upstream: Upstream) -> None:
        self._exchange = exchange
        self._proxy = exchange.proxy
        self._upstream = upstream
        self._endpoint: Endpoint | None = None
        self._head = b""
        self._picked_at = 0.0
        self._connection: UpstreamConnection | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Send the copy if its body is complete and small; otherwise nothing happens."""
        exchange, upstream = self._exchange, self._upstream
        upload = exchange.upload
        body = b""
        if upload is not None:
            if not upload.complete or upload.received > MOST_MIRRORED:
                return
            body = upload.peek()
        now = self._picked_at = self._proxy.now()
        endpoint = upstream.pick(None, now)
        if endpoint is None:
            return
        try:
            head = exchange.head_for(endpoint, copy_length=len(body) if upload is not None else None)
        except UnsafePathError:
            head = None  # the request itself is about to be answered 400
        if head is None or exchange.memo.facts.upgrade is not None:
            upstream.record(endpoint, Outcome.ABANDONED, now, now)
            return
        self._endpoint = endpoint
        self._head = head + body
        upstream.admission.enter(endpoint)
        pool = endpoint.pool or self._proxy.make_pool(endpoint, upstream)
        assert isinstance(pool, Pool)
        connection = pool.take()
        if connection is not None:
            self._send(connection)
        else:
            pool.connect(2.0, self._connected)

    def _connected(self, connection: UpstreamConnection | None, failure: Failure, reason: str) -> None:
        if connection is None:
            self.on_failure(failure, reason)
        else:
            self._send(connection)

    def _send(self, connection: UpstreamConnection) -> None:
        self._connection = connection
        self._timer = self._proxy.loop.call_later(_MOST_TIME, self._expire)
        connection.send(self, self._head, HEAD_ONLY if self._exchange.request.method == "HEAD" else 0)

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
            self._upstream.record(endpoint, outcome, self._picked_at, self._proxy.now(), detail)
            self._upstream.admission.leave(endpoint)

    def on_interim(self, head: ResponseHead) -> None:
        """Drop it."""

    def on_answer(self, connection: UpstreamConnection, head: ResponseHead, body: bytes, complete: bool) -> None:  # noqa: ARG002
        """Note the status, drop the rest."""
        if complete:
            self._over(head.status)

    def on_body(self, data: bytes) -> None:
        """Drop it."""

    def on_end(self, trailer: bytes) -> None:  # noqa: ARG002 - the receiver's signature
        """Note that it is over."""
        self._over(200)

    def on_switch(self, connection: UpstreamConnection, head: ResponseHead, data: bytes) -> None:  # noqa: ARG002
        """Close what nobody asked for."""
        connection.abort()
        self._over(Outcome.ABANDONED)

    def on_failure(self, failure: Failure, detail: str) -> None:  # noqa: ARG002 - the receiver's signature
        """Note it for the mirror's own health."""
        self._over(Outcome.RESET, detail)

    def keep_bound(self, connection: UpstreamConnection) -> None:
        """Close it: a mirror has no client."""
        connection.abort()

    def pause_upload(self) -> None:
        """Nothing is uploaded piece by piece."""

    def resume_upload(self) -> None:
        """Nothing is uploaded piece by piece."""
