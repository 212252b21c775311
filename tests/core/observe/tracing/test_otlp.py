"""Spans as JSON and as protocol buffers, read by the classes that OpenTelemetry generates."""

from __future__ import annotations

import json
from collections.abc import Mapping

from gateway_core.observe.tracing.otlp import json_encoding
from gateway_core.observe.tracing.otlp_binary import protobuf_encoding
from gateway_core.observe.tracing.propagation import Remote
from gateway_core.observe.tracing.semantics import Span
from hypothesis import given
from hypothesis import strategies as st

from tests.collector import read_request

texts = st.text(max_size=20)
times = st.integers(0, 2**63)
values = texts | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.lists(texts, max_size=3)
span_ids = st.binary(min_size=8, max_size=8).map(bytes.hex)
trace_ids = st.binary(min_size=16, max_size=16).map(bytes.hex)
spans = st.builds(
    Span,
    trace_id=trace_ids,
    span_id=span_ids,
    parent_id=st.just("") | span_ids,
    state=texts,
    flags=st.integers(0, 0x3FF),
    name=texts,
    kind=st.integers(1, 3),
    started=times,
    ended=times,
    attributes=st.lists(st.tuples(texts, values), max_size=4),
    error=st.none() | texts,
    link=st.none() | st.builds(Remote, trace_ids, span_ids, st.integers(0, 3)),
    events=st.lists(st.tuples(texts, times), max_size=2),
)


@given(st.lists(spans, max_size=3), st.dictionaries(texts, texts, max_size=2), texts)
def test_both_forms_are_one_message(batch: list[Span], resource: Mapping[str, str], version: str) -> None:
    document = json_encoding(resource, version).write(batch)

    binary = protobuf_encoding(resource, version).write(batch)

    assert read_request("application/json", document) == read_request("application/x-protobuf", binary)


def test_half_a_character_is_valid_json_in_ascii() -> None:
    made = Span("", "", "", "", 0, "\ud800", 1, 0, 0, [("a", '\udfff\x00"\\')], None)

    document = json_encoding({}, "1").write([made])

    assert document.isascii()
    span = json.loads(document)["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert span["name"] == "\ud800"
    assert span["attributes"] == [{"key": "a", "value": {"stringValue": '\udfff\x00"\\'}}]
