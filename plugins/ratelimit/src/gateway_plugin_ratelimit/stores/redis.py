"""Counters on a Redis or Valkey server, shared by all gateways that use it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from gateway_plugin_sdk import Clock, Metrics, Tasks

from gateway_plugin_ratelimit.algorithms import Concurrency, Rule
from gateway_plugin_ratelimit.config.redis import RedisConfig
from gateway_plugin_ratelimit.reservation import Reservation
from gateway_plugin_ratelimit.stores.batches import Batcher
from gateway_plugin_ratelimit.stores.client import RedisClient, import_library
from gateway_plugin_ratelimit.stores.leases import Leases
from gateway_plugin_ratelimit.stores.local import LocalStore
from gateway_plugin_ratelimit.stores.nodes import NEVER, Node
from gateway_plugin_ratelimit.stores.scripts import Call, admission, counter_key, debit, read_reply

__all__ = ["RedisStore", "import_library"]

_RENEWALS_A_LEASE = 3
_GIVEN_BACK_AT_ONCE = 256


class RedisStore:
    """Asks the server, and decides by ``when_unavailable`` without it."""

    def __init__(
        self, config: RedisConfig, fallback: LocalStore, clock: Clock, metrics: Metrics, log: logging.Logger
    ) -> None:
        """Prepare; `start` connects.

        :param fallback: counts on this machine while the server is away, if that is what the configuration wants.
        :raises RedisMissingError: the redis package is not installed.
        """
        self._config = config
        self._fallback = fallback
        self._now: Callable[[], float] = clock.monotonic
        self._log = log
        self._client = RedisClient(config, on_restart=self._restarted)
        self._restarted_at = NEVER
        self._nodes: dict[str, Node] = {}
        self._leases = Leases(config.lease)
        self._is_giving_back = False
        # What the server let through is noted here too, so that its end is not the beginning of new quotas, nor its
        # return if it comes back with nothing.
        self._is_mirrored = config.when_unavailable == "local"
        self._tasks = Tasks()
        self._failures = metrics.counter(
            "gateway_ratelimit_store_failures", "Calls of the rate limit store that failed."
        )
        self._without = metrics.counter(
            "gateway_ratelimit_decided_without_store", "Requests that were decided while the rate limit store was away."
        )

    async def start(self) -> None:
        """Connect. A server that is away does not keep the gateway from starting."""
        await self._node("").probe()
        self._tasks.supervise(self._renew_forever, name="ratelimit: renew leases")

    @property
    def is_up(self) -> bool:
        """Whether all requests are decided by the server at the moment."""
        return all(node.is_up for node in self._nodes.values())

    def _restarted(self) -> None:
        self._restarted_at = self._now()

    def _node(self, name: str) -> Node:
        node = self._nodes.get(name)
        if node is None:
            config = self._config
            batcher = Batcher(
                self._client, timeout=config.timeout, at_once=config.max_connections, on_orphan=self._give_back_orphan
            )
            node = self._nodes[name] = Node(name, self._client, batcher, self._now, self._log, config.connect_timeout)
        return node

    def admit(self, reservation: Reservation) -> Awaitable[None] | None:
        """Charge a request to all of its limits or to none, and note the outcome in its reservation."""
        keys = self._keys(reservation)
        node = self._node(self._client.node_of(keys[0]))
        if not node.is_up:
            self._decide_without(reservation, node)
            return None
        call = admission(
            keys,
            reservation.rules,
            reservation.costs,
            member=self._leases.new_member(),
            lease=self._config.lease,
            known=self._known(reservation, node),
        )
        return self._finish(reservation, call, node)

    def _known(self, reservation: Reservation, node: Node) -> Sequence[int]:
        """Return what is known here of a request's counters, while the server may have lost what it knew."""
        if not self._is_mirrored:
            return ()
        longest = max(rule.window for rule in reservation.rules)
        if self._now() > max(node.found_at, self._restarted_at) + 2 * longest:
            return ()
        return self._fallback.used(reservation)

    def _keys(self, reservation: Reservation) -> list[str]:
        prefix = self._config.prefix
        return [
            counter_key(prefix, counter, limit.tag)
            for counter, limit in zip(reservation.counters, reservation.limits, strict=True)
        ]

    async def _finish(self, reservation: Reservation, call: Call, node: Node) -> None:
        try:
            reply = await node.ask(call)
        except Exception:  # noqa: BLE001 - a limit that cannot be checked is never the client's problem
            self._failures.inc()
            self._decide_without(reservation, node)
            return
        reservation.decisions = read_reply(reply)
        if self._is_mirrored and reservation.is_allowed:
            self._fallback.debit(reservation, reservation.costs)
        if call.places and reservation.is_allowed:
            give_back = self._leases.hold(call.member, call.places)
            reservation.release = lambda: self._give_back(give_back)

    def _decide_without(self, reservation: Reservation, node: Node) -> None:
        self._without.inc()
        match self._config.when_unavailable:
            case "local":
                self._fallback.admit(reservation)
            case "closed":
                reservation.unavailable = node.availability.wait(self._now())

    def acquire_slot(self) -> None:
        """Get ready to count requests in progress without the server."""
        if self._is_mirrored:
            self._fallback.acquire_slot()

    def compiled(self, rule: Rule, cost: int) -> None:
        """There is no quicker way than to ask the server."""

    def debit(self, reservation: Reservation, extra: Sequence[int]) -> None:
        """Take units that a request turned out to cost beyond what it was charged, by limit."""
        picked = [
            index
            for index, more in enumerate(extra)
            if more > 0 and not isinstance(reservation.rules[index], Concurrency)
        ]
        if self._is_mirrored:
            self._fallback.debit(reservation, extra)
        keys = self._keys(reservation)
        call = debit([keys[i] for i in picked], [reservation.rules[i] for i in picked], [extra[i] for i in picked])
        self._tell(call)

    def _tell(self, call: Call) -> None:
        """Send a call whose reply says nothing."""
        node = self._node(self._client.node_of(call.keys[0]))
        if node.is_up:
            self._tasks.spawn(self._told(node, call), name="ratelimit: tell redis")

    async def _told(self, node: Node, call: Call) -> None:
        try:
            await node.ask(call)
        except Exception:  # noqa: BLE001 - the node has taken note of it
            self._failures.inc()

    def _give_back(self, give_back: Callable[[], None]) -> None:
        give_back()
        if not self._is_giving_back:
            self._is_giving_back = True
            self._tasks.spawn(self._give_all_back(), name="ratelimit: give places back")

    def _give_back_orphan(self, call: Call, reply: Any) -> None:
        """Give back the places of a request that was let through when its client had left."""
        if call.places and all(reply[0::4]):
            self._give_back(lambda: self._leases.give_back(call.member, call.places))

    async def _give_all_back(self) -> None:
        """Give back what was returned; what cannot be is forgotten by the server when its lease ends."""
        try:
            while self._leases.returned and self.is_up:
                part = self._leases.returned[:_GIVEN_BACK_AT_ONCE]
                del self._leases.returned[:_GIVEN_BACK_AT_ONCE]
                await self._client.forget(part)
        except Exception as error:  # noqa: BLE001 - the lease ends by itself
            self._failures.inc()
            self._node("").failed(error)
        finally:
            if not self.is_up:
                self._leases.returned.clear()
            self._is_giving_back = False

    async def _renew_forever(self) -> None:
        while True:
            await asyncio.sleep(self._config.lease / _RENEWALS_A_LEASE)
            for call in self._leases.renewals():
                self._tell(call)

    async def aclose(self) -> None:
        """Give back what is held and close the connections."""
        for node in self._nodes.values():
            await node.aclose()
        await self._tasks.aclose()
        await self._client.aclose()
