from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gateway_openapi.documents import DocumentError
from gateway_plugin_validate.operations import Api

ID = {"name": "id", "in": "path", "schema": {"type": "integer"}}


def api(paths: dict[str, Any], **more: Any) -> Api:
    document = {"openapi": "3.1.0", "paths": paths, **more}
    return Api(document, Path("api.yaml"), refuse_read_only=True, responses=True)


@pytest.mark.parametrize(
    ("path", "captured"),
    [
        ("/pets/7", {"id": ["7"]}),
        ("/v1/pets/7", {"id": ["7"]}),
        ("/pets/a%2Fb", {"id": ["a%2Fb"]}),
        ("/pets/7;v=1", {"id": ["7;v=1"]}),
        ("/files/a.b.json", {"name": ["a.b"]}),
        ("/files/x-y.txt", {"left": ["x"], "right": ["y"]}),
        ("/files/x-y-z.txt", {"left": ["x"], "right": ["y-z"]}),
        ("/p%65ts/7", {"id": ["7"]}),
    ],
)
def test_a_path_gives_the_parameters_of_its_template(path: str, captured: dict[str, list[str]]) -> None:
    paths = {
        "/pets/{id}": {"get": {"parameters": [ID]}},
        "/files/{name}.json": {"get": {}},
        "/files/{left}-{right}.txt": {"get": {}},
    }
    segments = path.split("/")[1:]

    operations = api(paths, servers=[{"url": "/v1"}]).find(segments)

    assert operations is not None
    assert operations["GET"].path_texts(segments) == captured


@pytest.mark.parametrize("path", ["/pets", "/pets/", "/pets//7", "/pets/7/", "/v2/pets/7", "/"])
def test_other_paths_have_no_operation(path: str) -> None:
    assert api({"/pets/{id}": {"get": {}}}).find(path.split("/")[1:]) is None


def test_parameters_of_an_operation_take_the_place_of_those_of_its_path() -> None:
    other = {"name": "id", "in": "path", "schema": {"type": "string"}}
    paths = {"/pets/{id}": {"parameters": [ID], "get": {}, "put": {"parameters": [other]}}}

    operations = api(paths).find(["pets", "x"])

    assert operations is not None
    counts = {name: len(list(each.path[0].failures({"id": ["x"]}))) for name, each in operations.items()}
    assert counts == {"GET": 1, "PUT": 0}


def test_templates_for_the_same_paths_have_the_parameters_of_their_own_methods() -> None:
    text = {"name": "key", "in": "path", "schema": {"type": "string"}}
    paths = {"/pets/{id}": {"delete": {"parameters": [ID]}}, "/pets/{key}": {"get": {"parameters": [text]}}}

    operations = api(paths).find(["pets", "x"])

    assert operations is not None
    texts = {method: each.path_texts(["pets", "x"]) for method, each in operations.items()}
    assert texts == {"DELETE": {"id": ["x"]}, "GET": {"key": ["x"]}}


@pytest.mark.parametrize(
    ("paths", "reason"),
    [
        (
            {"/a/{x}": {"get": {}}, "/a/{y}": {"get": {}, "put": {}}},
            "take the same paths, with the methods GET in both",
        ),
        ({"/a": {"get": {"parameters": [ID]}}}, "not in its path: id"),
        ({"/a": {"get": {"parameters": [7]}}}, "is no parameter"),
        ({"/a": {"get": {"requestBody": {"content": {"json": {}}}}}}, "is no media type"),
        ({"/a": {"get": {"parameters": [{"$ref": "#/none"}]}}}, "not there"),
    ],
)
def test_a_document_that_cannot_be_meant_is_a_problem(paths: dict[str, Any], reason: str) -> None:
    with pytest.raises(DocumentError, match=reason):
        api(paths)
