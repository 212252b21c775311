"""From configuration models to the policies of upstreams: the same words, frozen and hashable."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable
from typing import Any

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
from gateway_core.upstreams.endpoint import EndpointSpec, EndpointStatus
from gateway_core.upstreams.settings import (
    CircuitBreakerSettings,
    HealthCheckSettings,
    LimitSettings,
    OutlierDetectionSettings,
    RetrySettings,
    StickyCookieSettings,
    UpstreamSettings,
)
from gateway_core.upstreams.transport import TlsSettings, TransportSettings


def upstream_settings(config: UpstreamConfig, tls: TlsSettings | None = None) -> UpstreamSettings:
    """Return the policies of a configured upstream.

    :param tls: those of `tls_settings`, with the digest of their files.
    """
    return UpstreamSettings(
        strategy=config.strategy,
        strategy_options=tuple(sorted((name, hashable(value)) for name, value in config.strategy_options.items())),
        hash_on=config.hash_on[0] if config.hash_on else "",
        sticky_cookie=_sticky_cookie(config.sticky_cookie),
        health_check=_health_check(config.health_check),
        outlier_detection=_outlier_detection(config.outlier_detection),
        panic_threshold=config.panic_threshold,
        circuit_breaker=_circuit_breaker(config.circuit_breaker),
        retries=retry_settings(config.retries),
        limits=LimitSettings(**_fields(config.limits)),
        transport=transport_settings(config, tls or tls_settings(config)),
    )


def tls_settings(config: UpstreamConfig) -> TlsSettings:
    """Return how an upstream's https endpoints are verified, and what they are shown."""
    tls = config.tls
    return TlsSettings(ca=tls.ca, server_name=tls.server_name, cert=tls.cert, key=tls.key, verify=tls.verify)


def tls_files(upstreams: Iterable[UpstreamConfig]) -> list[str]:
    """Return every file that is read for connections to upstreams."""
    return [file for config in upstreams for file in tls_settings(config).files]


def transport_settings(config: UpstreamConfig, tls: TlsSettings) -> TransportSettings:
    """Return what the connections to an upstream's endpoints depend on."""
    return TransportSettings(
        connect_timeout=config.timeouts.connect,
        max_idle=config.keepalive.max_idle,
        idle_timeout=config.keepalive.idle_timeout,
        max_requests=config.keepalive.max_requests,
        tls=tls,
    )


def retry_settings(config: RetriesConfig | None) -> RetrySettings:
    """Return a retry policy; without one nothing is sent again."""
    if config is None:
        return RetrySettings()
    fields = _fields(config)
    return RetrySettings(**{**fields, "on": frozenset(config.on), "methods": frozenset(config.methods)})


def timeouts(config: TimeoutsConfig, route: RouteTimeoutsConfig | None = None) -> Timeouts:
    """Return an upstream's timeouts with what a route changes in them."""
    fields = _fields(config)
    if route is not None:
        fields.update({name: value for name, value in _fields(route).items() if value is not None})
    return Timeouts(**fields)


def endpoint_spec(config: EndpointConfig) -> EndpointSpec:
    """Return a configured endpoint."""
    origin = config.origin
    return EndpointSpec(
        origin.scheme, origin.host, origin.port, config.id, config.weight, EndpointStatus(config.status)
    )


def hashable(value: Any) -> Hashable:
    """Return plain data as something that can be compared and hashed."""
    return value if isinstance(value, str | int | float | bool | None) else json.dumps(value, sort_keys=True)


def _fields(model: Any) -> dict[str, Any]:
    return {name: getattr(model, name) for name in type(model).model_fields}


def _sticky_cookie(config: StickyCookieConfig | None) -> StickyCookieSettings | None:
    if config is None:
        return None
    return StickyCookieSettings(**{**_fields(config), "max_age": int(config.max_age)})


def _health_check(config: HealthCheckConfig | None) -> HealthCheckSettings:
    if config is None:
        return HealthCheckSettings()
    headers = {name: value.reveal() for name, value in config.headers.items()}
    return HealthCheckSettings(**{**_fields(config), "headers": tuple(headers.items())})


def _outlier_detection(config: OutlierDetectionConfig | None) -> OutlierDetectionSettings:
    return OutlierDetectionSettings() if config is None else OutlierDetectionSettings(**_fields(config))


def _circuit_breaker(config: CircuitBreakerConfig | None) -> CircuitBreakerSettings:
    return CircuitBreakerSettings() if config is None else CircuitBreakerSettings(**_fields(config))
