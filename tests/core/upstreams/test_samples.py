from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from gateway_core.events import UPSTREAM_CONNECT_FAILED, UPSTREAM_CONNECT_TIMEOUT
from gateway_core.metrics import Metrics
from gateway_core.metrics.endpoint_fold import Named
from gateway_core.metrics.samples import Distribution, Samples
from gateway_core.upstreams import Upstream
from gateway_core.upstreams.outcome import FAILURE_REASONS, Outcome
from gateway_core.upstreams.samples import put_upstream_counts, put_upstream_states

MakeUpstream = Callable[..., Upstream]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def counted(metrics: Metrics, make_upstream: MakeUpstream) -> Callable[..., Upstream]:
    """Make upstreams whose endpoints are counted in `metrics`."""

    def make(**settings: Any) -> Upstream:
        upstream = make_upstream(("a", "b"), **settings)
        for endpoint in upstream.endpoints:
            endpoint.counts = metrics.endpoints.acquire(("u", endpoint.id))
        return upstream

    return make


def counts_of(metrics: Metrics) -> Samples:
    samples = Samples()
    put_upstream_counts(samples, metrics, metrics.named_endpoints())
    return samples


def states_of(upstream: Upstream, now: float = 0.0, named: Iterable[str] = ("a", "b")) -> Samples:
    samples = Samples()
    put_upstream_states(
        samples, [upstream], now, Named(frozenset((upstream.name, each) for each in named), frozenset({upstream.name}))
    )
    return samples


def test_responses_are_counted_by_status_with_the_time_to_their_head(
    metrics: Metrics, counted: Callable[..., Upstream]
) -> None:
    upstream = counted()
    first = upstream.endpoints[0]

    upstream.record(first, 200, 10.0, 10.02)
    upstream.record(first, 200, 10.0, 99.0, responded=10.02)
    upstream.record(first, 503, 10.0, 10.02)

    samples = counts_of(metrics)
    assert samples.value("gateway_upstream_requests", "u", "a", "200") == 2
    assert samples.value("gateway_upstream_requests", "u", "a", "503") == 1
    duration = samples.value("gateway_upstream_duration_seconds", "u", "a")
    assert isinstance(duration, Distribution)
    assert sum(duration.counts) == 3
    assert duration.sum == pytest.approx(0.06)


def test_failures_are_counted_by_reason_from_0(metrics: Metrics, counted: Callable[..., Upstream]) -> None:
    upstream = counted()
    first = upstream.endpoints[0]

    upstream.record(first, Outcome.CONNECT_FAILURE, 0.0, 1.0, "refused", UPSTREAM_CONNECT_FAILED)
    upstream.record(first, Outcome.CONNECT_FAILURE, 0.0, 1.0, "slow", UPSTREAM_CONNECT_TIMEOUT)
    upstream.record(first, Outcome.LOCAL, 0.0, 1.0, "no descriptors")
    upstream.record(first, Outcome.ABANDONED, 0.0, 1.0)

    samples = counts_of(metrics)
    found = {reason: samples.value("gateway_upstream_errors", "u", "a", reason) for reason in FAILURE_REASONS}
    assert {reason for reason, number in found.items() if number == 1} == {
        "upstream.connect-failure",
        "upstream.connect-timeout",
        "upstream.local-error",
    }
    assert set(found.values()) == {0, 1}
    assert samples.value("gateway_upstream_errors", "u", "b", "upstream.reset") == 0


def test_breakers_ejections_and_requests_are_shown(metrics: Metrics, counted: Callable[..., Upstream]) -> None:
    upstream = counted(
        circuit_breaker={"minimum_requests": 1, "failure_ratio": 0.5},
        outlier_detection={"consecutive_failures": 1, "consecutive_5xx": 1, "max_ejection_percent": 100},
    )
    first, second = upstream.endpoints
    second.active = 3
    upstream.pick(None, 0.0)

    upstream.record(first, 500, 0.0, 1.0)

    samples, counts = states_of(upstream, now=1.0), counts_of(metrics)
    assert samples.value("gateway_upstream_breaker_state", "u", "a", "open") == 1
    assert samples.value("gateway_upstream_breaker_state", "u", "a", "closed") == 0
    assert samples.value("gateway_upstream_breaker_state", "u", "b", "closed") == 1
    assert samples.value("gateway_upstream_endpoint_ejected", "u", "a") == 1
    assert samples.value("gateway_upstream_requests_in_flight", "u", "b") == 3
    assert counts.value("gateway_upstream_breaker_openings", "u", "a") == 1
    assert counts.value("gateway_upstream_endpoint_ejections", "u", "a") == 1


def test_endpoints_that_are_not_named_are_one(make_upstream: MakeUpstream) -> None:
    upstream = make_upstream(("a", "b"))
    for endpoint in upstream.endpoints:
        endpoint.active = 2
    upstream.endpoints[1].health.healthy = False

    samples = states_of(upstream, named=())

    assert samples.value("gateway_upstream_requests_in_flight", "u", "_other") == 4
    assert samples.value("gateway_upstream_endpoint_healthy", "u", "_other") == 0


def test_retries_and_refusals_are_counted_by_upstream(metrics: Metrics, make_upstream: MakeUpstream) -> None:
    upstream = make_upstream(())
    upstream.admission.load.counts = upstream.failures._counts = metrics.upstreams.acquire("u")

    upstream.retry_budget.begin()
    upstream.failures.refused("upstream.unavailable", "no endpoint", 1.0)
    upstream.failures.refused("upstream.reset", "reported elsewhere", 1.0)

    samples = counts_of(metrics)
    assert samples.value("gateway_upstream_retries", "u") == 1
    assert samples.value("gateway_upstream_refusals", "u", "upstream.unavailable") == 1
    assert samples.value("gateway_upstream_refusals", "u", "upstream.overloaded") == 0


def test_upstreams_beyond_the_limit_are_one_with_their_endpoints(metrics: Metrics, make_upstream: MakeUpstream) -> None:
    metrics.use(bounds=(1.0,), max_endpoints=1)
    for number, name in enumerate(("a", "b", "c"), 1):
        metrics.upstreams.acquire(name).retries = number
        metrics.endpoints.acquire((name, "e")).bytes_in = number
    upstream = make_upstream(("e",))
    samples = counts_of(metrics)
    put_upstream_states(samples, [upstream], 0.0, metrics.named_endpoints())

    received = samples.series["gateway_upstream_received_bytes"].values
    assert received == {("a", "e"): 1, ("_other", "_other"): 5}
    assert samples.series["gateway_upstream_retries"].values == {("a",): 1, ("_other",): 5}
    assert samples.value("gateway_upstream_requests_in_flight", "_other", "_other") == 0
    assert samples.value("gateway_upstream_requests_pending", "_other") == 0
