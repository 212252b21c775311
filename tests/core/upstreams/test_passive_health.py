from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from gateway_core.config import CircuitBreakerConfig, OutlierDetectionConfig
from gateway_core.upstreams import Endpoint, Outcome, Upstream
from gateway_core.upstreams.passive_health import UNREACHABLE_SECONDS

MakeUpstream = Callable[..., Upstream]

BREAKER = CircuitBreakerConfig.model_construct(minimum_requests=2, open_for=30.0, half_open_requests=1)
OUTLIERS = OutlierDetectionConfig.model_construct(consecutive_failures=2, base_ejection_time=10.0)


def picks(upstream: Upstream, count: int, now: float = 100.0, **arguments: Any) -> str:
    found = [upstream.pick(arguments.get("key"), now, arguments.get("attempted", ())) for _ in range(count)]
    return "".join(endpoint.id if endpoint else "-" for endpoint in found)


def by_id(upstream: Upstream, name: str) -> Endpoint:
    return next(endpoint for endpoint in upstream.endpoints if endpoint.id == name)


def test_local_errors_and_abandoned_requests_never_count_against_an_endpoint(
    make_upstream: MakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    upstream = make_upstream("ab", outlier_detection=OUTLIERS, circuit_breaker=BREAKER)
    a = by_id(upstream, "a")

    for number in range(20):
        upstream.record(a, Outcome.LOCAL, 100.0, 100.0 + number, "too many open files")
        upstream.record(a, Outcome.ABANDONED, 100.0, 100.0 + number)

    assert a.is_usable(100.0)
    assert (a.last_error, a.breaker and a.breaker.counts(100.0)) == ("", (0, 0))
    assert [record.getMessage().partition(",")[0] for record in caplog.records] == [
        "endpoints cannot be connected to: too many open files"
    ]


def discovered(make_upstream: MakeUpstream, **settings: Any) -> Upstream:
    """An upstream whose endpoints a and b are discovered and c is configured."""
    return make_upstream("abc", configured=["c"], **settings)


def test_a_discovered_endpoint_that_is_unreachable_is_left_out_for_a_while(make_upstream: MakeUpstream) -> None:
    upstream = discovered(make_upstream)
    a = by_id(upstream, "a")
    upstream.pick(None, 100.0)

    upstream.record(a, Outcome.CONNECT_FAILURE, 100.0, 100.0, "refused")

    assert set(picks(upstream, 20, 100.0 + UNREACHABLE_SECONDS - 0.1)) == {"b", "c"}
    assert set(picks(upstream, 20, 100.0 + UNREACHABLE_SECONDS)) == {"a", "b", "c"}


@pytest.mark.parametrize(("name", "outcome"), [("c", Outcome.CONNECT_FAILURE), ("a", Outcome.RESET), ("a", 503)])
def test_a_configured_endpoint_or_another_failure_is_left_to_outlier_detection(
    name: str, outcome: int, make_upstream: MakeUpstream
) -> None:
    upstream = discovered(make_upstream)

    upstream.record(by_id(upstream, name), outcome, 100.0, 100.0)

    assert set(picks(upstream, 20, 101.0)) == {"a", "b", "c"}


def test_the_last_usable_endpoint_is_not_left_out(make_upstream: MakeUpstream) -> None:
    upstream = make_upstream("ab", configured=[])
    upstream.pick(None, 100.0)
    for name in "abab":
        upstream.record(by_id(upstream, name), Outcome.CONNECT_FAILURE, 100.0, 100.0)

    assert picks(upstream, 1, 101.0) in {"a", "b"}
