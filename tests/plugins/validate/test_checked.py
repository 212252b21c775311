"""Which places of a document have one compiled schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_validate.checked import Checked, checked
from gateway_plugin_validate.files import Files
from gateway_plugin_validate.schemas import Direction, Schemas

ID = {"type": "integer", "readOnly": True}
USER = {"type": "object", "properties": {"id": ID, "boss": {"$ref": "#/components/schemas/User"}}}
ALIAS = {"$ref": "#/components/schemas/User"}
DOCUMENT = {"components": {"schemas": {"User": USER, "Alias": ALIAS}}}
REF = {"$ref": "#/components/schemas/User"}
CASES: dict[str, tuple[Any, Any, bool]] = {
    "references to one schema": (REF, dict(REF), True),
    "a reference to a reference": (REF, {"$ref": "#/components/schemas/Alias"}, True),
    "a reference with more beside it": (REF, {**REF, "required": ["boss"]}, False),
    "the same few words": ({"type": "string", "maxLength": 3}, {"maxLength": 3, "type": "string"}, True),
    "other words": ({"type": "string"}, {"type": "integer"}, False),
    "the same parts": ({"items": {"type": "string"}}, {"items": {"type": "string"}}, False),
    "True and 1": ({"const": True}, {"const": 1}, False),
}


def compiled(schemas: Schemas, schema: Any, path: str, direction: Direction = "request") -> Checked:
    return checked(schemas, schema, schemas.files.main.child("paths", path), direction)


@pytest.mark.parametrize("case", CASES)
def test_one_schema_is_compiled_once(case: str) -> None:
    schemas = Schemas(Files(Path("api.json"), DOCUMENT), "3.1")
    first, second, is_shared = CASES[case]

    assert (compiled(schemas, first, "/a") is compiled(schemas, second, "/b")) is is_shared


def test_each_direction_has_its_own() -> None:
    schemas = Schemas(Files(Path("api.json"), DOCUMENT), "3.1")
    sent, received = compiled(schemas, REF, "/a"), compiled(schemas, REF, "/a", "response")

    assert sent.failures({"boss": {"id": 1}}, "body")
    assert received.failures({"boss": {"id": 1}}, "body") == ()
    assert received.failures({"boss": {"id": "x"}}, "body")
