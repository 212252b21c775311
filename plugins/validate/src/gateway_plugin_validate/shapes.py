"""Makes values of texts, as parameters and fields of forms have them: by the types that their schemas allow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway_plugin_validate.files import Files, Place

_DEEPEST: Final = 4
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_LONGEST_NUMBER: Final = 300
"""Characters; more stay text, since reading them as a number takes quadratic time."""
_BOOLEANS: Final = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Shape:
    """Which types a schema allows, as far as texts have to be made into values."""

    types: frozenset[str] = frozenset()
    """Empty if any type is allowed."""
    items: Shape | None = None
    properties: Mapping[str, Shape] = field(default_factory=dict)
    other: Shape | None = None
    """Of properties that are not named."""

    @property
    def is_array(self) -> bool:
        """Whether a text is a list of texts."""
        return "array" in self.types

    @property
    def is_object(self) -> bool:
        """Whether a text has names and texts."""
        return "object" in self.types and "array" not in self.types

    def read(self, text: str) -> Any:
        """Return the value of a text; what is none of the types stays text."""
        types = self.types
        if not types or types == {"string"}:
            return text
        if ("integer" in types or "number" in types) and len(text) <= _LONGEST_NUMBER:
            if _INTEGER.fullmatch(text):
                return int(text)
            if _NUMBER.fullmatch(text) and abs(number := float(text)) != float("inf"):
                return number
        if "boolean" in types and text in _BOOLEANS:
            return _BOOLEANS[text]
        return None if "null" in types and text == "null" and "string" not in types else text

    def read_item(self, text: str) -> Any:
        """Return the value of an item of a list."""
        return text if self.items is None else self.items.read(text)

    def read_property(self, name: str, text: str) -> Any:
        """Return the value of a property."""
        shape = self.properties.get(name, self.other)
        return text if shape is None else shape.read(text)


ANY: Final = Shape()


def shape_of(schema: Any, place: Place, files: Files, depth: int = 0) -> Shape:
    """Return the shape of a schema.

    :raises DocumentError: a reference names nothing.
    """
    schema, place = files.resolve(schema, place)
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return ANY
    given = schema.get("type")
    types = set(given if isinstance(given, list) else [] if given is None else [given])
    if schema.get("nullable") is True:
        types.add("null")
    items = shape_of(schema["items"], place.child("items"), files, depth + 1) if "items" in schema else None
    other = schema.get("additionalProperties")
    inner = None if other is None else shape_of(other, place.child("additionalProperties"), files, depth + 1)
    properties = schema.get("properties")
    shapes = {
        name: shape_of(each, place.child("properties", name), files, depth + 1)
        for name, each in (properties if isinstance(properties, dict) else {}).items()
    }
    for key in ("allOf", "anyOf", "oneOf"):
        parts = schema.get(key)
        for index, part in enumerate(parts if isinstance(parts, list) else ()):
            found = shape_of(part, place.child(key, index), files, depth + 1)
            types |= found.types
            items = items or found.items
            inner = inner or found.other
            shapes = {**found.properties, **shapes}
    if not types and shapes:
        types = {"object"}
    if not types and "enum" in schema and isinstance(schema["enum"], list):
        types = {_type_of(value) for value in schema["enum"]}
    return Shape(frozenset(map(str, types)), items, shapes, inner)


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else "null" if value is None else "string"
