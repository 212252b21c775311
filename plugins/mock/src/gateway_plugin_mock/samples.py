"""Makes a value of a schema for which the document gives no example: always the same one, and never a large one.

Schemas may refer to themselves, and may double with each level. So a reference within itself is left out, below a depth
only what is required is made, and a value has a limited number of parts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from gateway_openapi.documents import References

_DEPTH: Final = 12
"""Levels below which only required properties are made; twice as deep nothing is."""
_MOST_PARTS: Final = 1000
_MOST_ITEMS: Final = 5
_LONGEST: Final = 1000
"""Characters of a text, whatever ``minLength`` says."""

OMITTED: Final = object()
"""What stands for a value that cannot be made."""

_TEXTS: Final = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "duration": "PT1H",
    "email": "user@example.com",
    "idn-email": "user@example.com",
    "hostname": "example.com",
    "idn-hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "iri": "https://example.com/",
    "uri-reference": "/path",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "byte": "dGV4dA==",
    "password": "password",
    "json-pointer": "/a",
    "regex": "a",
}


def sample(schema: Any, references: References) -> Any:
    """Return a value of a schema; None if none can be made."""
    value = _Sampler(references).value(schema, 0, frozenset())
    return None if value is OMITTED else value


class _Sampler:
    def __init__(self, references: References) -> None:
        self._references = references
        self._parts = 0

    def value(self, schema: Any, depth: int, within: frozenset[str]) -> Any:
        """Return a value, or `OMITTED`.

        :param within: the references that are being followed.
        """
        self._parts += 1
        if self._parts > _MOST_PARTS or depth > 2 * _DEPTH:
            return OMITTED
        while isinstance(schema, dict) and isinstance(reference := schema.get("$ref"), str):
            if reference in within:
                return OMITTED
            within |= {reference}
            try:
                target = self._references.find(reference)
            except KeyError:
                return OMITTED
            # What stands beside a reference counts since 3.1, and says more than what it refers to.
            beside = {key: inner for key, inner in schema.items() if key != "$ref"}
            schema = {**target, **beside} if isinstance(target, dict) else target
        if not isinstance(schema, dict):
            return None if schema is True else OMITTED
        if (given := given_value(schema)) is not OMITTED:
            return given
        if any(isinstance(schema.get(key), list) and schema[key] for key in ("allOf", "oneOf", "anyOf")):
            return self._combined(schema, depth, within)
        return self._of_type(schema, depth, within)

    def _combined(self, schema: Mapping[str, Any], depth: int, within: frozenset[str]) -> Any:
        """Return a value of all of ``allOf``, and of the first of ``oneOf`` and ``anyOf`` of which there is one."""
        values = [self.value(inner, depth + 1, within) for inner in _list(schema, "allOf")]
        for key in ("oneOf", "anyOf"):
            made = (self.value(inner, depth + 1, within) for inner in _list(schema, key))
            values.append(next((value for value in made if value is not OMITTED and value is not None), OMITTED))
        if "properties" in schema or not any(value is not OMITTED for value in values):
            own = {key: inner for key, inner in schema.items() if key not in {"allOf", "oneOf", "anyOf"}}
            values.append(self._of_type(own, depth, within))
        there = [value for value in values if value is not OMITTED]
        objects = [value for value in there if isinstance(value, dict)]
        if objects:
            return {key: inner for value in objects for key, inner in value.items()}
        return there[0] if there else OMITTED

    def _of_type(self, schema: Mapping[str, Any], depth: int, within: frozenset[str]) -> Any:
        kind = _type_of(schema)
        if kind == "object":
            return self._object(schema, depth, within)
        if kind == "array":
            return self._array(schema, depth, within)
        if kind == "string":
            return _text(schema)
        if kind in {"integer", "number"}:
            return _number(schema, kind == "integer")
        return True if kind == "boolean" else None

    def _object(self, schema: Mapping[str, Any], depth: int, within: frozenset[str]) -> dict[str, Any]:
        properties = schema.get("properties")
        required = {name for name in _list(schema, "required") if isinstance(name, str)}
        made: dict[str, Any] = {}
        for name, inner in (properties if isinstance(properties, dict) else {}).items():
            if name not in required and depth >= _DEPTH:
                continue
            if self._references.resolve(inner).get("writeOnly") is True:
                continue
            value = self.value(inner, depth + 1, within)
            if value is not OMITTED or name in required:
                made[name] = None if value is OMITTED else value
        others = schema.get("additionalProperties")
        if not made and isinstance(others, dict) and depth < _DEPTH:
            value = self.value(others, depth + 1, within)
            return {} if value is OMITTED else {"key": value}
        return made

    def _array(self, schema: Mapping[str, Any], depth: int, within: frozenset[str]) -> list[Any]:
        made = [self.value(inner, depth + 1, within) for inner in _list(schema, "prefixItems")[:_MOST_ITEMS]]
        made = [None if value is OMITTED else value for value in made]
        least, most = _whole(schema, "minItems", 0), _whole(schema, "maxItems", _MOST_ITEMS)
        wanted = min(max(1, least), most, _MOST_ITEMS)
        if schema.get("uniqueItems") is True:
            wanted = min(wanted, 1)
        if len(made) < wanted and "items" in schema:
            value = self.value(schema["items"], depth + 1, within)
            made += [] if value is OMITTED else [value] * (wanted - len(made))
        return made


def given_value(schema: Mapping[str, Any]) -> Any:
    """Return the value that a schema itself gives: an example, its default, the only or first one that it allows."""
    if "example" in schema:
        return schema["example"]
    if _list(schema, "examples"):
        return schema["examples"][0]
    for name in ("default", "const"):
        if name in schema:
            return schema[name]
    return schema["enum"][0] if _list(schema, "enum") else OMITTED


def _type_of(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):  # of version 3.1
        kind = next((each for each in kind if each != "null"), "null")
    if isinstance(kind, str):
        return kind
    for name, keys in (
        ("object", ("properties", "additionalProperties", "required")),
        ("array", ("items", "prefixItems", "minItems")),
        ("string", ("format", "pattern", "minLength", "maxLength")),
        ("number", ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")),
    ):
        if any(key in schema for key in keys):
            return name
    return "null"


def _text(schema: Mapping[str, Any]) -> str:
    text = _TEXTS.get(str(schema.get("format")), "string")
    least = min(_whole(schema, "minLength", 0), _LONGEST)
    if len(text) < least:
        text = (text * (least // len(text) + 1))[:least]
    return text[: _whole(schema, "maxLength", _LONGEST)]


def _number(schema: Mapping[str, Any], is_integer: bool) -> int | float:
    """Return the number nearest to 0 that a schema allows, as far as it can be found in a step."""
    low, high = _limit(schema, "minimum", "exclusiveMinimum", 1), _limit(schema, "maximum", "exclusiveMaximum", -1)
    value: float = 0
    if low is not None and low > 0:
        value = math.ceil(low) if is_integer else low
    elif high is not None and high < 0:
        value = math.floor(high) if is_integer else high
    step = schema.get("multipleOf")
    if isinstance(step, int | float) and not isinstance(step, bool) and 0 < step < math.inf:
        value = (math.ceil(value / step) if value >= 0 else math.floor(value / step)) * step
    return int(value) if is_integer else value


def _limit(schema: Mapping[str, Any], name: str, exclusive: str, direction: int) -> float | None:
    limit, excluded = schema.get(name), schema.get(exclusive)
    if isinstance(excluded, int | float) and not isinstance(excluded, bool):  # of version 3.1
        limit, excluded = excluded, True
    if not isinstance(limit, int | float) or isinstance(limit, bool) or abs(limit) > 1e300:
        return None
    return limit + direction if excluded is True else limit


def _list(schema: Mapping[str, Any], key: str) -> list[Any]:
    value = schema.get(key)
    return value if isinstance(value, list) else []


def _whole(schema: Mapping[str, Any], key: str, otherwise: int) -> int:
    value = schema.get(key)
    return int(min(value, 10**9)) if isinstance(value, int | float) and value >= 0 else otherwise
