"""YAML and JSON become values with their lines, or a failure with its line."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from gateway_import import nodes
from gateway_import.failures import CannotImportError
from gateway_import.files import SourceText
from gateway_import.nodes import Node, read_all_nodes, read_nodes
from hypothesis import given
from hypothesis import strategies as st


def read(text: str) -> Node:
    return read_nodes(SourceText("file.yaml", text))


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)  # YAML has an end at 1024 bytes, with escapes
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=4), st.sampled_from([None, 2, "\t"]))
def test_json_is_read_as_it_is(value: dict[str, Any], indent: int | str | None) -> None:
    assert read(json.dumps(value, indent=indent)).plain() == value


def test_values_know_their_lines() -> None:
    root = read("a: 1\nb:\n  - x\n  - {c: y}\n").value
    assert isinstance(root, dict)
    entries = root["b"].value
    assert isinstance(entries, list)

    assert [str(each.origin) for each in (root["a"], *entries)] == ["file.yaml:1", "file.yaml:3", "file.yaml:4"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"), ("no", "no"), ("0755", "0755"), ("12:30", "12:30"), ("True", True), ("~", None), ("1.5", 1.5),
        ("'1'", "1"), ("!!str 1", "1"), ("1e999", "1e999"), ("-3", -3), ("1_000", "1_000"), (".nan", ".nan"),
    ],
)  # fmt: skip
def test_a_scalar_is_what_json_would_have_said(text: str, value: object) -> None:
    found = read(f"a: {text}").plain()["a"]

    assert (found, type(found)) == (value, type(value))


def test_keys_are_the_text_that_stands_there() -> None:
    assert read("{200: a, true: b, null: c, on: d}").plain() == {"200": "a", "true": "b", "null": "c", "on": "d"}


def test_aliases_and_merges_stand_for_what_they_name() -> None:
    text = "base: &b {x: 1, y: 2}\nuse: *b\nmore:\n  <<: *b\n  y: 3\n"

    assert read(text).plain() == {"base": {"x": 1, "y": 2}, "use": {"x": 1, "y": 2}, "more": {"x": 1, "y": 3}}


def test_aliases_that_would_make_too_much_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "LARGEST_TREE", 1000)
    lines = ["a0: &a0 [x, x, x, x]"]
    lines += [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}, *a{n - 1}]" for n in range(1, 30)]

    with pytest.raises(CannotImportError, match=r"^file.yaml:\d: makes more than 1000 values"):
        read("\n".join(lines))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "file.yaml: is empty"),
        ("# nothing\n---\n", "file.yaml: is empty"),
        ("a: 1\n---\nb: 2\n", "file.yaml:3: begins a second document"),
        ("a:\n  b: [1\n  c: 2\n", "file.yaml:3: is no YAML: "),
        ("a: 1\nb: 2\na: 3\n", "file.yaml:3: has the key 'a' twice"),
        ("a: 1\n? [x]\n: 3\n", "file.yaml:2: has a key that is no text"),
        ("a: !!python/object:os.system x\n", "file.yaml:1: has the tag 'tag:yaml.org,2002:python/object:os.system'"),
        ("a: !env SECRET\n", "file.yaml:1: has the tag '!env'"),
        ("a:\n  - *b\n", "file.yaml:2: *b stands for nothing"),
        ("a: 1\nb: \x00\n", "file.yaml:2: has a control character"),
        ('{"a": "\\ud800"}', "file.yaml:1: is no YAML: found invalid Unicode"),
        ("<<: 3\n", 'file.yaml:1: cannot be merged with "<<"'),
        ("a: &a [*a]\n", "file.yaml:1: *a stands for nothing"),
    ],
)
def test_what_is_broken_is_a_failure_with_its_line(text: str, message: str) -> None:
    with pytest.raises(CannotImportError) as failure:
        read(text)

    assert str(failure.value).startswith(message)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "- " * 5_000, "a: " + "{a: " * 200])
def test_what_is_nested_too_deep_is_a_failure(text: str) -> None:
    with pytest.raises(CannotImportError):
        read(text)


def test_several_documents_are_read_where_they_are_asked_for() -> None:
    source = SourceText("file.yaml", "a: 1\n---\n---\nb: 2\n")

    assert [each.plain() for each in read_all_nodes(source)] == [{"a": 1}, {"b": 2}]


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        value = read(text).plain()
    except CannotImportError:
        return
    assert not (isinstance(value, float) and math.isinf(value))
