from __future__ import annotations

import pytest
from gateway_core.config import (
    CircuitBreakerConfig,
    EndpointConfig,
    HealthCheckConfig,
    OutlierDetectionConfig,
    RetriesConfig,
    RouteTimeoutsConfig,
    StickyCookieConfig,
    TimeoutsConfig,
    UpstreamConfig,
)
from gateway_core.snapshot.route import Timeouts
from gateway_core.snapshot.settings import endpoint_spec, retry_settings, timeouts, upstream_settings
from gateway_core.upstreams.endpoint import EndpointStatus
from gateway_core.upstreams.settings import RetrySettings, UpstreamSettings

ENDPOINTS = [{"url": "http://127.0.0.1:1"}]


def test_an_upstream_without_policies_has_none() -> None:
    settings = upstream_settings(UpstreamConfig.model_validate({"name": "a", "endpoints": ENDPOINTS}))

    assert settings == UpstreamSettings(transport=settings.transport)


def test_every_policy_arrives() -> None:
    settings = upstream_settings(
        UpstreamConfig.model_validate(
            {
                "name": "a",
                "endpoints": ENDPOINTS,
                "strategy": "consistent-hash",
                "hash_on": "client_ip",
                "sticky_cookie": {"name": "s", "max_age": "1h"},
                "health_check": {"path": "/health", "interval": "3s", "headers": {"a": "b"}},
                "outlier_detection": {"consecutive_5xx": 9},
                "circuit_breaker": {"window": "4s"},
                "retries": {"attempts": 2, "on": ["reset"], "methods": ["GET"]},
                "limits": {"max_connections": 7},
                "keepalive": {"max_idle": 8},
                "timeouts": {"connect": "1s"},
                "tls": {"verify": False},
            }
        )
    )

    assert settings.hash_on == "client_ip"
    assert settings.sticky_cookie is not None
    assert settings.sticky_cookie.max_age == 3600
    assert (settings.health_check.enable, settings.health_check.path) == (True, "/health")
    assert settings.health_check.headers == (("a", "b"),)
    assert settings.outlier_detection.consecutive_5xx == 9
    assert settings.circuit_breaker.enable
    assert settings.circuit_breaker.window == 4.0
    assert settings.retries.on == {"reset"}
    assert settings.limits.max_connections == 7
    assert hash(settings) == hash(settings)


@pytest.mark.parametrize(
    "model", [HealthCheckConfig, OutlierDetectionConfig, CircuitBreakerConfig, RetriesConfig, StickyCookieConfig]
)
def test_configuration_and_settings_have_the_same_words(model: type) -> None:
    """A key that only one side knows would be lost silently, or break every upstream."""
    name = model.__name__.removesuffix("Config")
    key = {"Retries": "retries"}.get(name, "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_"))
    given = {"name": "s"} if model is StickyCookieConfig else {}

    settings = upstream_settings(UpstreamConfig.model_validate({"name": "a", "endpoints": ENDPOINTS, key: given}))

    assert getattr(settings, key) is not None


def test_no_retries_means_that_nothing_is_sent_again() -> None:
    assert retry_settings(None) == RetrySettings(attempts=0)
    assert retry_settings(RetriesConfig()).attempts == 1


def test_a_route_changes_only_the_timeouts_that_it_names() -> None:
    given = TimeoutsConfig.model_validate({"response": "9s"})

    assert timeouts(given) == Timeouts(2.0, 9.0, 60.0, 0.0)
    changed = RouteTimeoutsConfig.model_validate({"idle": "1s", "total": "4s"})
    assert timeouts(given, changed) == Timeouts(2.0, 9.0, 1.0, 4.0)


def test_an_endpoint_has_its_origin_id_weight_and_status() -> None:
    spec = endpoint_spec(
        EndpointConfig.model_validate({"id": "x", "url": "https://[::1]", "weight": 4, "status": "drain"})
    )

    assert (spec.scheme, spec.host, spec.port, spec.id, spec.weight) == ("https", "::1", 443, "x", 4)
    assert spec.status is EndpointStatus.DRAIN
