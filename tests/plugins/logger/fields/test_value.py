from __future__ import annotations

from gateway_plugin_logger.fields.value import Kind, Value
from gateway_plugin_logger.formats.compiler import Piece, compile_line


def test_a_change_is_not_asked_about_what_is_not_there(make_event: object) -> None:
    asked: list[object] = []

    def change(value: object) -> str:
        asked.append(value)
        return "changed"

    value = Value("record.error", Kind.TEXT, optional=True).through(change)
    line = compile_line([Piece(value, missing="nothing")])

    assert line(*make_event()) == "nothing"  # type: ignore[operator]
    assert line(*make_event(error="odd")) == "changed"  # type: ignore[operator]
    assert asked == ["odd"]


def test_changes_are_applied_in_the_order_in_which_they_were_added(make_event: object) -> None:
    value = Value("request.method").through(str.lower).through(lambda text: text + "!")

    assert compile_line([Piece(value)])(*make_event()) == "get!"  # type: ignore[operator]
