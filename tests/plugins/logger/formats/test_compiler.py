from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_logger.fields import Value
from gateway_plugin_logger.formats.compiler import Piece, compile_line
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.text(max_size=20), max_size=5))
def test_literal_text_stays_as_it_is_whatever_it_looks_like(texts: list[str]) -> None:
    assert compile_line(texts)(None, None, None) == "".join(texts)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["{status}", "'''", '"', "\\", "{{}}", "%s", "\n", "{0!r:>{width}}"])
def test_text_before_and_after_a_value_is_no_code(text: str, make_event: Any) -> None:
    line = compile_line([Piece(Value("request.method"), before=text, after=text)])

    assert line(*make_event()) == f"{text}GET{text}"


def test_what_stands_around_a_missing_value_is_left_out_with_it(make_event: Any) -> None:
    line = compile_line(
        ["<", Piece(Value("record.error", optional=True), before="error=", after=";", missing="-"), ">"]
    )

    assert line(*make_event()) == "<->"
    assert line(*make_event(error="odd")) == "<error=odd;>"
