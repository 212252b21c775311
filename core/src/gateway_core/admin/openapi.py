"""The OpenAPI document (3.1) of the admin API, made from the table of operations that serves it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from http import HTTPStatus
from typing import Any, Final

from pydantic import TypeAdapter

from gateway_core.admin.operation import API, ApiModel, Call, Operation
from gateway_core.admin.replies import EVENT_STREAM, PROBLEM, Reply, json_reply
from gateway_core.config.written_defaults import with_written_defaults

_JSON: Final = "application/json"
_COMMON_ERRORS: Final = (401, 403, 422, 429)
_BODY_ERRORS: Final = (400, 408, 413, 415)


class Problem(ApiModel):
    """Problem details (RFC 9457)."""

    type: str
    """Always ``about:blank``."""
    title: str
    """The phrase of the status."""
    status: int
    """The status of the response."""
    code: str
    """A stable name of the reason."""
    detail: str
    """The reason for people."""
    problems: list[dict[str, Any]] = []
    """What is wrong with a configuration, as ``gateway check --json`` prints it."""
    report: str = ""
    """The same as text, with excerpts and carets."""
    place: str = ""
    """Where the object is written that the API does not own."""
    revision: int | None = None
    """Revision of the object, where a precondition does not hold."""
    upstreams: list[str] = []
    """Which it may be, where a name is not enough."""


def operation(operations: Callable[[], Sequence[Operation]]) -> Operation:
    """Return the operation that serves the document.

    :param operations: returns the table, of which this operation is a part.
    """

    async def serve(_call: Call) -> Reply:
        return json_reply(_document(tuple(operations())))

    return Operation("GET", "openapi.json", "viewer", "Return this document", serve, result=dict[str, Any])


@cache
def _document(operations: tuple[Operation, ...]) -> dict[str, Any]:
    return document(operations)


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the document of a table of operations, ready for JSON."""
    shapes = _Shapes()
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        path = re.sub(r"\{(\w+)\*\}", r"{\1}", f"/{each.path}")
        paths.setdefault(path, {})[each.method.lower()] = _operation(each, shapes)
    shapes.of(Problem)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Admin API of the gateway",
            "version": "1",
            "description": "See docs/admin.md. Names in paths are percent-encoded, their slashes as well.",
        },
        "servers": [{"url": API.removesuffix("/")}],
        "security": [{"bearer": []}, {}],
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": dict(sorted(shapes.schemas.items())),
        },
    }


class _Shapes:
    """The schemas of models, each once."""

    def __init__(self) -> None:
        self.schemas: dict[str, Any] = {}

    def of(self, kind: Any) -> dict[str, Any]:
        """Return the schema of a type, whose models are components."""
        schema: dict[str, Any] = with_written_defaults(
            TypeAdapter(kind).json_schema(ref_template="#/components/schemas/{model}")
        )
        self.schemas.update(schema.pop("$defs", {}))
        if isinstance(kind, type) and issubclass(kind, ApiModel):
            self.schemas[kind.__name__] = schema
            return {"$ref": f"#/components/schemas/{kind.__name__}"}
        return schema


def _operation(each: Operation, shapes: _Shapes) -> dict[str, Any]:
    name = "_".join(re.findall(r"[A-Za-z]+", each.path))
    parameters = list(_parameters(each, shapes))
    found: dict[str, Any] = {
        "operationId": f"{each.method.lower()}_{name}",
        "summary": each.summary,
        "description": f"Needs the role {each.role}{', or more' if each.role_of is not None else ''}.",
        "tags": [re.split(r"[/:.]", each.path)[0]],
        "x-role": each.role,
        **({"parameters": parameters} if parameters else {}),
        "responses": dict(_responses(each, shapes)),
    }
    if each.body is not None:
        content = {_JSON: {"schema": shapes.of(each.body)}}
        found["requestBody"] = {"required": not each.body_is_optional, "content": content}
    return found


def _parameters(each: Operation, shapes: _Shapes) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"\{(\w+)\*?\}", each.path):
        schema = {"type": "string", "minLength": 1}
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    shapes_of_query = each.query.model_json_schema(ref_template="#/components/schemas/{model}")
    shapes.schemas.update(shapes_of_query.get("$defs", {}))
    required = shapes_of_query.get("required", ())
    for name, schema in shapes_of_query.get("properties", {}).items():
        plain = {key: value for key, value in schema.items() if key not in {"description", "title"}}
        more = {"description": schema["description"]} if "description" in schema else {}
        yield {"name": name, "in": "query", "required": name in required, **more, "schema": plain}
    if each.takes_if_match:
        for name, text in (
            ("If-Match", "The ETag of the object as it was read."),
            ("If-None-Match", "`*`: the object must not exist yet."),
        ):
            schema = {"type": "string"}
            yield {"name": name, "in": "header", "required": False, "description": text, "schema": schema}


def _responses(each: Operation, shapes: _Shapes) -> Iterator[tuple[str, Any]]:
    if each.result is None:
        success: dict[str, Any] = {EVENT_STREAM: {"schema": {"type": "string"}}}
    else:
        success = {_JSON: {"schema": shapes.of(each.result)}}
    for status in each.success:
        headers = {"ETag": {"schema": {"type": "string"}}} if each.takes_if_match else {}
        more = {"headers": headers} if headers else {}
        yield str(status), {"description": HTTPStatus(status).phrase, **more, "content": success}
    problem = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for status in sorted({*each.errors, *_COMMON_ERRORS, *(_BODY_ERRORS if each.method != "GET" else ())}):
        content = {**problem, **success} if each.reports_errors and status in each.errors else problem
        yield str(status), {"description": HTTPStatus(status).phrase, "content": content}
