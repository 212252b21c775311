"""Counts requests: a dictionary and a list on the request path, Prometheus metrics when they are scraped."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from gateway_core.messages import RouteInfo
from gateway_core.metrics import DURATION_BUCKETS, Metrics

_NO_ROUTE = ""


class _Meter:
    """The counts of one route."""

    __slots__ = ("durations", "requests", "seconds")

    def __init__(self) -> None:
        self.requests: dict[int, int] = {}
        """By status."""
        self.durations = [0] * (len(DURATION_BUCKETS) + 1)
        """In each bucket; the last one is for all that took longer."""
        self.seconds = 0.0


class Telemetry(Collector):
    """Requests by route and status, and how long they took by route."""

    def __init__(self, metrics: Metrics) -> None:
        self._meters: dict[str, _Meter] = {}
        metrics.registry.register(self)

    def count(self, route: RouteInfo | None, status: int, seconds: float) -> None:
        """Count a request that is over."""
        name = route.id if route is not None else _NO_ROUTE
        meter = self._meters.get(name)
        if meter is None:
            meter = self._meters[name] = _Meter()
        requests = meter.requests
        requests[status] = requests.get(status, 0) + 1
        meter.durations[bisect_left(DURATION_BUCKETS, seconds)] += 1
        meter.seconds += seconds

    def collect(self) -> Iterator[CounterMetricFamily | HistogramMetricFamily]:
        """Return the counts as metric families."""
        requests = CounterMetricFamily("gateway_requests", "Requests that are over.", labels=["route", "status"])
        for route, meter in list(self._meters.items()):
            for status, count in list(meter.requests.items()):
                requests.add_metric([route, str(status)], count)
        yield requests
        durations = HistogramMetricFamily(
            "gateway_request_duration_seconds", "From the request head to the last byte.", labels=["route"]
        )
        for route, meter in list(self._meters.items()):
            total, cumulative = 0.0, []
            for bound, number in zip([*map(str, DURATION_BUCKETS), "+Inf"], meter.durations, strict=True):
                total += number
                cumulative.append((bound, total))
            durations.add_metric([route], cumulative, sum_value=meter.seconds)
        yield durations
