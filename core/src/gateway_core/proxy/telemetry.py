"""Counts requests: a dictionary and a list on the request path, Prometheus metrics when somebody asks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from gateway_core.messages import RouteInfo
from gateway_core.metrics import DURATION_BUCKETS, Metrics

_NO_ROUTE = ""


class Telemetry(Collector):
    """Requests by route and status, and how long they took by route."""

    def __init__(self, metrics: Metrics) -> None:
        self._requests: dict[tuple[str, int], int] = {}
        self._durations: dict[str, list[float]] = {}
        metrics.registry.register(self)

    def count(self, route: RouteInfo | None, status: int, seconds: float) -> None:
        """Count a request that is over."""
        name = route.id if route is not None else _NO_ROUTE
        key = (name, status)
        requests = self._requests
        requests[key] = requests.get(key, 0) + 1
        durations = self._durations.get(name)
        if durations is None:
            durations = self._durations[name] = [0.0] * (len(DURATION_BUCKETS) + 2)
        durations[bisect_left(DURATION_BUCKETS, seconds)] += 1
        durations[-1] += seconds

    def collect(self) -> Iterator[CounterMetricFamily | HistogramMetricFamily]:
        """Return the counts as metric families."""
        requests = CounterMetricFamily("gateway_requests", "Requests answered.", labels=["route", "status"])
        for (route, status), count in list(self._requests.items()):
            requests.add_metric([route, str(status)], count)
        yield requests
        durations = HistogramMetricFamily(
            "gateway_request_duration_seconds", "From the request head to the last byte.", labels=["route"]
        )
        for route, buckets in list(self._durations.items()):
            total, cumulative = 0.0, []
            for bound, number in zip([*map(str, DURATION_BUCKETS), "+Inf"], buckets[:-1], strict=True):
                total += number
                cumulative.append((bound, total))
            durations.add_metric([route], cumulative, sum_value=buckets[-1])
        yield durations
