from __future__ import annotations

from dataclasses import fields

import pytest
from gateway_core.upstreams import (
    CircuitBreakerSettings,
    HealthCheckSettings,
    OutlierDetectionSettings,
    RetrySettings,
    UpstreamSettings,
)


def test_nothing_is_on_unless_asked_for() -> None:
    settings = UpstreamSettings()

    assert not settings.health_check.enable
    assert not settings.outlier_detection.enable
    assert not settings.circuit_breaker.enable
    assert settings.retries.attempts == 0


@pytest.mark.parametrize(
    "settings", [UpstreamSettings, HealthCheckSettings, OutlierDetectionSettings, CircuitBreakerSettings, RetrySettings]
)
def test_settings_are_values_that_leases_can_be_keyed_by(settings: type) -> None:
    assert hash(settings()) == hash(settings())
    assert settings() == settings()
    assert fields(settings)
