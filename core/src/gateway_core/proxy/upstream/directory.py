"""The upstream side of one process: what all attempts share, and who owns it.

`Proxy` owns one `UpstreamDirectory`. It makes the pool of each endpoint when the first attempt needs it, and closes
what is left at the end; the endpoint refers to its pool and closes it when the last snapshot with the endpoint is
gone. It keeps the queue of each upstream: attempts that wait because ``limits`` of the upstream leave no room.

What is configured is read from the snapshot in force. A pool outlives snapshots, so `snapshot_replaced` gives pools
the new limit for response heads.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from random import Random
from typing import Protocol

from gateway_core.metrics.http2 import Http2Counts
from gateway_core.observe.tracing import AttemptSpan
from gateway_core.proxy.sweeper import Expiring, Sweeper
from gateway_core.proxy.upstream.http2_pool import Http2Pool
from gateway_core.proxy.upstream.pool import Pool
from gateway_core.upstreams.admission import Load
from gateway_core.upstreams.endpoint import Endpoint
from gateway_core.upstreams.transport import TlsSettings, make_tls_context
from gateway_core.upstreams.upstream import Upstream


class Queued(Protocol):
    """An attempt that waits until its endpoint has a free connection."""

    span: AttemptSpan | None
    """That of the attempt once it is sent, if it has one."""

    @property
    def picked(self) -> Endpoint: ...

    def dispatch(self) -> None:
        """Called once a connection may be used; the attempt is no longer in the queue."""


class UpstreamDirectory:
    """Pools, TLS contexts and queues of one process."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        now: Callable[[], float],
        rng: Random,
        sweeper: Sweeper,
        max_head_bytes: Callable[[], int],
        http2: Http2Counts | None = None,
    ) -> None:
        """Begin without pools.

        :param now: the monotonic clock, in seconds.
        :param max_head_bytes: reads the limit for response heads from the snapshot in force.
        :param http2: where connections of HTTP/2 are counted.
        """
        self.loop = loop
        self.now = now
        self.rng = rng
        self._sweeper = sweeper
        self._max_head_bytes = max_head_bytes
        self._http2 = http2
        self.pools: set[Pool] = set()
        self._contexts: dict[tuple[TlsSettings, str], ssl.SSLContext] = {}
        self._queues: dict[Load, deque[Queued]] = {}
        self.calls: set[Expiring] = set()
        """Requests of the gateway's own, without a client: copies for mirrors and `UpstreamCall`."""
        sweeper.watch(self.pools, every=10)
        sweeper.watch(self.calls)

    # -- pools

    def pool_for(self, endpoint: Endpoint, upstream: Upstream) -> Pool:
        """Return the pool of an endpoint; made at the first call."""
        pool = endpoint.pool
        if pool is not None:
            assert isinstance(pool, Pool)
            return pool
        settings = upstream.transport
        context, problem = None, ""
        if endpoint.scheme == "https":
            try:
                context = self._context_for(settings.tls, settings.protocol)
            except (OSError, ssl.SSLError) as error:
                problem = f"its TLS files cannot be used: {error}"
        is_http1 = settings.protocol == "http1" or (settings.protocol == "auto" and context is None)
        make = Pool if is_http1 else partial(Http2Pool, scheme=endpoint.scheme, http2=self._http2)
        pool = make(
            self.loop,
            endpoint.host,
            endpoint.port,
            settings,
            path=endpoint.path,
            resolver=upstream.resolver,
            context=context,
            problem=problem,
            max_head_bytes=self._max_head_bytes(),
            sweeper=self._sweeper,
            closed=endpoint.closed,  # the request outlived the last snapshot with this endpoint
            on_closed=self.pools.discard,
            counts=endpoint.counts,
        )
        if problem:
            return pool  # not kept: the files may be there the next time
        endpoint.pool = pool
        if not pool.closed:
            self.pools.add(pool)
        return pool

    def _context_for(self, tls: TlsSettings, protocol: str) -> ssl.SSLContext:
        key = tls, protocol
        context = self._contexts.get(key)
        if context is None:
            context = make_tls_context(tls, protocol)
            # Contexts made of an older content of the same files are not needed again.
            older = [known for known in self._contexts if (replace(known[0], digest=tls.digest), known[1]) == key]
            for known in older:
                del self._contexts[known]
            self._contexts[key] = context
        return context

    def snapshot_replaced(self) -> None:
        """Called when another snapshot is in force: pools get its limits."""
        max_head_bytes = self._max_head_bytes()
        for pool in self.pools:
            pool.limit_heads(max_head_bytes)

    # -- queues

    def enqueue(self, attempt: Queued, upstream: Upstream) -> None:
        """Have an attempt wait until its endpoint has a free connection."""
        upstream.admission.enter_queue(attempt.picked)
        self._queues.setdefault(upstream.admission.load, deque()).append(attempt)

    def leave_queue(self, attempt: Queued, upstream: Upstream) -> None:
        """Take an attempt out of its queue."""
        queue = self._queues.get(upstream.admission.load)
        if queue is not None and attempt in queue:
            queue.remove(attempt)
            upstream.admission.leave_queue(attempt.picked)
            if not queue:
                del self._queues[upstream.admission.load]

    def serve_queue(self, upstream: Upstream) -> None:
        """Start the attempts that waited and may start now, first come first served."""
        queue = self._queues.get(upstream.admission.load)
        if not queue:
            return
        for waiting in list(queue):
            if upstream.admission.may_leave_queue(waiting.picked):
                self.leave_queue(waiting, upstream)
                waiting.dispatch()
                if waiting.span is not None:
                    waiting.span.waited(upstream.name, self.now())

    async def aclose(self) -> None:
        """Close idle connections, and give up those that are being made."""
        for call in list(self.calls):
            call.expire(float("inf"))
        for pool in list(self.pools):
            await pool.aclose()
            await pool.cancel_connecting()
        self.pools.clear()
