from __future__ import annotations

import json
from typing import Any

import pytest
from gateway_openapi.documents import DocumentError, read_document
from gateway_openapi.templates import segments_of
from gateway_plugin_mock.operations import Api, Mocked, encode
from gateway_plugin_mock.preferences import Preferences

ANY = Preferences()


def api(**paths: Any) -> Api:
    return Api({"openapi": "3.1.0", "paths": paths})


def respond(responses: Any, preferences: Preferences = ANY, accept: str | None = None) -> Any:
    made = api(**{"/a": {"get": {"responses": responses}}})
    return made.respond(made.operations[0], preferences, accept)


def content(**media: Any) -> dict[str, Any]:
    return {"content": {"application/json": media}}


@pytest.mark.parametrize(
    ("keys", "code", "expected"),
    [
        (["404", "201", "200"], None, 200),
        (["2XX", "404"], None, 200),
        (["2XX", "202"], None, 202),
        (["default", "404"], None, 200),
        (["404", "4XX", "302"], None, 302),
        (["5xx"], None, 500),
        (["200", "404"], 404, 404),
        (["200", "4XX"], 418, 418),
        (["200", "default"], 503, 503),
        (["200"], 404, "no-code"),
        ([], None, "no-response"),
        (["101", "x", "2", "\u06602\u0660"], None, "no-response"),
    ],
)
def test_a_status_is_chosen(keys: list[str], code: int | None, expected: Any) -> None:
    made = respond({key: {} for key in keys}, Preferences(code))

    assert (made.status if isinstance(made, Mocked) else made) == expected


@pytest.mark.parametrize(
    ("media", "name", "expected"),
    [
        ({"example": {"a": 1}, "examples": {"x": {"value": 2}}}, None, b'{"a": 1}'),
        ({"examples": {"x": {"value": 2}, "y": {"value": 3}}}, None, b"2"),
        ({"examples": {"x": {"value": 2}, "y": {"value": 3}}}, "y", b"3"),
        ({"examples": {"x": {"externalValue": "http://a/"}}, "schema": {"type": "integer"}}, None, b"0"),
        ({"schema": {"type": "object", "example": {"a": "\u00fc"}}}, None, '{"a": "\u00fc"}'.encode()),
        ({"schema": {"default": []}}, None, b"[]"),
        ({"schema": {"type": "integer", "minimum": 7}}, None, b"7"),
        ({"example": '{"a": 1}'}, None, b'{"a": 1}'),
        ({"example": '{"a": 1}', "schema": {"type": "string"}}, None, b'"{\\"a\\": 1}"'),
        ({"example": "{a"}, None, b'"{a"'),
        ({"example": None}, None, b"null"),
        ({}, None, b'""'),
    ],
)
def test_a_body_is_the_example_or_what_the_schema_gives(media: Any, name: str | None, expected: bytes) -> None:
    made = respond({"200": content(**media)}, Preferences(None, name))

    assert (made.body, dict(made.fields)["Content-Type"]) == (expected, "application/json")


def test_an_example_that_there_is_not_is_a_failure() -> None:
    assert respond({"200": content(example=1)}, Preferences(None, "x")) == "no-example"


def test_the_media_type_that_has_the_example_and_is_accepted_is_sent() -> None:
    responses = {"200": {"content": {
        "application/xml": {"schema": {"type": "object"}},
        "text/csv": {"examples": {"x": {"value": "a,b"}}},
        "application/json": {"example": {"a": 1}},
    }}}  # fmt: skip

    assert respond(responses).body == b'{"a": 1}'
    assert respond(responses, accept="text/*").body == b"a,b"
    assert respond(responses, Preferences(None, "x")).body == b"a,b"
    assert respond(responses, accept="application/xml") == "no-body"
    assert respond(responses, accept="application/xml, text/csv;q=0.1").body == b"a,b"
    assert respond(responses, accept="image/png") == "not-acceptable"


def test_fields_are_made_of_what_the_document_says() -> None:
    headers = {
        "X-Limit": {"schema": {"type": "integer", "example": 100}},
        "X-Example": {"example": "a"},
        "X-List": {"schema": {"type": "array", "items": {"enum": ["x"]}, "minItems": 2}},
        "X-Object": {"schema": {"type": "object"}},
        "Content-Type": {"example": "text/x"},
        "Content-Length": {"example": 5},
    }

    made = respond({"204": {"headers": headers}})

    assert made.fields == (("X-Limit", "100"), ("X-Example", "a"), ("X-List", "x,x"))
    assert made.body == b""


def test_references_are_followed_wherever_they_stand() -> None:
    document = read_document(
        b"""
        openapi: 3.0.0
        paths:
          /a: {$ref: '#/components/pathItems/A'}
        components:
          pathItems: {A: {get: {responses: {'200': {$ref: '#/components/responses/R'}}}}}
          responses: {R: {content: {application/json: {examples: {x: {$ref: '#/components/examples/E'}}}}}}
          examples: {E: {value: 5}}
        """
    )
    made = Api(document)

    found = made.respond(made.operations[0], ANY, None)

    assert isinstance(found, Mocked)
    assert found.body == b"5"


def test_paths_of_servers_may_be_in_front() -> None:
    servers = [
        {"url": "https://{host}/{version}", "variables": {"host": {"default": "h"}, "version": {"default": "v1"}}},
        {"url": "/v1/eu/"}, {"url": 5}, "x", {"url": "http://[x"},
    ]  # fmt: skip
    made = Api({"openapi": "3.0.0", "servers": servers, "paths": {"/a": {"get": {}}, "/eu/b": {"put": {}}}})

    found = {path: made.find(segments_of(path)) for path in ("/a", "/v1/a", "/v1/eu/a", "/v1/eu/b", "/v2/a")}

    assert {path: None if each is None else list(each) for path, each in found.items()} == {
        "/a": ["GET"], "/v1/a": ["GET"], "/v1/eu/a": ["GET"], "/v1/eu/b": ["PUT"], "/v2/a": None,
    }  # fmt: skip


def test_templates_that_take_the_same_paths_with_the_same_method_are_an_error() -> None:
    with pytest.raises(DocumentError, match=r"has /a/\{x\} and /a/\{y\}, which take the same paths"):
        api(**{"/a/{x}": {"get": {}}, "/a/{y}": {"get": {}}})


def test_templates_that_take_the_same_paths_with_other_methods_are_one() -> None:
    found = api(**{"/a/{x}": {"get": {}}, "/a/{y}": {"put": {}}}).find(segments_of("/a/1"))

    assert found is not None
    assert {method: each.place for method, each in found.items()} == {
        "GET": "paths./a/{x}.get",
        "PUT": "paths./a/{y}.put",
    }


def test_what_is_odd_is_found() -> None:
    made = api(**{
        "/a": {"get": {"responses": {}}},
        "/b": {"get": {"responses": {"200": {"content": {"application/xml": {"example": {"a": 1}}}}}}},
    })  # fmt: skip

    assert list(made.findings()) == [
        "paths./a.get has no responses: it gets 501",
        (
            "the example of paths./b.get.responses.200.content.application/xml cannot be sent as application/xml: "
            "write it as text, below 1 MiB"
        ),
    ]


@pytest.mark.timeout(20)
def test_examples_are_bounded_whatever_aliases_make_of_them() -> None:
    bomb: Any = "x" * 50
    for _ in range(40):
        bomb = [bomb, bomb]

    assert encode(bomb, "application/json", {}) is None
    assert encode("x" * 2_000_000, "text/plain", {}) is None
    assert encode(float("inf"), "application/json", {}) is None


def test_values_are_written_as_their_type_has_them() -> None:
    assert encode({"a": 1, "b": "x y", "c": []}, "application/x-www-form-urlencoded", {}) == b"a=1&b=x+y"
    assert encode(5, "text/plain", {}) == b"5"
    assert encode(True, "text/plain", {}) == b"true"
    assert encode(None, "text/plain", {}) == b""
    assert encode([1], "text/plain", {}) is None
    assert json.loads(encode({"a": "\ud800"}, "application/json", {}) or b"") == {"a": "?"}


def test_responses_are_made_once_and_kept_within_bounds() -> None:
    made = api(**{"/a": {"get": {"responses": {"default": content(example=1), "2XX": content(example=2)}}}})

    first = made.respond(made.operations[0], Preferences(201), None)
    assert made.respond(made.operations[0], Preferences(201), None) is first
    for number in range(3000):
        made.respond(made.operations[0], Preferences(200 + number % 400, f"name-{number}"), None)
        made.respond(made.operations[0], Preferences(200 + number % 400), None)
    assert len(made._made) <= 1000
