from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_cache.structured import parse_dictionary
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1, b, c=?0", {"a": 1, "b": True, "c": False}),
        ('a="x\\"y"', {"a": 'x"y'}),
        ("a=tok/en:x", {"a": "tok/en:x"}),
        ("a=1.5, b=:aGk=:, c=@1659578233", {"a": None, "b": None, "c": None}),
        ('a=(1 "b" c;d=1);e, f=2', {"a": None, "f": 2}),
        ("a=1;x;y=2 ,\tb=2", {"a": 1, "b": 2}),
        ("a=1,a=2", {"a": 2}),
        ("*a=-5", {"*a": -5}),
        ("  a=1  ", {"a": 1}),
    ],
)
def test_dictionaries_are_read(text: str, expected: dict[str, Any]) -> None:
    assert parse_dictionary(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "A=1",
        "a=",
        "a=1,",
        ",a=1",
        "a==1",
        "a=1 b=2",
        'a="x',
        'a="\\x"',
        "a=1234567890123456",
        "a=(1",
        "a=(1,2)",
        "a=?2",
        "é",
    ],
)
def test_what_is_no_dictionary_is_none(text: str) -> None:
    assert parse_dictionary(text) is None


def test_a_long_field_is_none() -> None:
    assert parse_dictionary("a=1, " * 1000 + "b") is None


@given(st.text(alphabet='ab=1?0,;() "\\:@-.*', max_size=40))
def test_no_text_raises(text: str) -> None:
    parse_dictionary(text)


@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True), st.integers(-(10**14), 10**14)))
def test_integers_come_back(members: dict[str, int]) -> None:
    assert (parse_dictionary(", ".join(f"{key}={value}" for key, value in members.items())) or {}) == members
