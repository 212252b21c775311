from __future__ import annotations

import json
from typing import Any

import pytest
from gateway_openapi.documents import References
from gateway_plugin_mock.samples import sample
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

SCHEMAS = {
    "Name": {"type": "string", "minLength": 3, "example": "Tom"},
    "Tree": {
        "type": "object",
        "required": ["name", "parent"],
        "properties": {
            "name": {"$ref": "#/components/schemas/Name"},
            "children": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}},
            "parent": {"$ref": "#/components/schemas/Tree"},
        },
    },
    **{
        f"Level{level}": {"properties": {name: {"$ref": f"#/components/schemas/Level{level + 1}"} for name in "abcd"}}
        for level in range(30)
    },
}
REFERENCES = References({"components": {"schemas": SCHEMAS}})


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string", "example": "a", "default": "b"}, "a"),
        ({"type": "string", "examples": ["a"], "default": "b"}, "a"),
        ({"type": "string", "default": "b", "enum": ["a", "b"]}, "b"),
        ({"const": 5}, 5),
        ({"enum": ["x", "y"]}, "x"),
        ({"example": None}, None),
        ({"type": "string"}, "string"),
        ({"type": "string", "minLength": 8}, "stringst"),
        ({"type": "string", "maxLength": 2}, "st"),
        ({"type": "string", "format": "date-time"}, "2026-01-01T00:00:00Z"),
        ({"type": "integer"}, 0),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "integer", "minimum": 3, "exclusiveMinimum": True}, 4),
        ({"type": "integer", "exclusiveMinimum": 3}, 4),
        ({"type": "number", "maximum": -1.5}, -1.5),
        ({"type": "integer", "minimum": 10, "multipleOf": 4}, 12),
        ({"type": "boolean"}, True),
        ({"type": ["null", "string"]}, "string"),
        ({"type": "null"}, None),
        ({"type": "array", "items": {"type": "integer"}}, [0]),
        ({"type": "array", "minItems": 2, "items": {"type": "integer"}}, [0, 0]),
        ({"type": "array", "minItems": 10**9, "items": {"type": "integer"}}, [0] * 5),
        ({"type": "array", "maxItems": 0, "items": {"type": "integer"}}, []),
        ({"prefixItems": [{"const": 1}, {"const": 2}]}, [1, 2]),
        ({"properties": {"a": {"type": "integer"}, "b": {"type": "string", "writeOnly": True}}}, {"a": 0}),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, {"key": 0}),
        ({"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]}, {"a": 1, "b": 2}),
        ({"allOf": [{"$ref": "#/components/schemas/Name"}], "description": "x"}, "Tom"),
        ({"oneOf": [{"type": "null"}, {"const": 1}, {"const": 2}]}, 1),
        ({"anyOf": [{"properties": {"a": {"const": 1}}}], "properties": {"b": {"const": 2}}}, {"a": 1, "b": 2}),
        ({"$ref": "#/components/schemas/Name"}, "Tom"),
        ({"$ref": "#/components/schemas/Name", "example": "Ann"}, "Ann"),
        ({"$ref": "other.yaml#/Name"}, None),
        ({"$ref": "#/components/schemas/Tree"}, {"name": "Tom", "children": [], "parent": None}),
        (True, None),
        (None, None),
        ({}, None),
    ],
)
def test_a_value_is_made_of_a_schema(schema: Any, expected: Any) -> None:
    assert sample(schema, REFERENCES) == expected


@pytest.mark.timeout(20)
def test_schemas_that_double_with_each_level_make_a_small_value() -> None:
    value = sample({"$ref": "#/components/schemas/Level0"}, REFERENCES)

    assert 10 < len(json.dumps(value)) < 50_000


SIMPLE = st.recursive(
    st.one_of(
        st.builds(lambda low: {"type": "integer", "minimum": low}, st.integers(-50, 50)),
        st.builds(lambda low: {"type": "number", "exclusiveMinimum": low}, st.integers(-50, 50)),
        st.builds(lambda least: {"type": "string", "minLength": least}, st.integers(0, 20)),
        st.builds(lambda values: {"enum": values}, st.lists(st.integers(), min_size=1, max_size=3)),
        st.just({"type": "boolean"}),
    ),
    lambda inner: st.one_of(
        st.builds(lambda items, least: {"type": "array", "items": items, "minItems": least}, inner, st.integers(0, 4)),
        st.builds(
            lambda properties: {"type": "object", "properties": properties, "required": list(properties)},
            st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        ),
        st.builds(lambda schema: {"oneOf": [schema]}, inner),
    ),
    max_leaves=8,
)


@given(SIMPLE)
def test_a_value_is_valid_and_always_the_same(schema: dict[str, Any]) -> None:
    value = sample(schema, REFERENCES)

    Draft202012Validator(schema).validate(value)
    assert sample(schema, REFERENCES) == value


KEYS = (
    "$ref", "allOf", "enum", "exclusiveMaximum", "items", "maxLength", "minimum", "minItems", "multipleOf", "oneOf",
    "properties", "required", "type",
)  # fmt: skip
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)),
)


@given(ANYTHING)
def test_no_schema_raises(schema: Any) -> None:
    sample(schema, REFERENCES)
