"""Errors of large values are found part by part; jsonschema-rs would list all of them at once."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from gateway_plugin_validate.explaining import SMALL, Explainer, is_small
from gateway_plugin_validate.schemas import compile_schema
from hypothesis import given
from hypothesis import strategies as st

KIND = jsonschema_rs.Draft202012Validator
DEFINITIONS = {
    "s0": {"items": {"$ref": "#/$defs/s1"}},
    "s1": {"properties": {"n": {"$ref": "#/$defs/s1"}, "m": {"$ref": "#/$defs/s2"}}},
    "s2": {"type": "integer"},
    "s3": {"type": "string"},
}
FILLER = {"filler": list(range(SMALL + 1))}
"""Makes a value large."""


def found(schema: Any, value: Any) -> list[tuple[str, str]]:
    explainer = Explainer(schema, KIND, compile_schema(schema, KIND))
    return [(each.pointer, each.keyword) for each in explainer.explain(value, "body")]


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"required": ["a", "b"]}, {}, [("#", "required"), ("#", "required")]),
        ({"properties": {"a": {"const": 2}, "b": {"minimum": 3}}}, {"a": 1, "b": 2}, [("#/a", "const"), ("#/b", "minimum")]),  # noqa: E501 - one case a line
        ({"additionalProperties": {"type": ["string", "array"]}}, {"a": 1}, [("#/a", "type")]),
        ({"properties": {"filler": True}, "additionalProperties": False}, {"a": 1}, [("#", "additionalProperties")]),
        ({"patternProperties": {"^f": True}, "additionalProperties": False}, {"a": 1}, [("#", "additionalProperties")]),
        ({"allOf": [{"required": ["a"]}, {"maxProperties": 0}]}, {}, [("#", "required"), ("#", "maxProperties")]),
        ({"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, {}, [("#", "anyOf")]),
        ({"if": {"required": ["a"]}, "then": {"required": ["b"]}}, {"a": 1}, [("#", "if")]),
        ({"$defs": {"s0": {"required": ["a"]}}, "$ref": "#/$defs/s0"}, {}, [("#", "required")]),
        ({"properties": {"filler": {"items": {"maximum": 198}}}}, {}, [("#/filler/199", "maximum"), ("#/filler/200", "maximum")]),  # noqa: E501 - one case a line
        ({"properties": {"filler": {"prefixItems": [True] * 200, "items": False}}}, {}, [("#/filler", "items")]),
        ({"$defs": DEFINITIONS, "properties": {"a": {"$ref": "#/$defs/s0"}}}, {"a": [{"n": {"m": "x"}}]}, [("#/a/0/n/m", "type")]),  # noqa: E501 - one case a line
        ({"type": "array"}, {}, [("#", "type")]),
    ],
)  # fmt: skip
def test_a_large_value_has_the_errors_of_a_small_one(schema: Any, value: Any, expected: list[tuple[str, str]]) -> None:
    assert found(schema, {**value, **FILLER}) == expected


@pytest.mark.timeout(20)
@pytest.mark.parametrize("items", [{"type": "string"}, {"anyOf": [{"type": "string"}, {"type": "object"}]}])
def test_half_a_million_errors_do_no_more_work_than_fifty(items: Any) -> None:
    schema = {"anyOf": [{"type": "array", "items": items}, {"type": "string"}]}

    assert found(schema, [0] * 500_000) == [("#", "anyOf")]
    assert len(found(schema["anyOf"][0], [0] * 500_000)) == 50


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
LEAVES = st.sampled_from(
    [{"type": "string"}, {"type": "integer"}, {"minimum": 0}, {"maxLength": 1}, {"enum": ["a", 1]}, True]
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=3)}),
        st.fixed_dictionaries({"items": inner}),
        st.fixed_dictionaries({"items": inner, "prefixItems": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"additionalProperties": inner, "properties": st.just({"a": True})}),
        st.fixed_dictionaries({"allOf": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"oneOf": st.lists(inner, min_size=1, max_size=2), "maxItems": st.integers(0, 3)}),
    ),
    max_leaves=6,
)


@given(schema=SCHEMAS, value=JSON)
def test_what_is_valid_has_no_errors_and_what_is_not_has_some(schema: Any, value: Any) -> None:
    large = [value, list(range(SMALL + 1))]
    wrapped = {"prefixItems": [schema]}

    is_valid = KIND(wrapped).is_valid(large)

    assert (found(wrapped, large) == []) == is_valid
    assert is_valid or all(pointer.startswith("#/0") or pointer == "#" for pointer, _ in found(wrapped, large))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("keyword", ["anyOf", "oneOf"])
def test_levels_of_alternatives_do_not_multiply_the_work(keyword: str) -> None:
    """Trees of expressions refer to themselves in each alternative; one leaf of 60 levels is wrong."""
    inner = {"$ref": "#/$defs/s0"}
    alternatives = [
        {"type": "object", "required": ["left", operator], "properties": {"left": inner}} for operator in ("and", "or")
    ]
    schema = {"$ref": "#/$defs/s0", "$defs": {"s0": {keyword: [*alternatives, {"type": "integer"}]}}}
    value: Any = "wrong"
    for _ in range(60):
        value = {"or": True, "left": value}

    assert found(schema, value) == [("#", keyword)]
    beside = {"properties": {"deep": inner, "n": {"minimum": 1}}, "$defs": schema["$defs"]}
    assert found(beside, {"deep": value, "n": 0}) == [("#/deep", keyword), ("#/n", "minimum")]


def test_small_is_what_the_library_lists_at_once() -> None:
    assert is_small([[[0]]])
    assert not is_small([[[[]]]])
    assert is_small([[0] * 99, [0] * 99])
    assert not is_small([[0] * 100, [0] * 100])
