from __future__ import annotations

from typing import Any

import pytest
from gateway_core.config import ConfigModel, Duration, SchemaValidator, Size
from gateway_core.config.problems import format_path
from pydantic import SecretStr


def texts(schema: dict[str, Any], value: Any, **more: Any) -> list[str]:
    problems = SchemaValidator(schema, **more).problems(value)
    return [f"{format_path(problem.path)}: {problem.text}" for problem in problems]


def prop(schema: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": schema}}


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"type": "string"}, 7, "7 is a number, where text is expected: put it in quotes"),
        ({"type": "integer"}, 1.5, "1.5 is a number, where a whole number is expected"),
        ({"type": "integer"}, "10", '"10" is text, where a whole number is expected: write 10 without quotes'),
        ({"type": "boolean"}, "on", '"on" is text, where true or false is expected: write true'),
        ({"type": ["string", "null"]}, {}, "is a mapping, where text is expected"),
        ({"type": "array"}, None, "has no value, where a list is expected"),
        ({"enum": ["json", "combined"]}, "jsn", '"jsn" is not one of json and combined: did you mean "json"?'),
        ({"const": 1}, 2, "2 is not 1"),
        ({"minimum": 0}, -1, "-1 is less than the minimum of 0"),
        ({"maximum": 1}, 2, "2 is greater than the maximum of 1"),
        ({"exclusiveMinimum": 0}, 0, "0 is not greater than 0"),
        ({"exclusiveMaximum": 1}, 1, "1 is not less than 1"),
        ({"multipleOf": 2}, 3, "3 is not a multiple of 2"),
        ({"minLength": 1}, "", '"" is shorter than 1 character'),
        ({"maxLength": 2}, "abc", '"abc" is longer than 2 characters'),
        ({"pattern": "^a$"}, "b", '"b" does not match the pattern ^a$'),
        ({"format": "ipv4"}, "x", '"x" is not of the format ipv4'),
        (
            {"format": "regex"},
            "^/a(b",
            '"^/a(b" is not a regular expression: missing ), unterminated subpattern at character 4',
        ),
        ({"minItems": 1}, [], "is empty: give at least one, or leave it out"),
        ({"maxItems": 1}, [1, 2], "has more than 1 item"),
        ({"uniqueItems": True}, [1, 1], "holds the same item twice"),
        ({"contains": {"const": 1}}, [2], "lacks an item that is needed"),
        ({"minProperties": 1}, {}, "has fewer than 1 key"),
        ({"maxProperties": 0}, {"x": 1}, "has more than 0 keys"),
        ({"not": {"const": 1}}, 1, "1 is not allowed here"),
        (
            {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            [],
            "is a list, where text or a whole number is expected",
        ),
        ({"anyOf": [{"const": "x"}, {"enum": ["y", "z"]}]}, "q", '"q" is text, where x, y or z is expected'),
        ({"anyOf": [{"type": "string", "minLength": 2}, {"type": "null"}]}, "a", '"a" is shorter than 2 characters'),
    ],
)
def test_every_keyword_is_explained_in_our_words(schema: Any, value: Any, expected: str) -> None:
    assert texts(prop(schema), {"a": value}) == [f"a: {expected}"]


def test_a_mapping_that_may_be_left_out_is_explained_by_its_keys() -> None:
    schema = prop({"anyOf": [prop({"enum": ["x", "y"]}), {"type": "null"}]})

    assert texts(schema, {"a": {"a": "z"}}) == ['a.a: "z" is not one of x and y']


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"required": ["a", "b"]}, {}, ['a: "a" is missing', 'b: "b" is missing']),
        (
            {"properties": {"rate": {}}, "additionalProperties": False},
            {"rte": 1},
            ['rte: unknown key "rte": did you mean "rate"?'],
        ),
        ({"patternProperties": {"^x-": {}}, "additionalProperties": False}, {"x-a": 1, "y": 1}, ['y: unknown key "y"']),
        (
            {
                "$defs": {"Rules": {"properties": {"set": {}}}},
                "properties": {"x": {"$ref": "#/$defs/Rules"}, "y": {"anyOf": [{"$ref": "#/$defs/Rules"}, {}]}},
                "additionalProperties": False,
            },
            {"set": 1},
            ['set: unknown key "set": it belongs in x or y'],
        ),
        ({"properties": {"a": {}}, "unevaluatedProperties": False}, {"a": 1, "b": 1}, ['b: unknown key "b"']),
        ({"dependentRequired": {"cert": ["key"]}}, {"cert": 1}, ['key: "key" is missing: "cert" needs it']),
        ({"propertyNames": {"pattern": "^[a-z]+$"}}, {"A": 1}, ['A: "A" does not match the pattern ^[a-z]+$']),
        ({"if": {"required": ["a"]}, "then": {"required": ["b"]}}, {"a": 1}, ['b: "b" is missing']),
        ({"dependentSchemas": {"a": {"required": ["b"]}}}, {"a": 1}, ['b: "b" is missing']),
    ],
)  # fmt: skip
def test_problems_with_keys_are_problems_of_their_own(schema: Any, value: Any, expected: list[str]) -> None:
    assert texts({"type": "object", **schema}, value) == expected


def test_the_alternative_that_was_meant_is_explained() -> None:
    schema = {
        "oneOf": [
            {"properties": {"kind": {"const": "redis"}, "url": {"type": "string"}}, "required": ["kind", "url"]},
            {"properties": {"kind": {"const": "local"}}, "required": ["kind"], "additionalProperties": False},
        ]
    }

    assert texts(schema, {"kind": "redis"}) == ['url: "url" is missing']
    assert texts(schema, {"kind": "local", "ulr": 1}) == ['ulr: unknown key "ulr"']


class Config(ConfigModel):
    window: Duration = 1.0
    size: Size = 0
    secret: SecretStr
    keys: dict[str, SecretStr] = {}


def test_our_own_types_say_what_they_expect() -> None:
    schema = Config.model_json_schema()

    assert texts(schema, {"secret": "x", "window": 5, "size": "x"}) == [
        "window: 5 is not a duration: write for example 250ms, 5s, 2m, 1h or 1d",
        'size: "x" is not a size: write bytes, or for example 64KiB, 1MiB or 10MB',
    ]


def test_secrets_are_not_shown() -> None:
    schema = Config.model_json_schema()

    assert texts(schema, {"secret": 1234, "keys": {"a": 5678}}) == [
        "secret: the value is a number, where text is expected: put it in quotes",
        "keys.a: the value is a number, where text is expected: put it in quotes",
    ]
    assert texts(prop({"minLength": 9}), {"a": "hunter2"}, secret_paths=frozenset({"a"})) == [
        "a: the value is shorter than 9 characters"
    ]


def test_values_are_named_as_the_caller_says() -> None:
    problems = SchemaValidator(prop({"enum": ["x"]})).problems({"a": "y"}, lambda path, value: f"<{path} {value}>")

    assert problems[0].text == "<('a',) y> is not one of x"


def test_broken_schemas_say_where() -> None:
    with pytest.raises(ValueError, match=r"properties\.a\.type: 'objekt'"):
        SchemaValidator(prop({"type": "objekt"}))


def test_references_are_not_fetched() -> None:
    validator = SchemaValidator(prop({"$ref": "https://example.com/schema.json"}))

    with pytest.raises(ValueError, match=r'refers to "https://example\.com/schema\.json"'):
        validator.problems({"a": 1})


def test_alternatives_that_one_key_tells_apart_are_named_at_that_key() -> None:
    def shape(tag: str) -> dict[str, Any]:
        return {"type": "object", "properties": {"type": {"const": tag}}, "required": ["type"]}

    schema = {"oneOf": [shape("file"), shape("http")]}

    assert texts(schema, {"type": "fil"}) == ['type: "fil" is not one of file and http: did you mean "file"?']
    assert texts(schema, {}) == ['type: "type" is missing']
