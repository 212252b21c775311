from __future__ import annotations

import pytest
from gateway_core.metrics import MetricError, Metrics
from prometheus_client import CollectorRegistry, Counter


def test_a_metric_that_exists_is_returned() -> None:
    metrics = Metrics()

    first = metrics.counter("hits", "Hits.", ["route"])

    assert metrics.counter("hits", "Hits.", ["route"]) is first
    assert metrics.gauge("open", "Open.") is metrics.gauge("open", "Open.")
    assert metrics.histogram("took", "Took.") is metrics.histogram("took", "Took.")


def test_a_name_has_one_type_and_one_set_of_labels() -> None:
    metrics = Metrics()
    metrics.counter("hits", "Hits.", ["route"])

    with pytest.raises(MetricError, match=r"'hits' exists already as a Counter with labels \('route',\)"):
        metrics.gauge("hits", "Hits.", ["route"])
    with pytest.raises(MetricError, match="'hits'"):
        metrics.counter("hits", "Hits.", ["status"])


def test_two_gateways_in_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()

    first.counter("hits", "Hits.").inc()

    assert b"hits_total 1.0" in first.exposition()
    assert b"hits" not in second.exposition()


def test_a_registry_that_is_given_is_used() -> None:
    registry = CollectorRegistry()
    Counter("elsewhere", "Made by another library.", registry=registry).inc(2)

    assert b"elsewhere_total 2.0" in Metrics(registry).exposition()


def test_durations_have_the_buckets_of_opentelemetry_unless_others_are_given() -> None:
    metrics = Metrics()
    metrics.histogram("took", "Took.").observe(0.03)
    metrics.histogram("sized", "Sized.", buckets=(1, 10)).observe(5)

    text = metrics.exposition().decode()

    assert 'took_bucket{le="0.025"} 0.0' in text
    assert 'took_bucket{le="0.05"} 1.0' in text
    assert 'sized_bucket{le="10.0"} 1.0' in text
