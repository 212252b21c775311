from __future__ import annotations

from gateway_core.clock import ManualClock
from gateway_core.metrics import Metrics
from gateway_core.upstreams.discovery.feed_metrics import FeedMetrics


def test_a_discovery_that_replaces_another_one_of_its_upstream_stays_shown() -> None:
    metrics = Metrics()
    feeds = FeedMetrics(metrics, ManualClock().wall)

    feeds.open("users")
    feeds.open("users")
    feeds.show("users", is_stale=False, endpoints=2)
    feeds.close("users")

    assert metrics.registry.get_sample_value("gateway_discovery_endpoints", {"upstream": "users"}) == 2
    feeds.close("users")
    assert metrics.registry.get_sample_value("gateway_discovery_endpoints", {"upstream": "users"}) is None


def test_failures_are_counted_by_upstream_from_0() -> None:
    metrics = Metrics()
    feeds = FeedMetrics(metrics, ManualClock().wall)
    for name in ("users", "orders"):
        feeds.open(name)

    feeds.count_failure("users")

    failures = "gateway_discovery_failures_total"
    assert metrics.registry.get_sample_value(failures, {"upstream": "users"}) == 1
    assert metrics.registry.get_sample_value(failures, {"upstream": "orders"}) == 0
