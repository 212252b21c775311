"""How the gateway learns that an endpoint is ill: active checks, outlier detection, the circuit breaker."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gateway_core.config.models.base import Section
from gateway_core.config.secret import SecretHeaderValue
from gateway_core.config.values import (
    Count,
    HeaderName,
    HeaderValue,
    InvalidValueError,
    Method,
    Percent,
    Port,
    PositiveCount,
    PositiveDuration,
    Ratio,
    Switch,
)

_STATUS_RANGE: Final = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _check_statuses(value: str) -> str:
    match = _STATUS_RANGE.fullmatch(value)
    if match is None or (match[2] is not None and match[1] > match[2]):
        raise InvalidValueError("is not a status or a range of statuses: write for example 200 or 200-399")
    return value


StatusRange = Annotated[
    str, BeforeValidator(_as_text, json_schema_input_type=str | int), AfterValidator(_check_statuses)
]
"""``200`` or ``200-399``."""


def _check_path(value: str) -> str:
    if not value.startswith("/") or any(ord(character) <= 0x20 or ord(character) > 0x7E for character in value):
        raise InvalidValueError("is not a path: begin with / and percent-encode what is not ASCII")
    return value


RequestPath = Annotated[str, AfterValidator(_check_path)]
"""A path with an optional query, ready to be sent."""


class HealthCheckConfig(Section):
    """Ask each endpoint from time to time whether it is well."""

    enable: Switch = True
    """``false`` switches the checks off and keeps their settings."""

    type: Literal["http", "https", "tcp"] | None = None
    """A request, a request over TLS, or only a connection; a request with the endpoint's own scheme unless given."""

    path: RequestPath = "/"
    """What to request."""

    port: Port = 0
    """Port to ask; 0 is the endpoint's own."""

    interval: PositiveDuration = 5.0
    """Time between two checks of one endpoint."""

    timeout: PositiveDuration = 1.0
    """Longest wait for an answer."""

    jitter: Ratio = 0.1
    """Share of the interval by which each pause is longer or shorter at random, so that checks do not come in step."""

    expected_statuses: tuple[StatusRange, ...] = Field(default=("200-399",), min_length=1)
    """Statuses of a healthy answer; redirects are not followed."""

    healthy_threshold: PositiveCount = 2
    """Successes in a row that make an ill endpoint well."""

    unhealthy_threshold: PositiveCount = 3
    """Failures in a row that make a healthy endpoint ill."""

    method: Method = "GET"
    """Method of the request."""

    host: HeaderValue = ""
    """Host header of the request; the endpoint's host and port unless given."""

    headers: Mapping[HeaderName, SecretHeaderValue] = Field(default_factory=dict)
    """Further headers of the request, such as ``authorization``; their values are never shown."""


class OutlierDetectionConfig(Section):
    """Take an endpoint out for a while when real requests to it keep failing."""

    enable: Switch = True
    """``false`` switches it off and keeps the settings."""

    consecutive_failures: Count = 5
    """Requests in a row that were not answered at all; 0 does not count them."""

    consecutive_5xx: Count = 5
    """Requests in a row that were answered with 5xx or not at all; 0 does not count them."""

    base_ejection_time: PositiveDuration = 30.0
    """How long the first ejection lasts; each further one lasts longer by as much."""

    max_ejection_time: PositiveDuration = 300.0
    """The longest that an ejection lasts."""

    max_ejection_percent: Percent = 50.0
    """Largest share of the endpoints that may be out at once."""

    @model_validator(mode="after")
    def _check(self) -> OutlierDetectionConfig:
        if self.max_ejection_time < self.base_ejection_time:
            raise ValueError("max_ejection_time is shorter than base_ejection_time")
        return self


class CircuitBreakerConfig(Section):
    """Stop sending to an endpoint when too large a share of its requests fails."""

    enable: Switch = True
    """``false`` switches it off and keeps the settings."""

    failure_ratio: Ratio = 0.5
    """Share of failures, 0 to 1, that opens the breaker."""

    window: PositiveDuration = 10.0
    """How long a request counts."""

    minimum_requests: PositiveCount = 20
    """Requests within the window below which the breaker stays closed."""

    open_for: PositiveDuration = 30.0
    """How long an open breaker rejects before it lets requests try again."""

    half_open_requests: PositiveCount = 3
    """Requests that may try at once, and successes in a row that close the breaker."""
