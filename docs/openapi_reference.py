"""Writes ``openapi.json`` and ``admin-api.md`` from the table of operations of the admin API.

Run it after a change of the table: ``python docs/openapi_reference.py``. A test compares.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from gateway_core.admin.openapi import document
from gateway_core.admin.resources import OPERATIONS

DOCUMENT: Final = Path(__file__).with_name("openapi.json")
PAGE: Final = Path(__file__).with_name("admin-api.md")

INTRODUCTION: Final = """\
# Operations of the admin API

All operations below `/api/v1/` (this page is made by `python docs/openapi_reference.py`); [the admin API](admin.md)
explains how they belong together. The same as an OpenAPI document (3.1) is in [openapi.json](openapi.json), and at
`GET /api/v1/openapi.json` of every gateway.

Errors are `application/problem+json`. Beside those that are listed every operation may have 401, 403, 422 and 429, and
one with a body 400, 408, 413 and 415. Names in paths are percent-encoded, their slashes as well.
"""


def document_text() -> str:
    """Return the document as it is committed."""
    return json.dumps(document(OPERATIONS), indent=2, ensure_ascii=False) + "\n"


def page() -> str:
    """Return the page."""
    found = document(OPERATIONS)
    return "\n".join([INTRODUCTION, *_lines(found), ""])


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    schemas = found["components"]["schemas"]
    for each in OPERATIONS:
        path = "/" + each.path.replace("*}", "}")
        operation = found["paths"][path][each.method.lower()]
        yield f"## {each.method} {path}\n"
        more = " or more" if each.role_of is not None else ""
        yield f"{operation['summary']}. Role: `{each.role}`{more}.\n"
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        members = schemas.get(body.get("$ref", "").rpartition("/")[2], {})
        rows = [
            *((p["in"], p["name"], p["schema"], p["required"], p.get("description", ""))
              for p in operation.get("parameters", ())),
            *(("body", name, schema, name in members.get("required", ()), schema.get("description", ""))
              for name, schema in members.get("properties", {}).items()),
        ]  # fmt: skip
        if rows:
            yield "| in | name | | default | |"
            yield "|---|---|---|---|---|"
            for place, name, schema, required, text in rows:
                default = "required" if required else _code(schema["default"]) if "default" in schema else ""
                yield f"| {place} | `{name}` | {_kind(schema)} | {default} | {_line(text)} |"
            yield ""
        elif body:
            yield "The body is a JSON object.\n"
        statuses = ", ".join(map(str, (*each.success, *each.errors)))
        yield f"Statuses: {statuses}.\n"


def _code(value: Any) -> str:
    return "" if value in (None, "", []) else f"`{json.dumps(value)}`"


def _kind(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"] if each.get("type") != "null")
    return str(schema.get("type", schema.get("$ref", "any").rpartition("/")[2]))


def _line(text: str) -> str:
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|")


if __name__ == "__main__":
    DOCUMENT.write_text(document_text(), "utf-8")
    PAGE.write_text(page(), "utf-8")
