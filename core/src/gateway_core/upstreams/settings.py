"""What an upstream is told to do, key by key as in the configuration. Durations are seconds, shares are percent."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Literal

IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Methods that may be sent twice without being asked (RFC 9110 section 9.2.2)."""

RETRY_CONDITIONS = frozenset({"connect-failure", "reset", "timeout", "502", "503", "504"})
"""What ``retries.on`` retries when the configuration does not say."""


@dataclass(frozen=True, slots=True)
class HealthCheckSettings:
    """Ask each endpoint from time to time whether it is well."""

    enable: bool = False
    type: Literal["", "http", "https", "tcp"] = ""
    """Empty is the endpoint's scheme."""
    path: str = "/"
    port: int = 0
    """0 is the endpoint's own."""
    interval: float = 5.0
    timeout: float = 1.0
    jitter: float = 0.1
    """Share of the interval by which each pause is longer or shorter at random."""
    expected_statuses: tuple[str, ...] = ("200-399",)
    healthy_threshold: int = 2
    unhealthy_threshold: int = 3
    method: str = "GET"
    host: str = ""
    """Host header; empty is the endpoint's authority."""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class OutlierDetectionSettings:
    """Take an endpoint out for a while when real requests to it keep failing."""

    enable: bool = False
    consecutive_failures: int = 5
    """Requests in a row that were not answered at all; 0 does not count them."""
    consecutive_5xx: int = 5
    """Requests in a row that were answered with 5xx or not at all; 0 does not count them."""
    base_ejection_time: float = 30.0
    max_ejection_time: float = 300.0
    max_ejection_percent: float = 50.0


@dataclass(frozen=True, slots=True)
class CircuitBreakerSettings:
    """Stop sending to an endpoint when too large a share of its requests fails."""

    enable: bool = False
    failure_ratio: float = 0.5
    """Share of failures, 0 to 1, that opens the breaker."""
    window: float = 10.0
    minimum_requests: int = 20
    open_for: float = 30.0
    half_open_requests: int = 3
    """How many requests probe an endpoint at once, and how many must succeed in a row to close the breaker."""


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """When to send a request again."""

    attempts: int = 0
    """Tries after the first one."""
    on: frozenset[str] = RETRY_CONDITIONS
    methods: frozenset[str] = IDEMPOTENT_METHODS
    per_try_timeout: float = 0.0
    """0 leaves the whole time to each try."""
    backoff_base: float = 0.025
    backoff_max: float = 0.25
    budget_percent: float = 20.0
    """Retries under way, as a share of the live requests of the upstream."""
    budget_minimum: int = 3
    """Retries under way that are always allowed."""
    max_body_bytes: int = 65536
    """Longest request body that is kept for a retry."""


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """How much may be under way at once; 0 is no limit."""

    max_connections: int = 0
    max_pending: int = 0
    max_connections_per_endpoint: int = 0
    max_pending_per_endpoint: int = 0
    pending_timeout: float = 5.0
    """Longest wait for a free connection."""


@dataclass(frozen=True, slots=True)
class StickyCookieSettings:
    """Keep a client on the endpoint that answered it first."""

    name: str
    path: str = "/"
    secure: bool = False
    http_only: bool = True
    same_site: Literal["strict", "lax", "none"] | None = "lax"
    max_age: int = 0
    """Seconds; 0 is a session cookie."""


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """All policies of one upstream."""

    strategy: str = "weighted-round-robin"
    strategy_options: tuple[tuple[str, Hashable], ...] = ()
    """For strategies of extensions."""
    hash_on: str = ""
    sticky_cookie: StickyCookieSettings | None = None
    health_check: HealthCheckSettings = field(default_factory=HealthCheckSettings)
    outlier_detection: OutlierDetectionSettings = field(default_factory=OutlierDetectionSettings)
    panic_threshold: float = 0.0
    """Percent of endpoints that must be well for the ill ones to be left out (see ``selection``)."""
    circuit_breaker: CircuitBreakerSettings = field(default_factory=CircuitBreakerSettings)
    retries: RetrySettings = field(default_factory=RetrySettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    transport: Hashable = None
    """How connections are made and kept (`TransportSettings`): part of what an endpoint's state is keyed by."""
