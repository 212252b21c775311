"""Defaults in JSON Schemas as documents have them: models keep durations as seconds, and ranges as objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway_core.config.statuses import STATUSES_WORD
from gateway_core.config.values import DURATION_WORD, duration_text


def with_written_defaults(schema: Any) -> Any:
    """Return a JSON Schema whose defaults are as documents have them, and fit it: durations, and ranges of statuses."""
    if isinstance(schema, list):
        return [with_written_defaults(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: with_written_defaults(value) for key, value in schema.items()}
    if "default" in found:
        found["default"] = _written(found["default"], found)
    return found


def _written(value: Any, schema: Mapping[str, Any]) -> Any:
    if isinstance(value, list) and isinstance(items := schema.get("items"), dict):
        return [_written(each, items) for each in value]
    expected = schema.get("x-expected")
    if expected == DURATION_WORD and isinstance(value, int | float) and not isinstance(value, bool):
        return duration_text(value)
    if expected == STATUSES_WORD and isinstance(value, dict):
        return f"{value['first']}-{value['last']}" if value["first"] != value["last"] else value["first"]
    return value
