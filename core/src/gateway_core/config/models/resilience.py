"""How requests travel to an upstream (retries, timeouts, limits, connections), and which endpoints may get them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gateway_core.config.models.base import Section
from gateway_core.config.secret import SecretHeaderValue
from gateway_core.config.statuses import StatusRange
from gateway_core.config.values import (
    Count,
    Duration,
    HeaderName,
    HeaderValue,
    InconsistentError,
    InvalidValueError,
    Method,
    Percent,
    Port,
    PositiveCount,
    PositiveDuration,
    Ratio,
    Size,
    Switch,
)

RetryCondition = Literal[
    "connect-failure", "reset", "timeout", "500", "502", "503", "504", "429",
    "cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable",
]  # fmt: skip


_PEERS: Final = {
    "5xx": "500, 502, 503 and 504",
    "gateway-error": "502, 503 and 504",
    "error": "connect-failure and reset",
    "non_idempotent": "methods with POST and PATCH beside on",
    "retriable-4xx": "429",
}
"""What Envoy and nginx call conditions."""


def _as_text(value: Any) -> Any:
    if isinstance(value, str):
        meant = value.removeprefix("http_") if value.startswith("http_") else _PEERS.get(value)
        if meant is not None:
            raise InvalidValueError("is no condition here", remedy=f"write {meant}")
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


RetryConditionValue = Annotated[RetryCondition, BeforeValidator(_as_text, json_schema_input_type=RetryCondition | int)]
"""A condition; statuses may be written as numbers."""

IDEMPOTENT_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE")


class RetriesConfig(Section):
    """When to send a request again, to another endpoint first."""

    attempts: Count = Field(default=1, le=10)
    """Attempts after the first one."""

    on: tuple[RetryConditionValue, ...] = (
        "connect-failure", "reset", "timeout", "502", "503", "504",
    )  # fmt: skip
    """What is retried: a failed connect, a connection reset before the response began, a timeout, a response's
    status, or the status of a call of gRPC that ends without a message, which needs no ``methods``."""

    methods: tuple[Method, ...] = IDEMPOTENT_METHODS
    """Methods that may be sent twice; by default the idempotent ones (RFC 9110 section 9.2.2)."""

    per_try_timeout: Duration = 0.0
    """Longest wait for the response to one attempt; 0 leaves the whole time to each attempt."""

    backoff_base: Duration = 0.025
    """Longest pause before the first retry; it doubles with each further one, and is shortened at random."""

    backoff_max: Duration = 0.25
    """Longest pause before any retry."""

    budget_percent: Percent = 20.0
    """Retry budget: the largest share of the upstream's requests in flight that may be retries. An equal share of the
    responses so far may be spent on a burst of retries, such as when an endpoint dies."""

    budget_minimum: Count = 3
    """Retries in flight that are allowed whatever the share."""

    max_body_bytes: Size = 65536
    """Longest request body that is kept for a retry; requests with a longer one are sent once."""

    @model_validator(mode="after")
    def _check(self) -> RetriesConfig:
        if self.backoff_max < self.backoff_base:
            raise InconsistentError("backoff_max is shorter than backoff_base")
        return self


class TimeoutsConfig(Section):
    """How long the upstream may take."""

    connect: Duration = 2.0
    """Longest time to a connection, TLS included; 0 is no limit."""

    response: Duration = 30.0
    """Longest time from the end of the request to the head of the response; 0 is no limit."""

    idle: Duration = 60.0
    """Longest pause between two pieces of the response, or without any byte in a tunnel; 0 is no limit."""

    total: Duration = 0.0
    """Longest time for the whole request; 0 is no limit."""


class RouteTimeoutsConfig(Section):
    """What a route changes in its upstream's timeouts; what is not given stays."""

    connect: Duration | None = None
    """Longest time to a connection, TLS included; 0 is no limit."""

    response: Duration | None = None
    """Longest time from the end of the request to the head of the response; 0 is no limit."""

    idle: Duration | None = None
    """Longest pause between two pieces of the response, or without any byte in a tunnel; 0 is no limit."""

    total: Duration | None = None
    """Longest time for the whole request; 0 is no limit."""


class UpstreamLimitsConfig(Section):
    """How much may be in flight at an upstream at once, from each worker process; 0 is no limit."""

    max_connections: Count = 0
    """Connections to all endpoints together."""

    max_pending: Count = 0
    """Requests that wait for a connection, all endpoints together."""

    max_connections_per_endpoint: Count = 0
    """Connections to one endpoint."""

    max_pending_per_endpoint: Count = 0
    """Requests that wait for a connection to one endpoint."""

    pending_timeout: Duration = 5.0
    """Longest wait for a connection."""


class KeepaliveConfig(Section):
    """Connections that are kept open between requests.

    A connection over which a client has authenticated by NTLM, Negotiate or Kerberos serves only that client's
    connection, and is closed with it.
    """

    max_idle: Count = 256
    """Idle connections that each worker keeps for one endpoint; 0 keeps none."""

    idle_timeout: Duration = 30.0
    """How long an idle connection is kept; best shorter than the endpoints keep it. 0 is no limit."""

    max_age: Duration = 0.0
    """Maximum age of a connection: an older one serves no further request; 0 is no limit. With it, busy connections
    follow a name to its new addresses as well."""

    max_requests: Count = 0
    """Requests after which a connection is closed; 0 is no limit."""


class Http1Config(Section):
    """How an upstream's HTTP/1 is read."""

    tolerant: Switch = False
    """``true`` accepts responses that break the rules of HTTP/1 in ways that are safe to repair (docs/upstreams.md):
    the connection is then closed, because what follows on it cannot be trusted."""


def _check_path(value: str) -> str:
    if not value.startswith("/") or any(ord(character) <= 0x20 or ord(character) > 0x7E for character in value):
        raise InvalidValueError("is not a path", remedy="begin with / and percent-encode what is not ASCII")
    return value


RequestPath = Annotated[str, AfterValidator(_check_path)]
"""A path with an optional query, ready to be sent."""


class HealthCheckConfig(Section):
    """Active health check: probe each endpoint periodically."""

    enable: Switch = True
    """``false`` switches the checks off and keeps their settings."""

    type: Literal["http", "https", "tcp", "grpc"] | None = None
    """An HTTP request, an HTTPS request, only a TCP connection, or a call of ``grpc.health.v1.Health/Check``; by
    default a request with the endpoint's own scheme."""

    service: str = Field(default="", max_length=1000)
    """Service whose health a check of type ``grpc`` asks for; the whole server's unless given."""

    path: RequestPath = "/"
    """What to request."""

    port: Port = 0
    """Port to check; 0 is the endpoint's own."""

    interval: PositiveDuration = 5.0
    """Time between two checks of one endpoint."""

    timeout: PositiveDuration = 1.0
    """Longest wait for the response."""

    jitter: Ratio = 0.1
    """Share of the interval by which each pause is longer or shorter at random, so that checks do not synchronize."""

    expected_statuses: tuple[StatusRange, ...] = Field(default=(StatusRange(200, 399),), min_length=1)
    """Statuses of a healthy response; redirects are not followed."""

    healthy_threshold: PositiveCount = 2
    """Consecutive successes that make an unhealthy endpoint healthy."""

    unhealthy_threshold: PositiveCount = 3
    """Consecutive failures that make a healthy endpoint unhealthy."""

    method: Method = "GET"
    """Method of the request."""

    host: HeaderValue = ""
    """Host header (``:authority``) of the request; the endpoint's host and port unless given."""

    headers: Mapping[HeaderName, SecretHeaderValue] = Field(default_factory=dict)
    """Further headers of the request, such as ``authorization``; their values are never shown."""


class OutlierDetectionConfig(Section):
    """Outlier detection: eject an endpoint for a while when requests to it keep failing."""

    enable: Switch = True
    """``false`` switches it off and keeps the settings."""

    consecutive_failures: Count = 5
    """Consecutive requests without a response that eject the endpoint; 0 does not count them."""

    consecutive_5xx: Count = 5
    """Consecutive requests with a 5xx or no response that eject the endpoint; 0 does not count them."""

    base_ejection_time: PositiveDuration = 30.0
    """How long the first ejection lasts; each further one lasts that much longer."""

    max_ejection_time: PositiveDuration = 300.0
    """The longest that an ejection lasts."""

    max_ejection_percent: Percent = 50.0
    """Largest share of the endpoints that may be ejected at once."""

    @model_validator(mode="after")
    def _check(self) -> OutlierDetectionConfig:
        if self.max_ejection_time < self.base_ejection_time:
            raise InconsistentError("max_ejection_time is shorter than base_ejection_time")
        return self


class CircuitBreakerConfig(Section):
    """Stop sending to an endpoint when too large a share of its requests fails."""

    enable: Switch = True
    """``false`` switches it off and keeps the settings."""

    failure_ratio: Ratio = 0.5
    """Share of failures, from 0 to 1, that opens the breaker."""

    window: PositiveDuration = 10.0
    """How long a request counts."""

    minimum_requests: PositiveCount = 20
    """Requests within the window below which the breaker stays closed."""

    open_for: PositiveDuration = 30.0
    """How long an open breaker rejects requests before it becomes half-open."""

    half_open_requests: PositiveCount = 3
    """Requests that a half-open breaker lets through at once, and consecutive successes that close it."""
