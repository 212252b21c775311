"""Names of fields, and templates over them, as types of options."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from gateway_plugin_logger.fields import find_value
from gateway_plugin_logger.formats.build import check_template


def _checked_field(name: str) -> str:
    find_value(name)
    return name


FieldName = Annotated[str, AfterValidator(_checked_field)]
"""A field of the catalogue, or a lookup such as ``header:x-tenant``."""

AnyFieldName = Annotated[str, AfterValidator(lambda name: name if name == "*" else _checked_field(name))]
"""A field, or ``*`` for every one."""

Template = Annotated[str, AfterValidator(check_template)]
"""Text with fields in braces."""
