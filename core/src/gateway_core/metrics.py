"""Metrics that plugins and the core count with, over prometheus-client.

Making a metric that exists returns it, so an instance can make its metrics in its constructor or in ``start`` without
asking whether an earlier instance did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

MetricT = TypeVar("MetricT", Counter, Gauge, Histogram)

DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Seconds; the buckets that OpenTelemetry's HTTP conventions recommend."""


class MetricError(ValueError):
    """A metric was asked for again with another type or other labels."""


class Metrics:
    """Makes metrics in one registry."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self._made: dict[str, tuple[type[object], tuple[str, ...], object]] = {}

    def counter(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Counter:
        """Return the counter of that name; bind labels once with ``.labels(...)``, not per request."""
        return self._metric(
            Counter, name, labels, lambda: Counter(name, help_text, tuple(labels), registry=self.registry)
        )

    def gauge(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Gauge:
        """Return the gauge of that name."""
        return self._metric(Gauge, name, labels, lambda: Gauge(name, help_text, tuple(labels), registry=self.registry))

    def histogram(
        self, name: str, help_text: str, labels: Sequence[str] = (), buckets: Sequence[float] = DURATION_BUCKETS
    ) -> Histogram:
        """Return the histogram of that name."""
        return self._metric(
            Histogram,
            name,
            labels,
            lambda: Histogram(name, help_text, tuple(labels), registry=self.registry, buckets=tuple(buckets)),
        )

    def _metric(self, kind: type[MetricT], name: str, labels: Sequence[str], make: Callable[[], MetricT]) -> MetricT:
        made = self._made.get(name)
        if made is None:
            metric = make()
            self._made[name] = (kind, tuple(labels), metric)
            return metric
        if made[:2] != (kind, tuple(labels)):
            raise MetricError(f"metric {name!r} exists already as a {made[0].__name__} with labels {made[1]}")
        return cast("MetricT", made[2])

    def exposition(self) -> bytes:
        """Return every metric in the text format of Prometheus."""
        return generate_latest(self.registry)
