"""Metrics of discoveries: whether what they found is stale, how many endpoints that is, how often they failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from gateway_core.metrics import Metrics
from gateway_core.metrics.catalogue import (
    DISCOVERY_CONFIRMED,
    DISCOVERY_ENDPOINTS,
    DISCOVERY_FAILURES,
    DISCOVERY_STALE,
)
from gateway_core.metrics.samples import Samples


class FeedMetrics:
    """The metrics of all discoveries of a process, by upstream."""

    __slots__ = ("_confirmed", "_endpoints", "_metrics", "_open", "_stale", "_wall")

    def __init__(self, metrics: Metrics, wall: Callable[[], float]) -> None:
        """Show nothing yet.

        :param wall: the clock, in seconds since the Unix epoch.
        """
        self._metrics = metrics
        self._wall = wall
        self._open: Counter[str] = Counter()
        self._stale: dict[str, bool] = {}
        self._endpoints: dict[str, int] = {}
        self._confirmed: dict[str, float] = {}  # when those that are stale were confirmed last
        metrics.register(self._collect)

    def open(self, upstream: str) -> None:
        """Begin to show an upstream: nothing is known of it."""
        self._open[upstream] += 1
        if self._open[upstream] == 1:
            self._stale[upstream], self._endpoints[upstream], self._confirmed[upstream] = True, 0, 0.0
            self._metrics.count(DISCOVERY_FAILURES, upstream, by=0)

    def show(self, upstream: str, *, is_stale: bool, endpoints: int) -> None:
        """Have these values."""
        if is_stale and not self._stale[upstream]:
            self._confirmed[upstream] = self._wall()
        self._stale[upstream], self._endpoints[upstream] = is_stale, endpoints

    def count_failure(self, upstream: str) -> None:
        """Count a watch that has failed."""
        self._metrics.count(DISCOVERY_FAILURES, upstream)

    def close(self, upstream: str) -> None:
        """Show an upstream no longer, unless another discovery of it has taken over."""
        self._open[upstream] -= 1
        if not self._open[upstream]:
            for kept in (self._open, self._stale, self._endpoints, self._confirmed):
                del kept[upstream]

    def _collect(self, samples: Samples) -> None:
        # A watch that stands confirms the endpoints at every moment, however long ago they changed.
        now, stale = self._wall(), dict(self._stale)
        samples.put(DISCOVERY_STALE, [((name,), float(is_stale)) for name, is_stale in stale.items()])
        samples.put(DISCOVERY_ENDPOINTS, [((name,), number) for name, number in list(self._endpoints.items())])
        confirmed = dict(self._confirmed)
        samples.put(
            DISCOVERY_CONFIRMED,
            [((name,), confirmed.get(name, 0.0) if is_stale else now) for name, is_stale in stale.items()],
        )
