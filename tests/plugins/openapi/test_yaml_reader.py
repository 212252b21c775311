from __future__ import annotations

import contextlib
from typing import Any

import pytest
import yaml
from gateway_openapi.yaml_reader import YamlError, read_yaml
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("a: {b: [1, 'x', \"y\"]}", {"a": {"b": [1, "x", "y"]}}),
        ("a: '1'\nb: !!str 1\nc: !!int 1", {"a": "1", "b": "1", "c": 1}),
        ("a: |\n  text\n  more\n", {"a": "text\nmore\n"}),
        ("200: x\ntrue: y\n", {"200": "x", "true": "y"}),
        ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
        ("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}", {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}),
        ("a: &x {b: 1}\ne: &y {f: 2}\nd: {<<: [*x, *y]}", {"a": {"b": 1}, "e": {"f": 2}, "d": {"b": 1, "f": 2}}),
        ("&k a: 1\nb: *k", {"a": 1, "b": "a"}),
        ("a: " + "9" * 301, {"a": "9" * 301}),
    ],
)
def test_yaml_is_read_as_json_would_have_it(text: str, expected: Any) -> None:
    assert read_yaml(text, 100) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", "line 2: has the key 'a' twice"),
        ("? [a]\n: 1", "line 1: has a key that is no text"),
        ("a: 1\n---\nb: 2", "has more than one document"),
        ("a: !!binary eA==", "has the tag"),
        ("a: !!set {x, y}", "has the tag"),
        ("a: [[[1]]]", "nested more than 3 deep"),
        ("a: *b", r"\*b stands for nothing"),
        ("a: \x07", "is no YAML"),
    ],
)
def test_what_json_could_not_be_is_refused(text: str, message: str) -> None:
    with pytest.raises(YamlError, match=message):
        read_yaml(text, 3)


def test_aliases_share_what_they_stand_for() -> None:
    found = read_yaml("a: &x [1]\nb: *x", 100)

    assert found["a"] is found["b"]


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text("ab:#- \n'\"{}[]&*!|>%@`0.", max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text("ab", max_size=3), inner, max_size=3)),
)


@given(VALUES)
def test_what_is_written_as_yaml_reads_as_itself(value: Any) -> None:
    assert read_yaml(yaml.safe_dump(value), 100) == value


@given(st.text(max_size=60))
def test_no_text_raises_anything_else(text: str) -> None:
    with contextlib.suppress(YamlError):
        read_yaml(text, 5)
