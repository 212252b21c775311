from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from gateway_core.config.json_nodes import compose
from gateway_core.config.problems import Place
from gateway_core.config.yaml_nodes import DEEPEST, DocumentSyntaxError, read_plain
from hypothesis import given
from hypothesis import strategies as st

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def value_of(node: yaml.Node) -> Any:
    match node:
        case yaml.MappingNode():
            return {key.value: value_of(value) for key, value in node.value}
        case yaml.SequenceNode():
            return [value_of(item) for item in node.value]
    return read_plain(node.value) if node.tag == "?" else node.value


@given(VALUES, st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_every_json_text_has_the_value_that_pythons_parser_reads(value: Any, escapes: bool, indent: int | str) -> None:
    root = compose("g.json", json.dumps(value, ensure_ascii=escapes, indent=indent))

    assert root is not None
    assert value_of(root) == value


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_nodes_have_the_positions_of_what_they_are_made_of(line_end: str) -> None:
    root = compose("g.json", line_end.join(["{", '\t"a":\t[1,', '\t"\x7f\U0001f600", 2]', "}"]))

    assert isinstance(root, yaml.MappingNode)
    key, items = root.value[0]
    nodes = [root, key, items, *items.value]
    places = [(node.start_mark.line + 1, node.start_mark.column + 1) for node in nodes]
    assert places == [(1, 1), (2, 2), (2, 7), (2, 8), (3, 2), (3, 8)]


def test_a_key_may_be_longer_than_yaml_allows_and_hold_what_yaml_escapes() -> None:
    key = "x" * 2000 + "\x7f\x80\ufeff"

    root = compose("g.json", json.dumps({key: "\x7f"}, ensure_ascii=False))

    assert root is not None
    assert value_of(root) == {key: "\x7f"}


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_a_blank_text_is_no_document(text: str) -> None:
    assert compose("g.json", text) is None


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ('{"a": ]', 1, 7, "is not valid JSON: expecting value"),
        ('{"a": 1} {"b"', 1, 10, "is not valid JSON: extra data"),
        ('{"a":\n NaN}', 2, 2, "is not valid JSON: NaN is not a number of JSON"),
        ('{"a": [0,\n-Infinity]}', 2, 1, "is not valid JSON: -Infinity is not a number of JSON"),
        (f'{{"a":\n{"9" * 5000}}}', 2, 1, "is not valid JSON: a number has too many digits"),
        (r'{"a": "x \ud83d\ude00 \\ud83d", "b": "\ud83d"}', 1, 38, "half of a surrogate pair is not a character"),
        (r'{"\udc00": 1}', 1, 2, "half of a surrogate pair is not a character"),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), 1, 101, "is nested more than 100 levels deep"),
        ('{"a":' * 100_000, 1, 501, "is nested more than 100 levels deep"),
    ],
)  # fmt: skip
def test_what_is_refused_says_where_and_why(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(DocumentSyntaxError) as caught:
        compose("g.json", text)

    assert (caught.value.place, str(caught.value)) == (Place("g.json", line, column), message)
