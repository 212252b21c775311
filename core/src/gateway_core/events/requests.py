"""Events of requests and clients' connections, and what is done for them."""

from __future__ import annotations

from typing import Final

from gateway_core.events.event import ERROR, WARNING, define

CONNECTION_NOT_ACCEPTED: Final = define(
    "connection.not_accepted", ERROR, "this process has no descriptor or memory to accept connections of clients",
    "reason", "count", "descriptor_limit",
)  # fmt: skip
LIMIT_REACHED: Final = define(
    "limit.reached", WARNING, "clients meet a limit of the configuration, and are refused or cut off; `limit` is the "
    "reason that access logs have", "limit", "route", "client", "count",
)  # fmt: skip
TRACING_EXPORT_FAILED: Final = define(
    "tracing.export_failed", WARNING, "the collector did not take spans; `lost` are lost", "reason", "lost", "count"
)
_VARIABLE: Final = "an OTEL_* variable is not understood, and does not count"
TRACING_VARIABLE_IGNORED: Final = define("tracing.variable_ignored", WARNING, _VARIABLE, "reason")
REQUEST_FAILED: Final = define(
    "request.failed", ERROR, "the gateway itself failed over a request, which gets 500: a defect, or what a plugin "
    "left", "request_id", "trace_id", "reason",
)  # fmt: skip
CONNECTION_FAILED: Final = define(
    "connection.failed", ERROR, "the gateway itself failed over a connection or a deadline: a defect", "reason"
)
MIRROR_FAILED: Final = define(
    "mirror.failed",
    ERROR,
    "the gateway itself failed over a copy for a mirror: a defect",
    "request_id",
    "trace_id",
    "reason",
)
TAIL_FAILED: Final = define(
    "tail.failed", ERROR, "the gateway itself failed to show a request to a tail: a defect; written once in a process, "
    "and each such request is a gap of the stream", "reason",
)  # fmt: skip
