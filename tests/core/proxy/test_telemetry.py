from __future__ import annotations

from gateway_core.messages import Response
from gateway_core.metrics import Metrics
from gateway_core.metrics.counts import CLIENT, GATEWAY, PLUGIN, UPSTREAM
from gateway_core.proxy.telemetry import Telemetry, origin_of


def test_routes_are_shown_by_their_id_and_requests_without_a_route_by_none() -> None:
    metrics = Metrics()
    telemetry = Telemetry(metrics)

    for status in (200, 200, 503):
        metrics.routes.acquire("users").add(status * 4, 0.01, 10)
    telemetry.unrouted.add(404 * 4 + GATEWAY, 0.001, 5)

    text = metrics.exposition().decode()
    assert 'gateway_requests_total{origin="upstream",route="users",status="200"} 2.0' in text
    assert 'gateway_requests_total{origin="upstream",route="users",status="503"} 1.0' in text
    assert 'gateway_requests_total{origin="gateway",route="",status="404"} 1.0' in text
    assert 'gateway_request_duration_seconds_count{route="users",status_class="5xx"} 1.0' in text
    assert 'gateway_response_body_bytes_total{route="users"} 30.0' in text


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


def test_calls_of_grpc_are_counted_by_route_and_the_name_of_their_status() -> None:
    metrics = Metrics()
    telemetry = Telemetry(metrics)

    for code in (0, 14, 14):
        metrics.routes.acquire("users").add_call(code)
    telemetry.unrouted.add_call(12)

    samples = metrics.collect()
    assert samples.value("gateway_grpc_calls", "users", "OK") == 1
    assert samples.value("gateway_grpc_calls", "users", "UNAVAILABLE") == 2
    assert samples.value("gateway_grpc_calls", "", "UNIMPLEMENTED") == 1
