from __future__ import annotations

import pytest
from gateway_core.metrics import MetricError, Metrics
from gateway_core.metrics.local import LocalCounter


def test_numbers_begin_at_0_and_go_on_by_their_labels() -> None:
    counter = LocalCounter("hits", "Hits.", ["route"])
    counter.labels("a")
    counter.labels("b").inc()
    counter.labels("b").inc(2)

    assert counter.rows() == [(("a",), 0), (("b",), 3)]


def test_a_counter_without_labels_has_one_number() -> None:
    counter = LocalCounter("hits", "Hits.")
    counter.labels().inc()

    assert counter.rows() == [((), 1)]


def test_it_has_a_name_and_labels_that_prometheus_takes() -> None:
    with pytest.raises(ValueError, match="'a-b' is not the name of a metric"):
        LocalCounter("a-b", "Hits.")
    with pytest.raises(ValueError, match="'__a' is not the name of a label"):
        LocalCounter("a", "Hits.", ["__a"])
    with pytest.raises(ValueError, match="'hits' has the labels"):
        LocalCounter("hits", "Hits.", ["route"]).labels()


def test_its_name_is_for_no_other_metric() -> None:
    metrics = Metrics()
    metrics.local_counter("hits", "Hits.", ["route"])

    with pytest.raises(MetricError, match="'gateway_requests_total' is one of the gateway's own"):
        metrics.local_counter("gateway_requests_total", "Mine.")
    with pytest.raises(MetricError, match="'hits_total' exists already as a LocalCounter"):
        metrics.counter("hits_total", "Hits.", ["route"])
