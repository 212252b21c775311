"""When routes were last used, over all workers: what the admin API shows as ``last_used``.

Nothing is noted on the path of a request. Every few seconds each process is asked which counters of routes have moved
since it was asked last; the program keeps the time of the question, so it is exact to `EVERY` seconds. A program that
starts, also by SIGUSR2, knows nothing of the time before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from gateway_core.clock import Clock
from gateway_core.metrics.catalogue import OTHER

if TYPE_CHECKING:
    from gateway_core.metrics.registry import Metrics

EVERY: Final = 5.0
"""Seconds."""
_MOST_KEPT: Final = 20_000
"""Routes whose time is kept; beyond it those are forgotten that were not used for longest."""


class RouteUse:
    """Which routes of a process were used since it was asked last."""

    def __init__(self, metrics: Metrics) -> None:
        """Begin with counters that are zero."""
        self._metrics = metrics
        self._totals: dict[str, int] = {}

    def moved(self) -> list[str]:
        """Return the ids of routes that had a request since the last call; those beyond ``metrics.max_routes`` have no
        counter of their own.
        """
        totals = {str(name): counts.total for name, counts in self._metrics.routes.items() if name != OTHER}
        before, self._totals = self._totals, totals
        return [name for name, total in totals.items() if total != before.get(name, 0)]


class LastUsed:
    """When each route was last used, as far as this program knows."""

    def __init__(self, ask: Callable[[], Awaitable[Sequence[str]]], clock: Clock) -> None:
        """Know of none.

        :param ask: returns the routes that were used since it was called last.
        """
        self._ask = ask
        self._clock = clock
        self._at: dict[str, float] = {}

    @property
    def at(self) -> Mapping[str, float]:
        """Seconds since the epoch, by the ids of routes."""
        return self._at

    async def follow(self) -> None:
        """Ask every few seconds, without an end."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY)

    async def look(self) -> None:
        """Ask once."""
        for route in await self._ask():
            self._at.pop(route, None)  # the latest stand last
            self._at[route] = self._clock.wall()
        for route in list(self._at)[: max(0, len(self._at) - _MOST_KEPT)]:
            del self._at[route]
