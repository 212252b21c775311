from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gateway_openapi.documents import DocumentError
from gateway_plugin_validate.files import Files
from gateway_plugin_validate.parameters import Parameter, read_pairs
from gateway_plugin_validate.schemas import Schemas

INTEGERS = {"type": "array", "items": {"type": "integer"}}
POINT = {"type": "object", "required": ["x"], "properties": {"x": {"type": "integer"}, "y": {"type": "number"}}}


def parameter(**node: Any) -> Parameter:
    files = Files(Path("api.yaml"), {})
    return Parameter(Schemas(files, "3.1"), node, files.main)


def keywords(node: dict[str, Any], sent: Any) -> list[tuple[str, str]]:
    texts = read_pairs(sent) if isinstance(sent, str) else sent
    return [(each.pointer, each.keyword) for each in parameter(**node).failures(texts)]


def query(schema: Any, **more: Any) -> dict[str, Any]:
    return {"name": "p", "in": "query", "schema": schema, **more}


def path(schema: Any, **more: Any) -> dict[str, Any]:
    return {"name": "p", "in": "path", "schema": schema, **more}


@pytest.mark.parametrize(
    ("node", "good", "bad"),
    [
        (query({"type": "integer"}), "p=-12", "p=1.5"),
        (query({"type": "integer"}), "p=0", "p=01"),
        (query({"type": "number"}), "p=1e3", "p=1e999"),
        (query({"type": "number"}), "p=1.5", "p=NaN"),
        (query({"type": "integer"}), "p=7", "p=" + "9" * 400),
        (query({"type": "boolean"}), "p=true", "p=True"),
        (query({"type": "string", "maxLength": 3}), "p=123", "p=1234"),
        (query({"type": ["integer", "string"], "maxLength": 3}), "p=12345", "p=abcd"),
        (query({"oneOf": [{"type": "integer", "maximum": 9}, {"type": "boolean"}]}), "p=false", "p=10"),
        (query({"enum": [1, 2]}), "p=2", "p=3"),
        (query({"type": "string"}), "p=a%20b+c", "p=%ff"),
        (query({"type": "integer"}), "q=1", "p=1&p=1"),
        (query({"type": "integer"}, required=True), "p=1", "q=1"),
        (query({"type": "integer"}, allowEmptyValue=True), "p=", "p=a"),
        (query(INTEGERS), "p=1&p=2", "p=1&p=a"),
        (query(INTEGERS, explode=False), "p=1,2", "p=1%2C2"),
        (query(INTEGERS, explode=False), "p=1,2", "p=1&p=2"),
        (query(INTEGERS, style="spaceDelimited"), "p=1%202+3", "p=1,2"),
        (query(INTEGERS, style="pipeDelimited"), "p=1|2%7C3", "p=1,2"),
        (query(POINT), "x=1&y=2.5", "x=a"),
        (query(POINT, explode=False), "p=x,1,y,2.5", "p=x,1,y"),
        (query(POINT, style="deepObject"), "p[x]=1&p%5By%5D=2", "p[x]=1&p[x]=2"),
        (query(POINT, style="deepObject"), "p[x]=1", "p[x][y]=1"),
        (query(POINT, style="deepObject"), "p[x]=1", "p[y]=1"),
        (path({"type": "integer"}), {"p": ["7"]}, {"p": ["x"]}),
        (path(INTEGERS), {"p": ["1,2"]}, {"p": ["1%2C2"]}),
        (path(POINT), {"p": ["x,1"]}, {"p": ["y,1"]}),
        (path(POINT, explode=True), {"p": ["x=1,y=2"]}, {"p": ["x=1,x=2"]}),
        (path({"type": "integer"}, style="label"), {"p": [".7"]}, {"p": ["7"]}),
        (path(INTEGERS, style="label", explode=True), {"p": [".1.2"]}, {"p": ["1.2"]}),
        (path({"type": "integer"}, style="matrix"), {"p": [";p=7"]}, {"p": [";q=7"]}),
        (path(INTEGERS, style="matrix"), {"p": [";p=1,2"]}, {"p": [";p=a"]}),
        (path(INTEGERS, style="matrix", explode=True), {"p": [";p=1;p=2"]}, {"p": [";p=1;q=2"]}),
        (path(POINT, style="matrix", explode=True), {"p": [";x=1;y=2"]}, {"p": [";y=2"]}),
        ({"name": "X", "in": "header", "schema": INTEGERS}, {"X": ["1, 2", "3"]}, {"X": ["1; 2"]}),
        ({"name": "X", "in": "header", "schema": {"type": "integer"}}, {"X": ["1"]}, {"X": ["1", "2"]}),
        ({"name": "c", "in": "cookie", "schema": {"type": "integer"}}, {"c": ["1"]}, {"c": ["a"]}),
        (
            {"name": "p", "in": "query", "content": {"application/json": {"schema": POINT}}},
            "p=%7B%22x%22:1%7D",
            "p=%7B%22x%22:1,%22x%22:1%7D",
        ),
    ],
)
def test_a_parameter_takes_and_refuses(node: dict[str, Any], good: Any, bad: Any) -> None:
    assert keywords(node, good) == []
    assert len(keywords(node, bad)) == 1


def test_places_are_within_the_parameter() -> None:
    assert keywords(query(INTEGERS), "p=1&p=a&p=b") == [("#/1", "type"), ("#/2", "type")]
    assert keywords(query(POINT, style="deepObject"), "p[x]=1&p[y]=a") == [("#/y", "type")]


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        ({"in": "body", "name": "a"}, "is no parameter"),
        ({"in": "query"}, "is no parameter"),
        ({"in": "query", "name": "a", "style": "matrix"}, "has the style 'matrix': write one of form"),
        ({"in": "query", "name": "a", "schema": {"pattern": "("}}, "the pattern"),
    ],
)
def test_what_is_no_parameter_is_a_problem(node: dict[str, Any], reason: str) -> None:
    with pytest.raises(DocumentError, match=reason):
        parameter(**node)
