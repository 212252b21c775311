"""Spans as protocol buffers, by the classes that OpenTelemetry generates (``opentelemetry-proto``).

Imported only where this form is asked for: the library is an extra of this distribution.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from gateway_core.observe.tracing.otlp import SCOPE, Encoding
from gateway_core.observe.tracing.semantics import CLIENT, INTERNAL, SERVER, Span, Value

_KINDS: Final = {
    INTERNAL: SpanMessage.SPAN_KIND_INTERNAL,
    SERVER: SpanMessage.SPAN_KIND_SERVER,
    CLIENT: SpanMessage.SPAN_KIND_CLIENT,
}


def protobuf_encoding(resource: Mapping[str, str], version: str) -> Encoding:
    """Return the binary encoding."""
    about = _pairs(list(resource.items()))

    def write(spans: Iterable[Span]) -> bytes:
        request = ExportTraceServiceRequest()
        part = request.resource_spans.add()
        part.resource.attributes.extend(about)
        scope = part.scope_spans.add()
        scope.scope.name, scope.scope.version = SCOPE, version
        scope.spans.extend(map(_message, spans))
        return request.SerializeToString()

    return Encoding("application/x-protobuf", write, _read_refusal)


def _message(span: Span) -> SpanMessage:
    made = SpanMessage(
        trace_id=bytes.fromhex(span.trace_id),
        span_id=bytes.fromhex(span.span_id),
        parent_span_id=bytes.fromhex(span.parent_id),
        trace_state=span.state,
        flags=span.flags,
        name=span.name,
        kind=_KINDS[span.kind],
        start_time_unix_nano=span.started,
        end_time_unix_nano=span.ended,
        attributes=_pairs(span.attributes),
    )
    for name, at in span.events:
        made.events.add(name=name, time_unix_nano=at)
    if span.error is not None:
        made.status.code, made.status.message = Status.STATUS_CODE_ERROR, span.error
    if (link := span.link) is not None:
        made.links.add(
            trace_id=bytes.fromhex(link.trace_id), span_id=bytes.fromhex(link.span_id), flags=link.flags | 0x300
        )
    return made


def _pairs(pairs: Sequence[tuple[str, Value]]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in pairs]


def _value(value: Value) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    return AnyValue(array_value=ArrayValue(values=[_value(each) for each in value]))


def _read_refusal(body: bytes) -> tuple[int, str]:
    try:
        partial = ExportTraceServiceResponse.FromString(body).partial_success
    except DecodeError:
        return 0, ""
    return max(0, partial.rejected_spans), partial.error_message
