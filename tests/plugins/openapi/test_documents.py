from __future__ import annotations

import json
from typing import Any

import pytest
from gateway_openapi.documents import LARGEST_YAML, DocumentError, References, read_document, references_in
from hypothesis import given
from hypothesis import strategies as st

START = "openapi: 3.0.3\ninfo: {}\npaths:\n  /a: {get: {}}\n"


def test_yaml_and_json_are_read_alike() -> None:
    document = {"openapi": "3.1.0", "paths": {"/a": {"get": {"responses": {"200": {}}}}}}
    flow = b"{openapi: 3.1.0, paths: {/a: {get: {responses: {200: {}}}}}}"

    assert read_document(json.dumps(document).encode()) == read_document(flow) == document


def test_scalars_of_yaml_are_those_of_json() -> None:
    more = "x: {a: on, b: 012, c: 2026-01-01, d: 12:30, e: 1_0, f: true, g: -3, h: 1.5, i: ~, j: , k: 0x1f, 7: 1e3}\n"

    assert read_document((START + more).encode())["x"] == {
        "a": "on", "b": "012", "c": "2026-01-01", "d": "12:30", "e": "1_0", "f": True, "g": -3, "h": 1.5, "i": None,
        "j": None, "k": "0x1f", "7": 1000.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no OpenAPI document"),
        ("- a", "is no OpenAPI document"),
        ("a: [", "is no YAML: line 2"),
        ("a: b: c", "is no YAML: line 1"),
        ('{"openapi": 3,}', "is no JSON: line 1"),
        ('{"openapi": NaN}', "NaN is no JSON"),
        ("swagger: '2.0'", "is a document of Swagger 2: convert it to OpenAPI 3"),
        ("openapi: 2.0.0", "write a document of version 3.0 or 3.1"),
        ("openapi: 3.1.0", "has no paths"),
        ("openapi: 3.1.0\npaths: {}", "has no paths"),
        ("openapi: 3.1.0\npaths: {a: {}}", "begin it with /"),
        ("openapi: 3.1.0\npaths: {/a: 5}", "has no operations at the path '/a'"),
        ("a: !!python/object/apply:os.system [id]", "has the tag 'tag:yaml.org,2002:python"),
        ("&a [*a]", "stands for nothing, or for what it is in"),
        ("[" * 5000 + "]" * 5000, "nested more than"),
        ('{"a":' * 50000, "nested more than"),
        ('{"a": ' + "9" * 5000 + "}", "cannot be read"),
    ],
)
def test_what_is_no_document_is_named_with_the_remedy(text: str, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        read_document(text.encode())


def test_what_is_no_text_or_too_much_yaml_is_refused() -> None:
    with pytest.raises(DocumentError, match="UTF-8: see byte 1"):
        read_document(b"a\xff")
    with pytest.raises(DocumentError, match="more than 4 MiB: write it as JSON"):
        read_document(b"a: " + b"b" * LARGEST_YAML)


@pytest.mark.timeout(20)
def test_aliases_that_double_take_no_more_than_they_are() -> None:
    lines = "".join(f"  a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 30))

    document = read_document(f"{START}x:\n  a0: &a0 [x]\n{lines}".encode())

    assert references_in(document) == {}


@given(st.text(max_size=80))
def test_no_text_raises_anything_else(text: str) -> None:
    with pytest.raises(DocumentError):
        read_document(text.encode("utf-8", "surrogatepass"))


DOCUMENT: dict[str, Any] = {
    "a/b": {"~c": [{"d": 1}, 5]},
    "loop": {"$ref": "#/loop"},
    "ref": {"$ref": "#/a~1b"},
    "x y": 3,
}


@pytest.mark.parametrize(
    ("reference", "expected"),
    [("#/a~1b/~0c/0/d", 1), ("#/a~1b/~0c/1", 5), ("#/x%20y", 3), ("#", DOCUMENT)],
)
def test_a_reference_is_a_pointer_into_the_document(reference: str, expected: Any) -> None:
    assert References(DOCUMENT).find(reference) == expected


@pytest.mark.parametrize("reference", ["#/none", "#/a~1b/~0c/9", "#/a~1b/~0c/-1", "#/x y/z", "other.yaml#/a", "#a", ""])
def test_a_reference_to_nothing_is_an_error_and_nothing_when_resolved(reference: str) -> None:
    references = References(DOCUMENT)

    with pytest.raises(KeyError):
        references.find(reference)
    assert references.resolve({"$ref": reference}) == {}


def test_references_are_followed_and_end() -> None:
    references = References(DOCUMENT)

    assert references.resolve(DOCUMENT["ref"]) == DOCUMENT["a/b"]
    assert references.resolve(DOCUMENT["loop"]) == {}
    assert references.resolve([]) == {}


def test_references_are_found_with_their_places_but_not_in_examples() -> None:
    document = {"paths": {"/a": {"$ref": "#/x", "example": {"$ref": "#/y"}}}, "z": [{"$ref": "other.yaml"}]}

    assert references_in(document) == {"#/x": "/paths/~1a", "other.yaml": "/z/0"}
