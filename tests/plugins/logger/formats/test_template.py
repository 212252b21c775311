from __future__ import annotations

import pytest
from gateway_plugin_logger.formats.template import Placeholder, TemplateError, parse_template
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ()),
        ("plain", ("plain",)),
        ("{a}", (Placeholder("a"),)),
        ("x{a}y{ b }z", ("x", Placeholder("a"), "y", Placeholder("b"), "z")),
        ("{{{a}}}", ("{", Placeholder("a"), "}")),
        ("{{}}", ("{}",)),
    ],
)
def test_braces_hold_fields_and_double_braces_are_braces(text: str, parts: tuple[object, ...]) -> None:
    assert parse_template(text) == parts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a{b", "'{' at character 2 is not closed"),
        ("a}b", "'}' at character 2 closes nothing"),
        ("a{ }", "'{}' at character 2 names no field"),
    ],
)
def test_a_template_with_odd_braces_is_refused_with_the_character(text: str, message: str) -> None:
    with pytest.raises(TemplateError) as refused:
        parse_template(text)

    assert str(refused.value).startswith(message)


@given(st.text())
def test_text_without_braces_is_kept_and_escaped_text_reads_back(text: str) -> None:
    parts = parse_template(text.replace("{", "{{").replace("}", "}}"))

    assert "".join(map(str, parts)) == text
