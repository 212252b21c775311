"""Joins the traces of requests with OpenTelemetry's API in plugins.

The API is an optional library, of which the gateway imports nothing: only where a plugin has imported it, hooks run
with the request's span as the current one. So what a plugin, or a library that it calls, records by an SDK of its own
has that span as parent, and what a hook fetches within such a span has that one.
"""

from __future__ import annotations

import sys
from contextvars import Context
from typing import Any, Final

from gateway_core.observe.tracing.trace import RequestTrace

_MODULE: Final = "opentelemetry.trace"


def share(trace: RequestTrace, context: Context) -> None:
    """Make the request's span the current one in the context of its hooks."""
    api: Any = sys.modules.get(_MODULE)
    if api is not None and hasattr(api, "set_span_in_context"):  # else it is being imported right now
        context.run(_attach, api, trace)


def _attach(api: Any, trace: RequestTrace) -> None:
    state = api.TraceState.from_header([trace.state]) if trace.state else api.TraceState()
    span = api.SpanContext(
        int(trace.trace_id, 16), int(trace.own_id, 16), is_remote=False, trace_flags=api.TraceFlags(trace.flags),
        trace_state=state,
    )  # fmt: skip
    context: Any = sys.modules["opentelemetry.context"]
    context.attach(api.set_span_in_context(api.NonRecordingSpan(span)))


def current_span_id(trace: RequestTrace) -> str | None:
    """Return the span of a plugin that is current, if it belongs to the trace; None for the request's own."""
    api: Any = sys.modules.get(_MODULE)
    if api is None or not hasattr(api, "get_current_span"):
        return None
    found = api.get_current_span().get_span_context()
    if not found.is_valid or f"{found.trace_id:032x}" != trace.trace_id:
        return None
    return f"{found.span_id:016x}"
