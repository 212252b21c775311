"""A schema that values are checked by, and what is wrong with those that do not fit it."""

from __future__ import annotations

import json
from typing import Any, Final

from gateway_plugin_validate.explaining import Explainer
from gateway_plugin_validate.files import Place
from gateway_plugin_validate.problems import Failure
from gateway_plugin_validate.schemas import Direction, Schemas
from gateway_plugin_validate.shapes import Shape, shape_of

_SHORT: Final = 500
"""Characters of a schema that is compared by its text."""


class Checked:
    """One schema, compiled."""

    __slots__ = ("_explainer", "is_valid", "shape")

    def __init__(self, schemas: Schemas, schema: Any, place: Place, direction: Direction) -> None:
        """Compile.

        :raises DocumentError: it is no schema.
        """
        bundle = schemas.bundle(schema, place, direction)
        validator = schemas.compile(bundle, place)
        self._explainer = Explainer(bundle, schemas.kind, validator)
        self.is_valid = validator.is_valid
        self.shape: Shape = shape_of(schema, place, schemas.files)

    def failures(self, value: Any, where: str, name: str = "") -> tuple[Failure, ...]:
        """Return what is wrong with a value."""
        if self.is_valid(value):
            return ()
        found = self._explainer.explain(value, where, name)
        # Whatever the reason for an empty list, the value is not valid.
        return found or (Failure(where, name, "#", "schema", "does not match the schema"),)


def checked(schemas: Schemas, schema: Any, place: Place, direction: Direction) -> Checked:
    """Return a compiled schema: the same for all places that refer to one, or have the same few words.

    A compiled schema has all that it refers to in it, and large documents refer to large ones hundreds of times.

    :raises DocumentError: it is no schema.
    """
    key: object = place, direction
    if isinstance(schema, dict) and isinstance(schema.get("$ref"), str):
        if len(schema) == 1 or schemas.version == "3.0":  # else the rest of it counts as well
            schema, place = schemas.files.resolve(schema, place)
            key = place, direction
    else:
        key = _text_of(schema) or key
    found: Checked | None = schemas.compiled.get(key)
    if found is None:
        found = schemas.compiled[key] = Checked(schemas, schema, place, direction)
    return found


def _text_of(schema: Any) -> str:
    """Return a schema as text, if it is a short one that refers to nothing and means the same in both directions."""
    if not isinstance(schema, dict) or any(isinstance(each, dict | list) for each in schema.values()):
        return ""
    text = json.dumps(schema, sort_keys=True, default=repr)
    return text if len(text) <= _SHORT else ""
