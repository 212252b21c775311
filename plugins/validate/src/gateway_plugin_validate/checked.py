"""A schema that values are checked by, and what is wrong with those that do not fit it."""

from __future__ import annotations

from typing import Any

from gateway_plugin_validate.explaining import Explainer
from gateway_plugin_validate.files import Place
from gateway_plugin_validate.problems import Failure
from gateway_plugin_validate.schemas import Direction, Schemas
from gateway_plugin_validate.shapes import Shape, shape_of


class Checked:
    """One schema, compiled."""

    __slots__ = ("_explainer", "is_valid", "shape")

    def __init__(self, schemas: Schemas, schema: Any, place: Place, direction: Direction) -> None:
        """Compile.

        :raises DocumentError: it is no schema.
        """
        self._explainer = Explainer(schemas.bundle(schema, place, direction), schemas.kind)
        self.is_valid = schemas.compile(schema, place, direction).is_valid
        self.shape: Shape = shape_of(schema, place, schemas.files)

    def failures(self, value: Any, where: str, name: str = "") -> tuple[Failure, ...]:
        """Return what is wrong with a value."""
        if self.is_valid(value):
            return ()
        found = self._explainer.explain(value, where, name)
        # Whatever the reason for an empty list, the value is not valid.
        return found or (Failure(where, name, "#", "schema", "does not match the schema"),)
