"""How requests travel to an upstream: retries, timeouts, limits, connections."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gateway_core.config.address import is_host
from gateway_core.config.models.base import Section
from gateway_core.config.values import (
    NOT_EMPTY,
    Count,
    Duration,
    InvalidValueError,
    Method,
    Percent,
    Size,
    Switch,
)

RetryCondition = Literal["connect-failure", "reset", "timeout", "500", "502", "503", "504", "429"]


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


RetryConditionValue = Annotated[RetryCondition, BeforeValidator(_as_text, json_schema_input_type=RetryCondition | int)]
"""A condition; statuses may be written as numbers."""

IDEMPOTENT_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE")


class RetriesConfig(Section):
    """When to send a request again, to another endpoint first."""

    attempts: Count = Field(default=1, le=10)
    """Tries after the first one."""

    on: tuple[RetryConditionValue, ...] = (
        "connect-failure", "reset", "timeout", "502", "503", "504",
    )  # fmt: skip
    """What is tried again: no connection, a connection reset before the answer began, no answer in time, a status."""

    methods: tuple[Method, ...] = IDEMPOTENT_METHODS
    """Methods that may be sent twice; those that are idempotent unless said otherwise (RFC 9110 section 9.2.2)."""

    per_try_timeout: Duration = 0.0
    """Longest wait for one try's answer; 0 leaves the whole time to each try."""

    backoff_base: Duration = 0.025
    """Longest pause before the first retry; it doubles with each further one, and is shortened at random."""

    backoff_max: Duration = 0.25
    """Longest pause of all."""

    budget_percent: Percent = 20.0
    """Retries under way at most, as a share of the upstream's requests under way. As large a share of the answers so
    far may be spent on a burst of retries, such as when an endpoint dies."""

    budget_minimum: Count = 3
    """Retries under way that are allowed whatever the share."""

    max_body_bytes: Size = 65536
    """Longest request body that is kept for a retry; requests with a longer one are sent once."""

    @model_validator(mode="after")
    def _check(self) -> RetriesConfig:
        if self.backoff_max < self.backoff_base:
            raise ValueError("backoff_max is shorter than backoff_base")
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
    """How much may be under way at an upstream at once, from each worker process; 0 is no limit."""

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

    One over which a client has logged in by NTLM, Negotiate or Kerberos serves the connection of that client alone, and
    is closed with it.
    """

    max_idle: Count = 256
    """Idle connections that each worker keeps for one endpoint; 0 keeps none."""

    idle_timeout: Duration = 30.0
    """How long an idle connection is kept; best shorter than the endpoints keep it. 0 is no limit."""

    max_age: Duration = 0.0
    """How old a connection may become: an older one serves no further request; 0 is no limit. A name that has new
    addresses is then followed by busy connections, too."""

    max_requests: Count = 0
    """Requests after which a connection is closed; 0 is no limit."""


class Http1Config(Section):
    """How an upstream's HTTP/1 is read."""

    tolerant: Switch = False
    """``true`` takes responses that break the rules of HTTP/1 in ways that are safe to repair (docs/upstreams.md): what
    follows on the connection cannot be told then, so it is closed."""


def _check_san(value: str) -> str:
    is_uri = "://" in value and all("!" <= character <= "~" for character in value)
    if not is_host(value) and not is_uri:
        raise InvalidValueError("is not a name in a certificate: write a host name, an IP address or a URI")
    return value


class UpstreamTlsConfig(Section):
    """TLS to endpoints whose URL is https."""

    ca: str = ""
    """File of the certificate authorities to trust; the system's unless given."""

    server_name: str = ""
    """Name to ask for (SNI) and to find in the certificate; the endpoint's host unless given."""

    sans: Annotated[tuple[Annotated[str, AfterValidator(_check_san)], ...], NOT_EMPTY] = ()
    """Names of which the certificate must have one as a subject alternative name: host names, IP addresses or URIs such
    as ``spiffe://example.com/users``. They replace the check of the name: ``server_name`` is then only asked for."""

    cert: str = ""
    """File of a client certificate."""

    key: str = ""
    """File of the client certificate's key."""

    verify: Switch = True
    """``false`` accepts any certificate: whoever answers at the address is believed."""

    tolerate_missing_close_notify: Switch = False
    """``true`` takes a connection that an endpoint closes without TLS's close_notify as complete, where the end of the
    connection is the end of the response: an attacker on the way may then cut such a response short unnoticed."""

    @model_validator(mode="after")
    def _check(self) -> UpstreamTlsConfig:
        if bool(self.cert) != bool(self.key):
            raise ValueError("cert and key belong together: give both")
        return self
