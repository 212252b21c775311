from __future__ import annotations

import pytest
from gateway_plugin_logger.config.names import AnyFieldName, FieldName, Template
from pydantic import TypeAdapter, ValidationError


@pytest.mark.parametrize("name", ["status", "header:x-tenant", "claim:a.b"])
def test_fields_and_look_ups_are_names(name: str) -> None:
    assert TypeAdapter(FieldName).validate_python(name) == name
    assert TypeAdapter(AnyFieldName).validate_python(name) == name


def test_a_star_is_every_field_only_where_it_is_allowed() -> None:
    assert TypeAdapter(AnyFieldName).validate_python("*") == "*"
    with pytest.raises(ValidationError, match=r"'\*' is no field"):
        TypeAdapter(FieldName).validate_python("*")


def test_templates_are_read_when_the_configuration_is() -> None:
    assert TypeAdapter(Template).validate_python("{status} {{") == "{status} {{"
    with pytest.raises(ValidationError, match="'statsu' is no field; did you mean 'status'"):
        TypeAdapter(Template).validate_python("{statsu}")
