from __future__ import annotations

import json
from typing import Any

import pytest
from gateway_plugin_sdk.strict_json import JsonError, read_json
from hypothesis import given
from hypothesis import strategies as st

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(value=VALUES, ascii_only=st.booleans())
def test_what_json_writes_is_read(value: Any, ascii_only: bool) -> None:
    assert read_json(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"a": 1, "a": 1}', "an object has a name twice"),
        (b'[{"a": 1, "\\u0061": 1}]', "an object has a name twice"),
        (b"[NaN]", "NaN is no JSON"),
        (b"-Infinity", "-Infinity is no JSON"),
        (b"[1e999]", "a number is out of range"),
        (b"-1e999", "a number is out of range"),
        (b"9" * 5000, "a number is out of range"),
        (b'{"a": [1, -1' + b"0" * 309 + b"]}", "a number is out of range"),
        (b'"\\ud800"', "half of a surrogate pair"),
        (b'{"\\udc00": 1}', "half of a surrogate pair"),
        (b'"\xff"', "byte 1 is no UTF-8"),
        (b"[1,\n 2 3]", "no JSON at line 2, column 4"),
        (b"", "no JSON at line 1, column 1"),
        (b"\xef\xbb\xbf{}", "no JSON at line 1, column 1"),
        ('{"a": 1}'.encode("utf-16"), "byte 0 is no UTF-8"),
        (b"[" * 65 + b"]" * 65, "nested more than 64 deep"),
        (b"[" * 10_000 + b"]" * 10_000, "nested more than 64 deep"),
        (b'{"a":' * 100_000, "nested more than 64 deep"),
    ],
)
def test_what_readers_could_take_differently_is_an_error(data: bytes, reason: str) -> None:
    with pytest.raises(JsonError, match=f"^{reason}$"):
        read_json(data)


def test_sixty_four_levels_and_many_brackets_are_read() -> None:
    assert read_json(b"[" * 64 + b"]" * 64)
    assert len(read_json(b"[" + b"[]," * 1000 + b"[]]")) == 1001
    assert read_json(b'["' + b"9" * 400 + b'", ' + b"9" * 309 + b"]") == ["9" * 400, int("9" * 309)]
    assert read_json(b'"\\ud83d\\ude00"') == "\N{GRINNING FACE}"
