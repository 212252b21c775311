"""What is written is read back by the gateway as the same value, whatever it is."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_import.model import EnvReference
from gateway_import.yaml_text import WIDTH, comment, entry, quoted
from hypothesis import given
from hypothesis import strategies as st

from tests.importing import read_back

HOSTILE = [
    "", " ", "a: b", "# no comment", "a #b", "---", "...", "- a", "? a", "!tag", "&a", "*a", "<<", "%", "@", "`", "|",
    ">", "null", "Null", "~", "true", "no", "on", "012", "1e3", "0x1f", "12:30:45", "2026-11-29", ".inf", "'", '"',
    "\\", "\\n", "${HOME}", "$${HOME}", "$$${A:-${B}}", "${", "$", "{a: b}", "[a]", "a\nb", "\r\n", "\t", "\x00",
    "\x1b[31m", "\x85", "\u2028", "\u2029", "\ufeff", "\u202e", "\U0001f600", "\xe4", "a,b", "a]b", "a}b", "=",
    "Infinity", "x" * 500, "a  b", " a ",
]  # fmt: skip
TEXTS = st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=["Cs"]))
KEYS = TEXTS.filter(bool)  # the gateway has no empty key
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


@given(st.dictionaries(KEYS.filter(lambda key: len(key) < 100), VALUES, min_size=1, max_size=5))
def test_what_is_written_is_read_back(value: dict[str, Any]) -> None:
    lines = [line for key, inner in value.items() for line in entry(key, inner, 0)]

    assert read_back("\n".join(lines)) == value
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_read_back_in_a_list_and_on_a_line(text: str) -> None:
    assert read_back("\n".join(entry("a", [text, {"b": text}], 0))) == {"a": [text, {"b": text}]}


def test_usual_texts_need_no_quotes() -> None:
    usual = ["users", "/v1/users", "round-robin", "api.example.com", "two words"]

    assert [quoted(text) for text in usual] == usual


def test_a_variable_stands_for_its_value_and_never_for_its_type() -> None:
    lines = entry("a", {"b": EnvReference("SECRET"), "c": EnvReference("SECRET", "Bearer ${", "$")}, 0)

    assert read_back("\n".join(lines), {"SECRET": "007"}) == {"a": {"b": "007", "c": "Bearer ${007$"}}


@given(TEXTS, st.integers(0, 3))
def test_a_comment_is_nothing_but_comments(text: str, indent: int) -> None:
    lines = comment(text, indent)

    assert all(line.lstrip(" ").startswith("#") and line.isprintable() for line in lines)
    assert read_back("\n".join([*lines, "a: 1"])) == {"a": 1}


def test_long_comments_and_long_values_are_broken_into_lines() -> None:
    lines = [*comment("word " * 100), *entry("a", {"b": ["word"] * 50, "c": {"d": "e" * 100}}, 0)]

    assert max(map(len, lines)) <= WIDTH
    assert len(lines) > 50
