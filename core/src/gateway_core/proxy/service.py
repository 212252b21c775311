"""The proxy of one process: what all its connections share, and how they end."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from random import Random
from secrets import token_hex
from typing import TYPE_CHECKING, Final, Protocol

from gateway_core.clock import Clock
from gateway_core.descriptors import default_max_connections
from gateway_core.metrics import Metrics
from gateway_core.proxy.date_field import DateField
from gateway_core.proxy.downstream.accepted import AcceptedConnection
from gateway_core.proxy.downstream.half_closed import HalfClosed
from gateway_core.proxy.downstream.idle_heads import IdleHeads
from gateway_core.proxy.downstream.minimum_rate import MinimumRate
from gateway_core.proxy.downstream.turns import Turns
from gateway_core.proxy.gateway_responses import own_answer
from gateway_core.proxy.lane import plain_ip
from gateway_core.proxy.mirror import MirrorTry
from gateway_core.proxy.plain_answer import plain_answer
from gateway_core.proxy.server import GatewayServer
from gateway_core.proxy.socket_options import abort_later, abort_unless_closed, say_end
from gateway_core.proxy.sweeper import Expiring, Sweeper
from gateway_core.proxy.telemetry import Telemetry
from gateway_core.proxy.tunnel import Tunnel
from gateway_core.proxy.upstream.pool import Pool
from gateway_core.upstreams.transport import TlsSettings, make_tls_context

if TYPE_CHECKING:
    from gateway_core.config import LimitsConfig
    from gateway_core.proxy.exchange import Exchange
    from gateway_core.proxy.lane import HeadMemo, Peer
    from gateway_core.proxy.sending import Sending
    from gateway_core.snapshot import SnapshotHolder
    from gateway_core.snapshot.route import Mirror
    from gateway_core.upstreams.admission import Load
    from gateway_core.upstreams.endpoint import Endpoint
    from gateway_core.upstreams.upstream import Upstream

_DRAIN_POLL: Final = 0.05
LAST_CALL: Final = 1.0
"""Seconds that a connection without a request is kept when the gateway drains, if there are ten times as many in all.

A client that is about to send its next request is told with the answer that it was the last one. If its connection were
closed at once, the request would meet a reset.
"""

TURN_AWAY: Final = 1.0
"""Seconds that a connection over the limit has to read why."""

MOST_TURNED_AWAY: Final = 16
"""Connections over the limit that have that time at once: they hold descriptors, which the limit is to bound."""


class Connection(Protocol):
    """A client's connection, in whichever lane."""

    peer: Peer
    memo: HeadMemo | None
    deadline: float
    accepted: AcceptedConnection | None
    """What its acceptor knows of it; None if the event loop accepted it."""

    @property
    def exchange(self) -> Exchange | None: ...
    @property
    def transport(self) -> asyncio.Transport | None: ...
    def expire(self, now: float) -> None: ...
    def close_if_idle(self) -> None: ...
    def forget_head(self) -> None: ...
    def abort(self) -> None: ...


class Proxy:
    """Serves connections from the current snapshot."""

    def __init__(self, holder: SnapshotHolder, *, clock: Clock, metrics: Metrics) -> None:
        self.holder = holder
        holder.on_swap = self._forget_heads
        self.loop = asyncio.get_running_loop()
        self.now = clock.monotonic
        self.wall = clock.wall
        self.date = DateField(clock.wall)
        self.log = logging.getLogger("gateway.proxy")
        self.rng = Random()  # noqa: S311 - spreads load, keeps no secret
        self.telemetry = Telemetry(metrics)
        self.lanes: set[Connection] = set()
        self.exchanges: set[Exchange] = set()
        self.half_closed: set[HalfClosed] = set()
        self.beginnings: set[Expiring] = set()
        """Connections that were accepted and have not got as far as a lane."""
        self.keeps_alive = True
        """False while draining: every answer is the last of its connection."""
        self._tunnels: set[Tunnel] = set()
        self._pools: set[Pool] = set()
        self._per_client: Counter[str] = Counter()
        self._reserved = 0
        self._default_max_connections = default_max_connections()
        self._turned_away: deque[asyncio.Transport] = deque()
        self._queues: dict[Load, deque[Sending]] = {}
        self._contexts: dict[TlsSettings, ssl.SSLContext] = {}
        self._id_prefix = token_hex(10)
        self._ids = count(1 << 44)  # from here on every number has twelve hexadecimal digits
        self.turns = Turns(self.loop, self.now)
        self._sweeper = Sweeper(self.loop, self.now)
        self._sweeper.watch(self.exchanges)
        self._sweeper.watch(self.lanes, every=5)
        self._sweeper.watch(self.half_closed)
        self._sweeper.watch(self.beginnings)
        self._sweeper.watch([IdleHeads(self.lanes, lambda: self.limits.idle_wait)], every=5)
        self._sweeper.watch([MinimumRate(self.exchanges, self.lanes, lambda: self.limits.min_rate)], every=5)
        self._sweeper.watch(self._tunnels, every=10)
        self._sweeper.watch(self._pools, every=10)

    # -- for the server

    def server_for(self, address: str) -> GatewayServer:
        """Return the server for the listeners at an address, to be run by aiohttp's runners."""
        return GatewayServer(self, address)

    @property
    def in_flight(self) -> int:
        """Requests and tunnels under way."""
        return len(self.exchanges)

    @property
    def connections(self) -> int:
        """Connections of clients, also those whose TLS is still to begin."""
        return len(self.lanes) + len(self._tunnels) + self._reserved

    async def drain(self, deadline: float) -> None:
        """Let requests finish: each connection is closed after its answer, and idle ones after a moment.

        :param deadline: seconds after which the rest is cut off.
        """
        self.keeps_alive = False
        end = self.loop.time() + deadline
        # What has reached our sockets already is a request, not an idle connection: let it be read first.
        for _ in range(2):
            await asyncio.sleep(0)
        last_call = self.loop.time() + min(LAST_CALL, deadline / 10)
        await self._until(lambda: not self.lanes and not self.beginnings, last_call)
        for lane in list(self.lanes):
            lane.close_if_idle()
        is_over = False
        while not is_over:
            await self._until(lambda: not self.exchanges, end)
            # Answers that are written but not sent yet, and requests that are still to be read, get a moment.
            await self._until(lambda: bool(self.exchanges) or not self.lanes, min(end, self.loop.time() + 1))
            is_over = not self.exchanges or self.loop.time() >= end
        for tunnel in list(self._tunnels):
            tunnel.close()
        for lane in list(self.lanes):
            lane.abort()

    async def _until(self, condition: Callable[[], bool], end: float) -> None:
        while not condition() and self.loop.time() < end:  # noqa: ASYNC110 - an event would cost every request
            await asyncio.sleep(_DRAIN_POLL)

    async def aclose(self) -> None:
        """Close what is left: connections of clients and of upstreams."""
        self._sweeper.stop()
        for tunnel in list(self._tunnels):
            tunnel.close()
        for lane in list(self.lanes):
            lane.abort()
        for pool in list(self._pools):
            await pool.aclose()
            await pool.cancel_connecting()
        self._pools.clear()

    def _forget_heads(self) -> None:
        for lane in self.lanes:
            lane.forget_head()

    # -- for lanes

    @property
    def limits(self) -> LimitsConfig:
        """The limits in force."""
        return self.holder.current.limits

    def refusal(
        self, status: int, *, allow: tuple[str, ...] = (), retry_after: float | None = None, is_head: bool = False
    ) -> bytes:
        """Return a whole answer that closes its connection, for what never got as far as the pipeline."""
        response = own_answer(status, allow=allow, retry_after=retry_after)
        return plain_answer(response, self.next_id(), self.date.block(), is_head=is_head)

    def next_id(self) -> str:
        """Return a new request id: 32 hexadecimal digits, unique without asking anybody."""
        return "%s%x" % (self._id_prefix, next(self._ids))  # noqa: UP031 - half the time of an f-string

    def admit(self, lane: Connection) -> bool:
        """Count a new connection; False if there are too many."""
        accepted = lane.accepted
        if accepted is not None and accepted.is_counted:
            self.cancel(accepted)
        elif self._is_one_too_many(lane.peer.ip, is_unix=lane.peer.is_unix):
            return False
        self._per_client[lane.peer.ip] += 1
        self.lanes.add(lane)
        return True

    @property
    def max_connections(self) -> int:
        """Connections of clients at most; 0 if there is no limit."""
        most = self.limits.max_connections
        return self._default_max_connections if most is None else most

    def _is_one_too_many(self, ip: str, *, is_unix: bool) -> bool:
        most = self.max_connections
        return bool(most and self.connections >= most) or self._has_too_many(ip, is_unix=is_unix)

    def _has_too_many(self, ip: str, *, is_unix: bool) -> bool:
        most = self.limits.max_connections_per_client
        # Peers on a unix socket have no address that tells one from the other: they are not one client.
        return bool(most) and not is_unix and self._per_client[ip] >= most

    def reserve(self, accepted: AcceptedConnection) -> bool:
        """Count a connection that no protocol has yet; False if there are too many."""
        if self._is_one_too_many(accepted.ip, is_unix=accepted.is_anonymous):
            return False
        self._per_client[accepted.ip] += 1
        self._reserved += 1
        accepted.is_counted = True
        return True

    def identify(self, accepted: AcceptedConnection, ip: str | None) -> bool:
        """Count a connection for the client that a header of the PROXY protocol names; False if that has too many.

        :param ip: None if it has no address.
        """
        self._dismiss_client(accepted.ip)
        accepted.ip, accepted.is_anonymous = plain_ip(ip or ""), ip is None
        may_stay = not self._has_too_many(accepted.ip, is_unix=accepted.is_anonymous)
        self._per_client[accepted.ip] += 1
        return may_stay

    def cancel(self, accepted: AcceptedConnection) -> None:
        """Count a connection to be gone, or to be its protocol's from now on."""
        if accepted.is_counted:
            accepted.is_counted = False
            self._reserved -= 1
            self._dismiss_client(accepted.ip)

    def turn_away(self, transport: asyncio.Transport) -> None:
        """Answer a connection that is one too many with 503, and close it."""
        transport.set_protocol(asyncio.Protocol())
        transport.write(self.refusal(503, retry_after=1))
        # Closed at once, what the client is about to send would be answered by a reset, which may overtake the 503.
        if not say_end(transport):
            transport.close()
            return
        self._turned_away.append(transport)
        abort_later(transport, TURN_AWAY)
        if len(self._turned_away) > MOST_TURNED_AWAY:
            abort_unless_closed(self._turned_away.popleft())

    def dismiss(self, lane: Connection) -> None:
        """Count a connection to be gone."""
        if lane in self.lanes:
            self.lanes.discard(lane)
            self._dismiss_client(lane.peer.ip)
            lane.peer.close_bound()

    def _dismiss_client(self, ip: str) -> None:
        if self._per_client[ip] <= 1:
            del self._per_client[ip]
        else:
            self._per_client[ip] -= 1

    def open_tunnel(self, client: asyncio.Transport, upstream: asyncio.Transport, exchange: Exchange) -> Tunnel:
        """Join two connections until either closes; the exchange is over then."""
        peer_ip = exchange.lane.peer.ip

        def closed(tunnel: Tunnel, received: int, sent: int) -> None:
            self._tunnels.discard(tunnel)
            self._dismiss_client(peer_ip)
            exchange.lane.peer.close_bound()
            exchange.tunnel_closed(received, sent)

        idle_timeout = exchange.tunnel_idle_timeout
        tunnel = Tunnel(client, upstream, idle_timeout=idle_timeout, now=self.now, on_closed=closed)
        self._tunnels.add(tunnel)
        return tunnel

    # -- for exchanges

    @property
    def is_full(self) -> bool:
        """Whether more requests are under way than may be."""
        most = self.limits.max_requests
        return bool(most) and len(self.exchanges) > most

    def make_pool(self, endpoint: Endpoint, upstream: Upstream) -> Pool:
        """Return a new pool for an endpoint that has none yet."""
        settings = upstream.transport
        context, problem = None, ""
        if endpoint.scheme == "https":
            try:
                context = self._context_for(settings.tls)
            except (OSError, ssl.SSLError) as error:
                problem = f"its TLS files cannot be used: {error}"
        pool = Pool(
            self.loop,
            endpoint.host,
            endpoint.port,
            settings,
            path=endpoint.path,
            context=context,
            problem=problem,
            resolver=upstream.resolver,
            max_head_bytes=self.limits.max_head_bytes,
            sweeper=self._sweeper,
            on_closed=self._pools.discard,
        )
        if problem:
            return pool
        endpoint.pool = pool
        if endpoint.closed:
            # A request outlived the endpoint that it goes to: nothing is kept behind it.
            pool.closed = True
        else:
            self._pools.add(pool)
        return pool

    def _context_for(self, tls: TlsSettings) -> ssl.SSLContext:
        context = self._contexts.get(tls)
        if context is None:
            context = make_tls_context(tls)
            # Of files that were replaced, nobody wants the old content again.
            older = [known for known in self._contexts if replace(known, digest=tls.digest) == tls]
            for known in older:
                del self._contexts[known]
            self._contexts[tls] = context
        return context

    def queue_up(self, sending: Sending, upstream: Upstream, endpoint: Endpoint) -> None:
        """Have a request wait until its endpoint has a free connection."""
        upstream.admission.enter_queue(endpoint)
        self._queues.setdefault(upstream.admission.load, deque()).append(sending)

    def leave_queue(self, sending: Sending) -> None:
        """Take a request out of its queue."""
        upstream, endpoint = sending.upstream, sending.endpoint
        if upstream is None or endpoint is None:
            return
        queue = self._queues.get(upstream.admission.load)
        if queue is not None and sending in queue:
            queue.remove(sending)
            upstream.admission.leave_queue(endpoint)
            if not queue:
                del self._queues[upstream.admission.load]

    def serve_queue(self, upstream: Upstream) -> None:
        """Send the requests that waited and may go now, first come first served."""
        queue = self._queues.get(upstream.admission.load)
        if not queue:
            return
        for waiting in list(queue):
            endpoint = waiting.endpoint
            if endpoint is not None and upstream.admission.may_leave_queue(endpoint):
                self.leave_queue(waiting)
                waiting.dispatch()

    def mirror(self, exchange: Exchange, mirror: Mirror) -> None:
        """Send a copy of a request to a mirror, whose response is dropped."""
        if self.rng.random() * 100 < mirror.percent:
            try:
                MirrorTry(exchange, mirror).start(exchange)
            except Exception:  # the request itself goes on whatever becomes of its copy
                self.log.exception("a copy for a mirror failed")
