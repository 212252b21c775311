"""What concerns the whole process: limits, the admin listener, the log."""

from __future__ import annotations

from typing import Literal

from gateway_core.config.models.base import Section
from gateway_core.config.models.listen import Address
from gateway_core.config.values import Count, PositiveCount, PositiveDuration, Size


class LimitsConfig(Section):
    """What clients may ask of the gateway; a number of 0 is no limit."""

    max_head_bytes: Size = 65536
    """Longest request head: request line and headers together."""

    max_headers: PositiveCount = 256
    """Most header lines of a request."""

    max_body_bytes: Size = 0
    """Longest request body; a longer one gets 413."""

    max_connections: Count = 0
    """Most connections at once, all listeners together."""

    max_connections_per_client: Count = 0
    """Most connections at once from one client address."""

    max_requests_per_connection: Count = 0
    """Requests after which a connection is closed."""

    max_requests: Count = 0
    """Most requests in flight; further ones get 503."""

    header_timeout: PositiveDuration = 10.0
    """Longest time from the first byte of a request, or from connecting, to the end of its head."""

    body_timeout: PositiveDuration = 30.0
    """Longest pause between two pieces of a request body."""

    idle_timeout: PositiveDuration = 75.0
    """How long a connection is kept open between requests."""

    write_timeout: PositiveDuration = 60.0
    """Longest time in which a client takes nothing of an answer."""


class AdminConfig(Section):
    """The admin listener: health, metrics, status. It has no access control of its own: keep it private."""

    listen: Address
    """Address such as ``127.0.0.1:9090`` or ``unix:/run/gateway-admin.sock``."""


class LogConfig(Section):
    """The gateway's own events, on stderr; requests are logged by plugins."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important event that is written."""

    format: Literal["text", "json"] = "text"
    """Lines for people, or one JSON object a line."""
