"""The proxy of one process: what all its connections and exchanges share, and how they end.

`Proxy` owns the listeners' servers' connections (`Connections`), their turns, the upstream side (`UpstreamDirectory`),
and the sweeper that sees to every deadline. Connections own their exchanges; the sets here are for deadlines, limits
and draining only.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from random import Random
from typing import Final

from gateway_core.clock import Clock
from gateway_core.config import LimitsConfig
from gateway_core.hooks import Hook, name_hook_tasks
from gateway_core.messages.request_ids import id_of, new_id_lines
from gateway_core.metrics import Metrics
from gateway_core.proxy.downstream.connections import Connections, Turns
from gateway_core.proxy.downstream.shutdown import Shutdown
from gateway_core.proxy.downstream.sweeps import IdleHeads, MinimumRate
from gateway_core.proxy.exchange import Exchange
from gateway_core.proxy.fetches import Fetches
from gateway_core.proxy.gateway_responses import closing_response, gateway_response
from gateway_core.proxy.http2.waiting import WaitingBytes
from gateway_core.proxy.limit_events import LimitEvents
from gateway_core.proxy.response_fields import DateField
from gateway_core.proxy.running_exchange import RequestOwner
from gateway_core.proxy.server import GatewayServer
from gateway_core.proxy.sweeper import Expiring, Sweeper
from gateway_core.proxy.tail import Tail
from gateway_core.proxy.telemetry import Telemetry
from gateway_core.proxy.tunnel import Tunnel
from gateway_core.proxy.upstream.directory import UpstreamDirectory
from gateway_core.proxy.wire.grpc import is_call
from gateway_core.reasons import LIMIT_CONNECTIONS, SHUTTING_DOWN
from gateway_core.snapshot import Snapshot, SnapshotHolder

_DRAIN_POLL: Final = 0.05
LAST_WORD: Final = 0.5
"""Seconds for clients to read how their calls of gRPC and their WebSockets end, and to close their connections."""
LAST_CALL: Final = 1.0
"""Seconds that a connection without a request is kept when the gateway drains, if there are ten times as many in all.

A client that is about to send its next request learns with the response that it was the last one. If its connection
were closed at once, the request would meet a reset.
"""


class Proxy:
    """Serves connections from the current snapshot."""

    def __init__(self, holder: SnapshotHolder, *, clock: Clock, metrics: Metrics) -> None:
        self.holder = holder
        holder.on_swap = self._snapshot_replaced
        self.loop = asyncio.get_running_loop()
        self.now = clock.monotonic
        name_hook_tasks(self.loop, self.now)
        self.wall = clock.wall
        self.date = DateField(clock.wall)
        self.log = logging.getLogger("gateway.proxy")
        self.rng = Random()  # noqa: S311 - spreads load, keeps no secret
        self.telemetry = Telemetry(metrics)
        self.limit_events = LimitEvents(self.now)
        """Has the log say which limits clients meet."""
        self.connections = Connections(lambda: self.limits, self._connection_refusal, self.limit_events)
        self.ending: set[Shutdown] = set()
        """Connections on their way to their end."""
        self.beginnings: set[Expiring] = set()
        """Connections that were accepted and whose protocol is not chosen yet."""
        self.exchanges: set[RequestOwner] = set()
        self.tunnels: set[Tunnel] = set()
        """Those of exchanges that have changed protocols."""
        self.keeps_alive = True
        """False while draining: every response is the last of its connection."""
        self.tail: Tail | None = None
        """Shows requests to those who watch them (`gateway_core.proxy.tail`)."""
        self.challenges: Hook | None = None
        """Responds to authorities that validate host names (`gateway_core.proxy.challenges`)."""
        self.turns = Turns(self.loop, self.now)
        self.next_id_line = new_id_lines()
        """Returns a new request id as the line that ends a head (:mod:`gateway_core.messages.request_ids`)."""
        self._sweeper = Sweeper(self.loop, self.now)
        self.http2_counts, self.http2_waiting = metrics.http2_clients, WaitingBytes()
        self.upstreams = UpstreamDirectory(
            self.loop, self.now, self.rng, self._sweeper, self._max_head_bytes, metrics.http2_upstreams
        )
        self.fetches = Fetches(self.upstreams, holder, self.next_id)
        """What plugins send by themselves."""
        open_connections = self.connections.open
        self._sweeper.watch(self.exchanges)
        self._sweeper.watch(open_connections, every=5)
        self._sweeper.watch(self.ending)
        self._sweeper.watch(self.beginnings)
        self._sweeper.watch([IdleHeads(open_connections, lambda: self.limits.idle_wait)], every=5)
        self._sweeper.watch([MinimumRate(open_connections, lambda: self.limits.min_rate)], every=5)
        self._sweeper.watch(self.tunnels, every=10)

    def next_id(self) -> str:
        """Return a new request id."""
        return id_of(self.next_id_line())

    def server_for(self, address: str) -> GatewayServer:
        """Return the server for the listeners at an address, to be run by aiohttp's runners."""
        return GatewayServer(self, address)

    @property
    def in_flight(self) -> int:
        """Requests and tunnels in progress."""
        return len(self.exchanges)

    @property
    def limits(self) -> LimitsConfig:
        """The limits in force."""
        return self.holder.current.limits

    def _max_head_bytes(self) -> int:
        # Plugins may send requests when they start, which is before the first configuration is in force.
        current: Snapshot | None = self.holder.current
        return (LimitsConfig() if current is None else current.limits).max_head_bytes

    def _connection_refusal(self) -> bytes:
        response = gateway_response(503, LIMIT_CONNECTIONS, retry_after=1)
        return closing_response(response, self.next_id(), self.date.block())

    async def drain(self, deadline: float) -> None:
        """Let requests finish: each connection is closed after its response, and idle ones after a moment.

        :param deadline: seconds after which the rest is cut off.
        """
        self.keeps_alive = False
        end, connections = self.loop.time() + deadline, self.connections
        # What has reached our sockets already is a request, not an idle connection: let it be read first.
        for _ in range(2):
            await asyncio.sleep(0)
        last_call = self.loop.time() + min(LAST_CALL, deadline / 10)
        await self._until(lambda: not connections.open and not self.beginnings, last_call)
        connections.close_idle()
        is_over = False
        while not is_over:
            await self._until(lambda: not self.exchanges, end)
            # Responses that are written but not sent yet, and requests that are still to be read, get a moment.
            moment = min(end, self.loop.time() + 1)
            await self._until(lambda: bool(self.exchanges) or not connections.open, moment)
            is_over = not self.exchanges or self.loop.time() >= end
        calls = [each for each in self.exchanges if isinstance(each, Exchange) and is_call(each.head)]
        for call in calls:
            call.respond_or_cut(503, SHUTTING_DOWN, "the gateway waits no longer")
        tunnels = list(self.tunnels)
        for tunnel in tunnels:
            tunnel.go_away()
        if calls or tunnels:  # a connection that is closed at once takes with it what is on its way
            await self._until(lambda: not connections.open, self.loop.time() + LAST_WORD)
        self._close_clients()

    async def _until(self, condition: Callable[[], bool], end: float) -> None:
        while not condition() and self.loop.time() < end:  # noqa: ASYNC110 - an event would cost every request
            await asyncio.sleep(_DRAIN_POLL)

    async def aclose(self) -> None:
        """Close what is left: connections of clients and of upstreams."""
        self._sweeper.stop()
        self._close_clients()
        await self.upstreams.aclose()

    def _close_clients(self) -> None:
        for tunnel in list(self.tunnels):
            tunnel.go_away()
        self.connections.abort()

    def _snapshot_replaced(self) -> None:
        self.connections.forget_heads()
        for exchange in list(self.exchanges):
            exchange.snapshot_replaced()
        self.upstreams.snapshot_replaced()
