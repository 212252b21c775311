"""The base of every configuration model."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from typing import Any, Final, get_args

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema


class ConfigModel(BaseModel):
    """A frozen model that refuses unknown keys; the text under a field is its description in the JSON Schema."""

    # Pydantic would make a validator of each model, of which only that of the whole configuration is used: it is made
    # when a plugin is loaded, or at the first use.
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        protected_namespaces=(),
        hide_input_in_errors=True,
        defer_build=True,
    )

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        """Refuse a text as the default of a `Secret` or a `Pattern`: pydantic leaves defaults as they are.

        The plugin's first use of the field would fail, which may be with the first request.
        """
        super().__pydantic_init_subclass__(**options)
        for name, field in cls.model_fields.items():
            kinds = (field.annotation, *get_args(field.annotation))
            kind = next((kind for kind in kinds if _is_value_type(kind)), None)
            if kind is not None and type(field.default) is str and str not in kinds:
                # Without the text, which may be a secret.
                raise TypeError(f"the default of {cls.__name__}.{name} is text: write {kind.__name__}(...)")


def do_without_descriptions() -> None:
    """Have models that are made in this process from now on lack the texts under their fields.

    To read them from the source takes a third of the time in which a plugin is imported, and nothing but what shows a
    schema needs them.
    """
    ConfigModel.model_config["use_attribute_docstrings"] = False


@cache
def field_texts(model: type[BaseModel]) -> Mapping[str, str]:
    """Return the text under each field of a model, those that it inherits included."""
    texts: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if not (issubclass(kind, Section) and kind.__annotations__):
            continue
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
        for field, text in pairwise(getattr(definition, "body", [])):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                match text:
                    case ast.Expr(value=ast.Constant(value=str() as words)):
                        texts[field.target.id] = inspect.cleandoc(words)
    return texts


def _is_value_type(kind: object) -> bool:
    is_ours = getattr(kind, "__module__", "").startswith("gateway_core.")
    return is_ours and isinstance(kind, type) and hasattr(kind, "__get_pydantic_core_schema__")


EXTENSION: Final = "x-"
"""What keys begin with that the gateway ignores where its keys are fixed: a place for anchors and notes."""


def _allow_extension_keys(schema: dict[str, Any]) -> None:
    schema["patternProperties"] = {f"^{EXTENSION}": {}}


class Section(ConfigModel):
    """A part of the gateway's own configuration.

    A known key with nothing after it counts as not given; keys that begin with ``x-`` are ignored.
    """

    # Pydantic would read the source of each model when it is made, which is a third of the time that importing the
    # models takes.
    model_config = ConfigDict(json_schema_extra=_allow_extension_keys, use_attribute_docstrings=False)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Add the texts under the fields as descriptions."""
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for field_name, text in field_texts(cls).items():
            name = field_name.removesuffix("_")  # ``from`` is a word of Python
            field = properties.get(name, {})
            # A text that repeats that of the section it refers to is written once.
            refers = handler.resolve_ref_schema(field).get("description") if "$ref" in field else None
            if name in properties and refers != text:
                field.setdefault("description", text)
        return schema

    @model_validator(mode="before")
    @classmethod
    def _drop_ignored(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        fields = cls.model_fields
        ignored = [
            key for key, item in value.items() if (item is None and key in fields) or str(key).startswith(EXTENSION)
        ]
        return {key: item for key, item in value.items() if key not in ignored} if ignored else value
