"""Defaults in JSON Schemas as documents have them: models keep durations as seconds, and ranges as objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway_core.config.statuses import STATUSES_WORD
from gateway_core.config.values import DURATION_WORD, duration_text


def with_written_defaults(schema: Any) -> Any:
    """Return a JSON Schema whose defaults are as documents have them, and fit it: durations, and ranges of statuses."""
    return _with(schema, schema.get("$defs", {}) if isinstance(schema, dict) else {})


def _with(schema: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_with(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _with(value, definitions) for key, value in schema.items()}
    if "default" in found:
        found["default"] = _written(found["default"], schema, definitions)
    return found


def _written(value: Any, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Any:
    if "$ref" in schema:
        schema = definitions.get(str(schema["$ref"]).rpartition("/")[2], {})
    for alternative in schema.get("anyOf", ()) if "x-expected" not in schema else ():
        if isinstance(alternative, Mapping):
            value = _written(value, alternative, definitions)
    if isinstance(value, list) and isinstance(items := schema.get("items"), Mapping):
        return [_written(each, items, definitions) for each in value]
    expected = schema.get("x-expected")
    if expected == DURATION_WORD and isinstance(value, int | float) and not isinstance(value, bool):
        return duration_text(value)
    if expected == STATUSES_WORD and isinstance(value, dict):
        return f"{value['first']}-{value['last']}" if value["first"] != value["last"] else value["first"]
    if isinstance(value, dict):
        members = schema.get("properties", {})
        return {name: _written(each, members.get(name, {}), definitions) for name, each in value.items()}
    return value
