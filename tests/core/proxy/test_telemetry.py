from __future__ import annotations

from gateway_core.messages import Response, RouteInfo
from gateway_core.metrics import Metrics
from gateway_core.metrics.counts import CLIENT, GATEWAY, PLUGIN, UPSTREAM
from gateway_core.proxy.telemetry import Telemetry, origin_of


def test_requests_are_counted_by_route_and_status() -> None:
    metrics = Metrics()
    telemetry = Telemetry(metrics)
    metrics.routes.acquire("users")

    for status in (200, 200, 503):
        telemetry.count(RouteInfo("users"), status, 0.01)
    telemetry.count(None, 404, 0.001)

    text = metrics.exposition().decode()
    assert 'gateway_requests_total{origin="upstream",route="users",status="200"} 2.0' in text
    assert 'gateway_requests_total{origin="upstream",route="users",status="503"} 1.0' in text
    assert 'gateway_requests_total{origin="upstream",route="",status="404"} 1.0' in text


def test_failures_are_counted_by_reason_from_0_and_those_that_plugins_name_together() -> None:
    metrics = Metrics()
    telemetry = Telemetry(metrics)

    for reason in ("no-route", "made-up-1", "made-up-2"):
        telemetry.count_failure(reason)

    samples = metrics.collect()
    assert samples.value("gateway_request_failures", "no-route") == 1
    assert samples.value("gateway_request_failures", "_other") == 2
    assert samples.value("gateway_request_failures", "internal") == 0


def test_the_origin_is_whose_the_response_was_unless_the_client_left() -> None:
    made, relayed, other = Response(404), Response.streamed(200, "OK", b""), Response(403)
    made.produced_by, other.produced_by = "gateway", "auth"

    assert origin_of(None, None) == origin_of(relayed, "upstream") == UPSTREAM
    assert origin_of(made, None) == GATEWAY
    assert origin_of(other, None) == PLUGIN
    assert origin_of(made, "client") == CLIENT
