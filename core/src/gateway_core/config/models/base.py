"""The base of every configuration model."""

from __future__ import annotations

from typing import Any, Final, get_args

from pydantic import BaseModel, ConfigDict, model_validator


class ConfigModel(BaseModel):
    """A frozen model that refuses unknown keys; the text under a field is its description in the JSON Schema."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=(), hide_input_in_errors=True
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

    model_config = ConfigDict(json_schema_extra=_allow_extension_keys)

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
