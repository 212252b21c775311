"""Spans as OTLP wants them over HTTP (specification 1.7), in JSON or as protocol buffers.

The binary form needs OpenTelemetry's classes, and has a module of its own (`otlp_binary`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway_core.observe.tracing.semantics import Span, Value

SCOPE: Final = "gateway"
_ERROR_STATUS: Final = 2


@dataclass(frozen=True, slots=True)
class Encoding:
    """How batches are written, and responses read."""

    content_type: str
    write: Callable[[Sequence[Span]], bytes]
    read_refusal: Callable[[bytes], tuple[int, str]]
    """Returns how many spans a collector refused of a request that it took, and why (``partial_success``)."""


def json_encoding(resource: Mapping[str, str], version: str) -> Encoding:
    """Return the encoding in JSON."""
    about = {"attributes": _attributes(list(resource.items()))}

    def write(spans: Sequence[Span]) -> bytes:
        scope = {"scope": {"name": SCOPE, "version": version}, "spans": [_span(each) for each in spans]}
        document = {"resourceSpans": [{"resource": about, "scopeSpans": [scope]}]}
        # Half a surrogate pair, which no client's bytes become, would not be UTF-8: ASCII has none.
        return json.dumps(document, separators=(",", ":")).encode("ascii")

    return Encoding("application/json", write, _read_json)


def _span(span: Span) -> dict[str, Any]:
    made: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "flags": span.flags,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": str(span.started),
        "endTimeUnixNano": str(span.ended),
        "attributes": _attributes(span.attributes),
    }
    if span.parent_id:
        made["parentSpanId"] = span.parent_id
    if span.state:
        made["traceState"] = span.state
    if span.events:
        made["events"] = [{"timeUnixNano": str(at), "name": name} for name, at in span.events]
    if span.error is not None:
        made["status"] = {"code": _ERROR_STATUS, **({"message": span.error} if span.error else {})}
    if span.link is not None:
        link = span.link
        made["links"] = [{"traceId": link.trace_id, "spanId": link.span_id, "flags": link.flags | 0x300}]
    return made


def _attributes(pairs: Sequence[tuple[str, Value]]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in pairs]


def _value(value: Value) -> dict[str, Any]:
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"arrayValue": {"values": [_value(each) for each in value]}}


def _read_json(body: bytes) -> tuple[int, str]:
    try:
        partial = json.loads(body or b"{}").get("partialSuccess") or {}
        return max(0, int(partial.get("rejectedSpans", 0))), str(partial.get("errorMessage", ""))
    except (ValueError, TypeError, AttributeError):
        return 0, ""
