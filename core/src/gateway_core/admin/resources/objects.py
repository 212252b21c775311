"""Routes and upstreams of the API's own document: read, written and removed with the revision that was read."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from pydantic import JsonValue

from gateway_core.admin.operation import LARGEST_DOCUMENT, ApiModel, Call, Operation
from gateway_core.admin.replies import Reply, json_reply
from gateway_core.config.api_document import KEYS, ApiDocument, Kind, StoredObject, check_match, merged, restored, shown
from gateway_core.errors import RefusedError

JsonObject = dict[str, JsonValue]


class WriteQuery(ApiModel):
    """How to write."""

    dry_run: bool = False
    """Validate and prepare everything and say what would change, and change nothing."""


class DocumentContent(ApiModel):
    """All objects of the API's document."""

    routes: list[JsonObject] = []
    """Routes, as the configuration has them; each needs an ``id``."""
    upstreams: list[JsonObject] = []
    """Upstreams, as the configuration has them."""


async def stored(call: Call, kind: Kind, name: str) -> StoredObject | None:
    """Return an object of the API's document; None if it has none of that name.

    :raises RefusedError: it belongs to a file or a source, or there is none at all.
    """
    return (await call.view.writer.document()).of(kind).get(name)


def object_reply(kind: Kind, name: str, found: StoredObject, outcome: Mapping[str, Any], status: int = 200) -> Reply:
    """Return an object with its revision, and what writing it has changed."""
    content = {KEYS[kind]: name, "revision": found.revision, "value": shown(dict(found.value)), **outcome}
    return json_reply(content, status, {"ETag": found.etag})


async def _put(kind: Kind, call: Call) -> Reply:
    name = call.path["name"]
    if call.body.get(KEYS[kind], name) != name:
        raise RefusedError(422, "invalid", f"the body has another {KEYS[kind]} than the path")
    await _refuse_others(call, kind, name)
    is_new = await stored(call, kind, name) is None

    def edit(document: ApiDocument) -> ApiDocument:
        before = _checked(call, document, kind, name)
        value = restored({KEYS[kind]: name, **call.body}, None if before is None else before.value)
        return document.put(kind, name, value)

    return await _written(call, kind, name, edit, 201 if is_new and not call.query.dry_run else 200)


async def _patch(kind: Kind, call: Call) -> Reply:
    name = call.path["name"]
    await _refuse_others(call, kind, name)

    def edit(document: ApiDocument) -> ApiDocument:
        before = _checked(call, document, kind, name, needs_it=True)
        assert before is not None
        value = restored(merged(before.value, call.body), before.value)
        if value.get(KEYS[kind]) != name:
            raise RefusedError(422, "invalid", f"the {KEYS[kind]} cannot be changed: make another object")
        return document.put(kind, name, value)

    return await _written(call, kind, name, edit, 200)


async def _delete(kind: Kind, call: Call) -> Reply:
    name = call.path["name"]
    await _refuse_others(call, kind, name)

    def edit(document: ApiDocument) -> ApiDocument:
        _checked(call, document, kind, name, needs_it=True)
        return document.remove(kind, name)

    _, outcome = await call.view.writer.write(edit, _why(call, kind, name), dry_run=call.query.dry_run)
    return json_reply({KEYS[kind]: name, "revision": None, "value": None, "outcome": dict(outcome)})


def _checked(
    call: Call, document: ApiDocument, kind: Kind, name: str, *, needs_it: bool = False
) -> StoredObject | None:
    before = document.of(kind).get(name)
    if before is None and needs_it:
        raise RefusedError(404, "not-found", f"the API's document has no such object: {name!r}")
    fields = call.request.headers
    check_match(fields.get("If-Match"), fields.get("If-None-Match"), before)
    return before


async def _written(call: Call, kind: Kind, name: str, edit: Any, status: int) -> Reply:
    document, outcome = await call.view.writer.write(edit, _why(call, kind, name), dry_run=call.query.dry_run)
    return object_reply(kind, name, document.of(kind)[name], {"outcome": dict(outcome)}, status)


def _why(call: Call, kind: Kind, name: str) -> str:
    return f"{call.request.method} {kind}/{name} by {call.caller.name}"


async def _refuse_others(call: Call, kind: Kind, name: str) -> None:
    """Refuse to write what a file or a source has.

    :raises RefusedError: 409, with its place.
    """
    place = (await call.view.loaded()).places_by_name(kind).get(name)
    if place is not None and place.file != call.view.writer.name:
        text = f"{kind[:-1]} {name!r} is written at {place}: change it there"
        raise RefusedError(409, "owned-by-file", text, more={"place": str(place)})


async def _document(call: Call) -> Reply:
    document = await call.view.writer.document()
    content: dict[str, Any] = {kind: [shown(dict(each.value)) for each in document.of(kind).values()] for kind in KEYS}
    return json_reply({"revision": document.revision, **content}, headers={"ETag": f'"{document.revision}"'})


async def _apply(call: Call, *, is_only_validated: bool = False) -> Reply:
    values: dict[Kind, Any] = {"routes": call.body.routes, "upstreams": call.body.upstreams}
    is_dry = is_only_validated or call.query.dry_run

    def edit(document: ApiDocument) -> ApiDocument:
        if not is_only_validated:
            fields = call.request.headers
            whole = StoredObject(document.revision, {})
            check_match(fields.get("If-Match"), fields.get("If-None-Match"), whole)
        return document.replaced(values)

    why = f"{call.request.method} config:apply by {call.caller.name}"
    document, outcome = await call.view.writer.write(edit, why, dry_run=is_dry)
    headers = {} if is_dry else {"ETag": f'"{document.revision}"'}
    return json_reply({"revision": document.revision, "outcome": dict(outcome)}, headers=headers)


_WRITE_ERRORS = (404, 409, 412, 422, 428, 503)


def _of(kind: Kind) -> tuple[Operation, ...]:
    one, path = kind[:-1], f"{kind}/{{name}}"
    return (
        Operation(
            "PUT", path, "editor", f"Make or replace a {one} of the API's document", partial(_put, kind),
            result=JsonObject, query=WriteQuery, body=JsonObject, success=(200, 201), errors=_WRITE_ERRORS,
            takes_if_match=True,
        ),
        Operation(
            "PATCH", path, "editor", f"Change a {one} of the API's document by a merge patch (RFC 7396)",
            partial(_patch, kind), result=JsonObject, query=WriteQuery, body=JsonObject, errors=_WRITE_ERRORS,
            takes_if_match=True,
        ),
        Operation(
            "DELETE", path, "editor", f"Remove a {one} of the API's document", partial(_delete, kind),
            result=JsonObject, query=WriteQuery, errors=_WRITE_ERRORS, takes_if_match=True,
        ),
    )  # fmt: skip


OPERATIONS: tuple[Operation, ...] = (
    *_of("routes"),
    *_of("upstreams"),
    Operation(
        "GET", "config/document", "viewer", "Return the API's document; its ETag is for config:apply", _document,
        result=JsonObject, errors=(503,),
    ),
    Operation(
        "POST", "config:apply", "editor", "Replace the API's document as a whole", _apply,
        result=JsonObject, query=WriteQuery, body=DocumentContent, errors=(409, 412, 422, 428, 503),
        largest_body=LARGEST_DOCUMENT, takes_if_match=True,
    ),
    Operation(
        "POST", "config:validate", "operator", "Validate a document in place of the API's, and change nothing",
        partial(_apply, is_only_validated=True), result=JsonObject, body=DocumentContent, errors=(422, 503),
        largest_body=LARGEST_DOCUMENT,
    ),
)  # fmt: skip
