"""Spans as OTLP wants them over HTTP (specification 1.7), in JSON or as protocol buffers.

The binary form needs OpenTelemetry's classes, and has a module of its own (`otlp_binary`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii as _text  # in quotes and ASCII; `JSONEncoder.encode` takes a half more
from typing import Final

from gateway_core.observe.tracing.semantics import Span, Value

SCOPE: Final = "gateway"
_ERROR_STATUS: Final = 2


@dataclass(frozen=True, slots=True)
class Encoding:
    """How batches are written, and responses read."""

    content_type: str
    write: Callable[[Iterable[Span]], bytes]
    read_refusal: Callable[[bytes], tuple[int, str]]
    """Returns how many spans a collector refused of a request that it took, and why (``partial_success``)."""


def json_encoding(resource: Mapping[str, str], version: str) -> Encoding:
    """Return the encoding in JSON."""
    scope = json.dumps({"name": SCOPE, "version": version})
    begin = f'{{"resourceSpans":[{{"resource":{{"attributes":[{_attributes(list(resource.items()))}]}},"scopeSpans":['
    begin += f'{{"scope":{scope},"spans":['

    def write(spans: Iterable[Span]) -> bytes:
        # Half a surrogate pair, which no client's bytes become, would not be UTF-8: ASCII has none.
        return f"{begin}{','.join(map(_span, spans))}]}}]}}]}}".encode("ascii")

    return Encoding("application/json", write, _read_json)


def _span(span: Span) -> str:
    """Return one span. Its text is put together here, as objects for `json` to write take three times as long."""
    more = f',"parentSpanId":"{span.parent_id}"' if span.parent_id else ""
    if span.state:
        more += f',"traceState":{_text(span.state)}'
    if span.events:
        events = ",".join([f'{{"timeUnixNano":"{at}","name":{_text(name)}}}' for name, at in span.events])
        more += f',"events":[{events}]'
    if span.error is not None:
        message = f',"message":{_text(span.error)}' if span.error else ""
        more += f',"status":{{"code":{_ERROR_STATUS}{message}}}'
    if (link := span.link) is not None:
        flags = link.flags | 0x300
        more += f',"links":[{{"traceId":"{link.trace_id}","spanId":"{link.span_id}","flags":{flags}}}]'
    return (
        f'{{"traceId":"{span.trace_id}","spanId":"{span.span_id}","flags":{span.flags},"name":{_text(span.name)},'
        f'"kind":{span.kind},"startTimeUnixNano":"{span.started}","endTimeUnixNano":"{span.ended}",'
        f'"attributes":[{_attributes(span.attributes)}]{more}}}'
    )


class _Keys(dict[str, str]):
    """How an attribute begins, by its key: there are as many as the conventions and the resource name."""

    def __missing__(self, key: str) -> str:
        self[key] = begin = f'{{"key":{_text(key)},"value":{{'
        return begin


_keys: Final = _Keys()


def _attributes(pairs: Sequence[tuple[str, Value]]) -> str:
    # What almost all are is written without a call: this is half of what a span takes.
    return ",".join(
        [
            f'{_keys[key]}"stringValue":{_text(value)}}}}}'
            if type(value) is str
            else f'{_keys[key]}"intValue":"{value}"}}}}'
            if type(value) is int
            else f"{_keys[key]}{_value(value)}}}}}"
            for key, value in pairs
        ]
    )


def _value(value: Value) -> str:
    """Return a value without its braces."""
    if isinstance(value, str):
        return f'"stringValue":{_text(value)}'
    if isinstance(value, bool):
        return f'"boolValue":{"true" if value else "false"}'
    if isinstance(value, int):
        return f'"intValue":"{value}"'
    return f'"arrayValue":{{"values":[{",".join([f"{{{_value(each)}}}" for each in value])}]}}'


def _read_json(body: bytes) -> tuple[int, str]:
    try:
        partial = json.loads(body or b"{}").get("partialSuccess") or {}
        return max(0, int(partial.get("rejectedSpans", 0))), str(partial.get("errorMessage", ""))
    except (ValueError, TypeError, AttributeError):
        return 0, ""
