"""The base of every configuration model."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class ConfigModel(BaseModel):
    """A frozen model that refuses unknown keys; the text under a field is its description in the JSON Schema."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=(), hide_input_in_errors=True
    )


class Section(ConfigModel):
    """A part of the gateway's own configuration, where a known key with nothing after it counts as not given."""

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, value: Any) -> Any:
        if isinstance(value, dict) and None in value.values():
            fields = cls.model_fields
            return {key: item for key, item in value.items() if item is not None or key not in fields}
        return value
