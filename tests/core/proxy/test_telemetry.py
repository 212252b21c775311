from __future__ import annotations

import pytest
from gateway_core.messages import RouteInfo
from gateway_core.metrics import DURATION_BUCKETS, Metrics
from gateway_core.proxy.telemetry import Telemetry
from hypothesis import given
from hypothesis import strategies as st


def test_requests_are_counted_by_route_and_status() -> None:
    metrics = Metrics()
    telemetry = Telemetry(metrics)

    for status in (200, 200, 503):
        telemetry.count(RouteInfo("users"), status, 0.01)
    telemetry.count(None, 404, 0.001)

    text = metrics.exposition().decode()
    assert 'gateway_requests_total{route="users",status="200"} 2.0' in text
    assert 'gateway_requests_total{route="users",status="503"} 1.0' in text
    assert 'gateway_requests_total{route="",status="404"} 1.0' in text


@given(st.lists(st.floats(0, 100), min_size=1, max_size=50))
def test_durations_fall_into_the_buckets_that_they_are_no_longer_than(durations: list[float]) -> None:
    metrics = Metrics()
    telemetry = Telemetry(metrics)

    for seconds in durations:
        telemetry.count(RouteInfo("r"), 200, seconds)

    read = metrics.registry.get_sample_value
    name = "gateway_request_duration_seconds"
    for bound in DURATION_BUCKETS:
        expected = sum(seconds <= bound for seconds in durations)
        assert read(f"{name}_bucket", {"route": "r", "le": str(bound)}) == expected
    assert read(f"{name}_bucket", {"route": "r", "le": "+Inf"}) == len(durations)
    assert read(f"{name}_count", {"route": "r"}) == len(durations)
    assert read(f"{name}_sum", {"route": "r"}) == pytest.approx(sum(durations))
