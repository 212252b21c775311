from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from gateway_plugin_logger.fields import FIELDS, Kind, Value, find_value
from gateway_plugin_logger.formats.build import build_renderer
from gateway_plugin_logger.formats.compiler import Piece, compile_line
from gateway_plugin_sdk import Record, Request, Response
from hypothesis import given
from hypothesis import strategies as st

from tests.plugins.repeated_request import RepeatedRequest


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


def test_what_is_remembered_is_that_of_equal_heads_and_targets_however_many_there_are() -> None:
    line = build_renderer("{user_agent} {method} {path} {query} {host}", (), {}, find_value)

    def written(number: int) -> str:
        fields = {"User-Agent": f"a{number}"}
        return line(
            Request(f"M{number}", f"/{number}?q={number}", fields, host=f"h{number}"),
            Response(),
            Record(),
        )

    for number in [*range(1200), *range(1200)]:
        assert written(number) == f"a{number} M{number} /{number} q={number} h{number}\n"


def test_a_head_that_a_plugin_changed_is_another_head() -> None:
    line = build_renderer("{user_agent}", (), {}, find_value)
    request = Request("GET", "/", {"User-Agent": "a"})

    before = line(request, Response(), Record())
    request.headers["User-Agent"] = "b"

    assert (before, line(request, Response(), Record())) == ("a\n", "b\n")


def test_rules_change_what_is_remembered_only_in_their_own_binding() -> None:
    path = FIELDS["path"].value
    request = Request("GET", "/a?b=1", {"User-Agent": "a"})
    lines = [compile_line([Piece(value), "\n"]) for value in (path, path.through(str.upper))]

    assert [line(request, Response(), Record()) for line in lines] == ["/a\n", "/A\n"]


def test_texts_that_are_too_long_are_written_and_forgotten() -> None:
    line = build_renderer("{user_agent} {method} {path}", (), {}, find_value)
    long = "x" * 5000

    for _ in range(2):
        assert line(Request(long, f"/{long}", {"User-Agent": long}), Response(), Record()) == (
            f"{long} {long} /{long}\n"
        )


LINE = "{user_agent} {method} {path} {query} {client_ip} {status}"


def repeated_request(memory: dict[Any, Any] | None, client_ip: str = "192.0.2.1") -> Request:
    request = RepeatedRequest("GET", "/a?b=1", {"User-Agent": "a"}, client_ip=client_ip)
    request.memory = memory
    return request


def test_the_line_of_a_repeated_head_is_that_of_any_other() -> None:
    line, memory = build_renderer(LINE, (), {}, find_value), dict[Any, Any]()

    written = [line(repeated_request(each), Response(), Record()) for each in (None, memory, memory)]

    assert written == ["a GET /a b=1 192.0.2.1 200\n"] * 3
    assert memory


def test_only_what_a_head_says_is_remembered_with_it() -> None:
    line, memory = build_renderer(LINE, (), {}, find_value), dict[Any, Any]()
    line(repeated_request(memory), Response(), Record())

    written = line(repeated_request(memory, client_ip="192.0.2.2"), Response(404), Record())

    assert written == "a GET /a b=1 192.0.2.2 404\n"


def test_each_line_remembers_what_it_says_of_a_head_itself() -> None:
    path, memory = FIELDS["path"].value, dict[Any, Any]()
    lines = [compile_line([Piece(value), "\n"]) for value in (path, path.through(str.upper))]

    written = [[line(repeated_request(memory), Response(), Record()) for line in lines] for _ in range(2)]

    assert written == [["/a\n", "/A\n"]] * 2


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_is_the_same_of_a_repeated_head(name: str, make_event: Any) -> None:
    line, memory = compile_line(["<", Piece(replace(FIELDS[name].value, kind=Kind.OBJECT), str), ">"]), dict[Any, Any]()
    request, response, record = make_event()
    expected = line(request, response, record)
    again = RepeatedRequest("GET", "/")
    again.__dict__.clear()
    again.__dict__.update(request.__dict__)
    again.memory = memory

    assert [line(again, response, record) for _ in range(2)] == [expected] * 2
