"""Options of bodies."""

from __future__ import annotations

from typing import Final

from gateway_plugin_sdk import ConfigModel, Size
from pydantic import Field, field_validator

from gateway_plugin_logger.filters.expression import compile_predicate

TEXTUAL: Final = (
    "application/json",
    "application/*+json",
    "application/x-www-form-urlencoded",
    "application/graphql",
    "application/xml",
    "application/*+xml",
    "text/*",
)
"""Types that people can read."""


class BodyOptions(ConfigModel):
    """What of a body is logged, where ``fields`` or a template name it."""

    max_bytes: Size = Field(default=16 * 1024, ge=1, le=1024 * 1024)
    """Bytes of its beginning; a text that ends before its body ends says so."""
    content_types: tuple[str, ...] = TEXTUAL
    """Types of bodies that are logged; ``*`` stands for anything."""
    when: str | None = None
    """An expression: whose bodies are logged, such as ``status >= 400``."""

    @field_validator("when")
    @classmethod
    def _check_expression(cls, when: str | None) -> str | None:
        if when is not None:
            compile_predicate(when, undecided=True)
        return when
