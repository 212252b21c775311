from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from gateway_openapi.documents import DocumentError
from gateway_plugin_validate.files import Files
from gateway_plugin_validate.schemas import Direction, Schemas, Version, compile_schema

PETS = {
    "Cat": {"type": "object", "required": ["lives"], "properties": {"lives": {"type": "integer"}}},
    "Dog": {"type": "object", "required": ["tricks"], "properties": {"tricks": {"type": "array"}}},
    "Node": {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Node"}, "n": {"type": "integer"}}},
}
EITHER = {"oneOf": [{"$ref": "#/components/schemas/Cat"}, {"$ref": "#/components/schemas/Dog"}]}


def is_valid(schema: Any, value: Any, version: str = "3.0", direction: str = "request", **options: Any) -> bool:
    files = Files(Path("api.yaml"), {"components": {"schemas": PETS}})
    schemas = Schemas(files, cast("Version", version), **options)
    place = files.main.child("x")
    return schemas.compile(schemas.bundle(schema, place, cast("Direction", direction)), place).is_valid(value)


@pytest.mark.parametrize(
    ("version", "schema", "good", "bad"),
    [
        ("3.0", {"type": "string", "nullable": True}, None, 1),
        ("3.0", {"nullable": True, "allOf": [{"$ref": "#/components/schemas/Cat"}]}, None, {}),
        ("3.1", {"type": ["string", "null"]}, None, 1),
        ("3.1", {"type": "string", "nullable": True}, "", None),
        ("3.0", {"type": "number", "minimum": 1, "exclusiveMinimum": True}, 2, 1),
        ("3.0", {"type": "number", "maximum": 1, "exclusiveMaximum": False}, 1, 2),
        ("3.1", {"exclusiveMinimum": 1}, 2, 1),
        ("3.0", {"type": "integer", "format": "int32"}, 2**31 - 1, 2**31),
        ("3.0", {"type": "integer", "format": "int64"}, -(2**63), 2**63),
        ("3.0", {"type": "string", "format": "byte"}, "YWI=", "YWI"),
        ("3.0", {"type": "string", "format": "date"}, "2024-02-29", "2023-02-29"),
        ("3.0", {"type": "string", "format": "date-time"}, "2024-02-29T00:00:00Z", "2024-02-29"),
        ("3.0", {"type": "string", "format": "uuid"}, "2c5ea4c0-4067-11e9-8bad-9b1deb4d3b7d", "2c5ea4c0"),
        ("3.0", {"type": "string", "format": "ipv4"}, "192.0.2.1", "192.0.2.256"),
        ("3.0", {"type": "string", "format": "of-our-own"}, "x", 1),
        ("3.0", {"$ref": "#/components/schemas/Cat", "type": "string"}, {"lives": 9}, "x"),
        ("3.1", {"$ref": "#/components/schemas/Cat", "maxProperties": 1}, {"lives": 9}, {"lives": 9, "a": 1}),
        ("3.0", {"const": 1, "type": "integer"}, 2, "x"),
        ("3.1", {"const": 1}, 1, 2),
        ("3.1", {"prefixItems": [{"type": "string"}], "items": False}, ["a"], ["a", 1]),
        ("3.1", {"patternProperties": {"^x-": {"type": "string"}}}, {"x-a": "b", "c": 1}, {"x-a": 1}),
        ("3.1", {"properties": {"a": True}, "unevaluatedProperties": False}, {"a": 1}, {"b": 1}),
        ("3.1", {"dependentRequired": {"a": ["b"]}}, {"b": 1}, {"a": 1}),
        ("3.0", {"$ref": "#/components/schemas/Node"}, {"next": {"next": {"n": 1}}}, {"next": {"next": {"n": "1"}}}),
        ("3.0", {"type": "string", "example": 7, "xml": {"name": "x"}, "x-own": {"$ref": 7}}, "a", 1),
        ("schema", {"items": [{"type": "string"}], "additionalItems": False}, ["a"], [1]),
        ("schema", {"dependencies": {"a": {"required": ["b"]}}}, {"b": 1}, {"a": 1}),
    ],
)
def test_a_schema_takes_and_refuses(version: str, schema: Any, good: Any, bad: Any) -> None:
    if version == "schema":
        files = Files(Path("schema.json"), schema)
        schemas = Schemas(files, "schema")
        schemas.use_dialect_of({"$schema": "http://json-schema.org/draft-07/schema#"})
        validator = schemas.compile(schemas.bundle(schema, files.main, "request"), files.main)
        assert (validator.is_valid(good), validator.is_valid(bad)) == (True, False)
    else:
        assert (is_valid(schema, good, version), is_valid(schema, bad, version)) == (True, False)


@pytest.mark.parametrize(
    ("mapping", "value", "valid"),
    [
        (None, {"kind": "Cat", "lives": 9}, True),
        (None, {"kind": "Dog", "lives": 9}, False),
        (None, {"kind": "Cow", "lives": 9}, False),
        (None, {"lives": 9}, False),
        (None, {"kind": "Cat", "lives": 9, "tricks": []}, True),
        ({"kitty": "#/components/schemas/Cat", "puppy": "Dog"}, {"kind": "kitty", "lives": 9}, True),
        ({"kitty": "#/components/schemas/Cat", "puppy": "Dog"}, {"kind": "puppy", "lives": 9}, False),
        ({"kitty": "#/components/schemas/Cat"}, {"kind": "Dog", "tricks": []}, True),
    ],
)
def test_a_discriminator_chooses_the_schema_that_counts(mapping: Any, value: Any, valid: bool) -> None:
    discriminator = {"propertyName": "kind"} | ({} if mapping is None else {"mapping": mapping})

    assert is_valid({**EITHER, "discriminator": discriminator}, value) == valid


def test_what_is_only_for_one_direction_is_not_required_and_refused_in_the_other() -> None:
    schema = {
        "type": "object",
        "required": ["id", "password"],
        "properties": {"id": {"readOnly": True}, "password": {"writeOnly": True}},
    }

    assert is_valid(schema, {"password": "x"})
    assert not is_valid(schema, {"password": "x", "id": 1})
    assert is_valid(schema, {"password": "x", "id": 1}, refuse_read_only=False)
    assert not is_valid(schema, {"id": 1})
    assert is_valid(schema, {"id": 1}, direction="response")
    assert not is_valid(schema, {"id": 1, "password": "x"}, direction="response")


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"pattern": "(?=a)b"}, "x: the pattern .* is no regular expression of linear time"),
        ({"properties": {"a": {"pattern": r"(a)\1"}}}, "x/properties/a: the pattern"),
        ({"patternProperties": {"(?<!a)b": True}}, "x/patternProperties: the pattern"),
        ({"pattern": "("}, "the pattern"),
        ({"pattern": "(a{1000}){1000}"}, "the pattern"),
        ({"pattern": 7}, "is no pattern"),
        ({"type": "strin"}, "x is no schema: type"),
        ({"properties": []}, "x/properties is no mapping"),
        ({"allOf": {}}, "x/allOf is no list"),
        ([], "x is no schema"),
        ({"$ref": "#/components/schemas/Cow"}, "refers to .* which is not there"),
        ({"$ref": "https://example.com/schema"}, "nothing is fetched"),
        ({"properties": {"a": {"$dynamicRef": "#a"}}}, "which is not supported"),
        ({"$id": "https://example.com/schema"}, "which is not supported"),
    ],
)
def test_a_schema_that_cannot_be_used_is_a_problem_with_its_place(schema: Any, reason: str) -> None:
    with pytest.raises(DocumentError, match=reason):
        is_valid(schema, 1, "3.1")


@pytest.mark.timeout(20)
def test_aliases_do_not_make_a_schema_that_fills_the_memory() -> None:
    node: Any = {"type": "string"}
    for _ in range(60):
        node = {"properties": {"a": node, "b": node}}

    with pytest.raises(DocumentError, match="more than 200000 parts"):
        is_valid(node, 1)


@pytest.mark.timeout(20)
def test_a_long_chain_of_references_is_no_recursion() -> None:
    links = [{"items": {"$ref": f"#/n/{index + 1}"}} for index in range(3000)]
    files = Files(Path("x"), {"n": [*links, {"type": "string"}]})

    compiled = compile_schema(Schemas(files, "3.1").bundle({"$ref": "#/n/2999"}, files.main, "request"))
    long = compile_schema(Schemas(files, "3.1").bundle({"$ref": "#/n/0"}, files.main, "request"))

    assert (compiled.is_valid(["x"]), compiled.is_valid([1])) == (True, False)
    assert long.is_valid([[[]]])
