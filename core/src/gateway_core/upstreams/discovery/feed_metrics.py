"""Metrics of discoveries: whether what they found is stale, how many endpoints that is, how often they failed."""

from __future__ import annotations

from collections import Counter

from gateway_core.metrics import Metrics


class FeedMetrics:
    """The metrics of all discoveries of a process, by upstream."""

    __slots__ = ("_endpoints", "_failures", "_open", "_stale")

    def __init__(self, metrics: Metrics) -> None:
        labels = ("upstream",)
        self._stale = metrics.gauge(
            "gateway_discovery_stale", "Whether a discovery's registry does not confirm its endpoints.", labels
        )
        self._endpoints = metrics.gauge("gateway_discovery_endpoints", "Endpoints that a discovery finds.", labels)
        self._failures = metrics.counter(
            "gateway_discovery_failures_total", "Watches of registries that failed.", labels
        )
        self._open: Counter[str] = Counter()

    def open(self, upstream: str) -> None:
        """Begin to show an upstream: nothing is known of it."""
        self._open[upstream] += 1
        if self._open[upstream] == 1:
            self.show(upstream, is_stale=True, endpoints=0)
            self._failures.labels(upstream)

    def show(self, upstream: str, *, is_stale: bool, endpoints: int) -> None:
        """Have these values."""
        self._stale.labels(upstream).set(is_stale)
        self._endpoints.labels(upstream).set(endpoints)

    def count_failure(self, upstream: str) -> None:
        """Count a watch that has failed."""
        self._failures.labels(upstream).inc()

    def close(self, upstream: str) -> None:
        """Show an upstream no longer, unless another discovery of it has taken over."""
        self._open[upstream] -= 1
        if not self._open[upstream]:
            del self._open[upstream]
            self._stale.remove(upstream)
            self._endpoints.remove(upstream)
