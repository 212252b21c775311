from __future__ import annotations

import json
from collections.abc import Callable

from gateway_core.config import CircuitBreakerConfig, OutlierDetectionConfig
from gateway_core.upstreams import EndpointSpec, EndpointStatus, Outcome, Upstream, describe_upstream

MakeUpstream = Callable[..., Upstream]


def test_a_status_page_says_what_is_wrong_with_each(make_upstream: MakeUpstream) -> None:
    upstream = make_upstream(
        ["a", "b", "c", EndpointSpec("http", "d", 80, id="d", status=EndpointStatus.DRAIN)],
        outlier_detection=OutlierDetectionConfig.model_construct(consecutive_failures=2, base_ejection_time=10.0),
        circuit_breaker=CircuitBreakerConfig.model_construct(minimum_requests=2),
    )
    first = upstream.pick(None, 100.0)
    assert first is not None
    for _ in range(2):
        upstream.record(first, Outcome.RESET, 100.0, 100.0)
    upstream.endpoints[2].health.healthy = False
    upstream.endpoints[2].notify()

    page = describe_upstream(upstream, 104.0)

    a, b, c, d = page["endpoints"]
    assert (a["state"], a["usable"], a["ejected_for"], a["last_error"]) == ("ejected", False, 6.0, "reset")
    assert a["breaker"]["state"] == "open"
    assert (b["state"], b["usable"], b["url"]) == ("up", True, "http://b.test:80")
    assert (c["state"], c["healthy"]) == ("unhealthy", False)
    assert (d["state"], d["usable"]) == ("drain", False)
    assert (page["panic"], page["fit"], page["discovery"]) == (False, 1, None)
    assert json.loads(json.dumps(page)) == page


def test_an_endpoint_that_cannot_be_connected_to_is_unreachable_until_it_can(make_upstream: MakeUpstream) -> None:
    upstream = make_upstream(["a", "b"])
    a = upstream.endpoints[0]

    def states() -> list[tuple[str, bool]]:
        return [(each["state"], each["usable"]) for each in describe_upstream(upstream, 100.0)["endpoints"]]

    upstream.record(a, Outcome.CONNECT_FAILURE, 100.0, 100.0, "Connection refused")
    assert states() == [("unreachable", True), ("up", True)]
    upstream.record(a, Outcome.ABANDONED, 100.0, 100.0)
    assert states() == [("unreachable", True), ("up", True)]

    upstream.record(a, 200, 100.0, 100.0)
    assert states() == [("up", True), ("up", True)]
    upstream.record(a, Outcome.CONNECT_FAILURE, 100.0, 100.0, "Connection refused")
    upstream.record(a, 503, 100.0, 100.0)
    assert states() == [("up", True), ("up", True)]


def test_endpoints_that_are_leaving_are_shown(make_upstream: MakeUpstream) -> None:
    upstream = make_upstream()
    upstream.endpoints[0].active = 2

    upstream.change_endpoints([], ["a", "b"])

    assert describe_upstream(upstream, 100.0)["leaving"] == [{"id": "a", "active": 2}]
