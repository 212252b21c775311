from __future__ import annotations

import json
from typing import Any

import pytest
from gateway_plugin_logger.formats.escape import (
    encode_json,
    escape_text,
    escape_word,
    otel_value,
    quote_json,
    quote_logfmt,
)
from hypothesis import given
from hypothesis import strategies as st

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("text", "word"),
    [("alice", "alice"), ("a b", "a\\x20b"), ("", "-"), ("a\nb", "a\\x0Ab"), ('"', "\\x22")],
)
def test_a_word_has_no_spaces(text: str, word: str) -> None:
    assert escape_word(text) == word


@given(st.text())
def test_quoted_json_is_ascii_and_reads_back(text: str) -> None:
    quoted = quote_json(text)

    assert quoted.isascii()
    assert "\n" not in quoted
    assert json.loads(quoted) == text


@given(st.text(st.characters()))
def test_escaped_text_has_no_quote_no_line_end_and_nothing_but_ascii(text: str) -> None:
    escaped = escape_text(text)

    assert escaped.isascii()
    assert escaped.isprintable()
    assert '"' not in escaped
    assert escape_text(escaped.replace("\\", "")) == escaped.replace("\\", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("plain text", "plain text"), ('say "hi"', "say \\x22hi\\x22"), ("a\\b", "a\\x5Cb"), ("é\n", "\\xC3\\xA9\\x0A")],
)
def test_text_is_escaped_as_nginx_does(text: str, expected: str) -> None:
    assert escape_text(text) == expected


@given(st.text(max_size=20))
def test_a_logfmt_value_is_one_word(text: str) -> None:
    quoted = quote_logfmt(text)

    if quoted.startswith('"'):
        assert json.loads(quoted) == text
    else:
        assert quoted == text
        assert text
        assert not set(text) & set(' ="\\')
        assert text.isprintable()


@given(json_values)
def test_otlp_values_are_json_and_carry_every_text(value: Any) -> None:
    encoded = json.loads(otel_value(value))

    assert len(encoded) == 1
    if isinstance(value, str):
        assert encoded == {"stringValue": value}
    if isinstance(value, int) and not isinstance(value, bool):
        assert encoded == {"intValue" if -(1 << 63) <= value < 1 << 63 else "stringValue": str(value)}


def test_what_json_does_not_know_becomes_text() -> None:
    assert json.loads(encode_json({"a": object})) == {"a": str(object)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("\ud800", "\ufffd"), ("a\udfff\ud800", "a\ufffd\ufffd"), ("🚀", "🚀"), ("\\ud800", "\\ud800")],
)
def test_half_a_surrogate_pair_is_no_text(text: str, expected: str) -> None:
    assert json.loads(quote_json(text)) == expected
