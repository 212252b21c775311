from __future__ import annotations

import ast
import gc
import weakref
from typing import Any, NamedTuple

import pytest
from gateway_plugin_logger.fields import FIELDS, Kind, Value, find_value
from gateway_plugin_logger.formats.build import build_renderer
from gateway_plugin_logger.formats.compiler import Piece, compile_expression, compile_line
from gateway_plugin_sdk import Record, Request, Response
from hypothesis import given
from hypothesis import strategies as st


class Trace(NamedTuple):
    """A span of the gateway."""

    trace_id: str
    span_id: str
    is_sampled: bool


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


def test_a_head_that_is_repeated_is_kept_also_after_many_that_were_not() -> None:
    read: list[bytes] = []

    def agent(value: bytes) -> str:
        read.append(value)
        return value.decode()

    line = compile_line([Piece(Value("agent(first('User-Agent'))", names={"agent": agent})), Piece(Value("target"))])
    kept = Request("GET", "/kept", {"User-Agent": "kept"})
    ways: list[int] = []
    for _ in range(2):
        for number in range(1500):
            other = Request("GET", f"/{number}", {"User-Agent": f"a{number}"})
            assert line(other, Response(), Record()) == f"a{number}/{number}"
        read.clear()
        for _ in range(1500):
            assert line(kept, Response(), Record()) == "kept/kept"
        ways.append(len(read))

    # At first it is not looked for, then it is found each time.
    assert all(0 < way < 1000 for way in ways)


def test_a_head_that_a_plugin_changed_is_another_head() -> None:
    line = build_renderer("{user_agent}", (), {}, find_value)
    request = Request("GET", "/", {"User-Agent": "a"})

    before = line(request, Response(), Record())
    request.headers["User-Agent"] = "b"

    assert (before, line(request, Response(), Record())) == ("a\n", "b\n")


def test_the_trace_of_a_head_that_is_repeated_is_the_gateways_where_it_has_one() -> None:
    line = build_renderer("{trace_id}", (), {}, find_value)
    request = Request("GET", "/", {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"})

    sent, sent_again = (line(request, Response(), Record()) for _ in range(2))
    request.trace = Trace("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", True)

    assert sent == sent_again == "4bf92f3577b34da6a3ce929d0e0e4736\n"
    assert line(request, Response(), Record()) == "0af7651916cd43dd8448eb211c80319c\n"


@pytest.mark.parametrize("kind", [Kind.WORD, Kind.TEXT])
def test_literal_text_stands_where_it_is_written_whatever_is_remembered(kind: Kind, make_event: Any) -> None:
    method = Piece(Value("request.method", kind), before="(", after=")")
    parts: list[str | Piece] = ["a", method, method, "b", "c", Piece(Value("request.path")), "d", method, "e"]

    assert compile_line(parts)(*make_event()) == "a(GET)(GET)bc/api/users/7d(GET)e"


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


@given(st.floats(min_value=0, max_value=100_000))
def test_milliseconds_are_those_of_the_formatted_float(seconds: float) -> None:
    line, record = compile_line([Piece(Value("record.duration", Kind.MILLISECONDS))]), Record()
    record.duration = seconds

    written = line(Request("GET", "/"), Response(), record)

    assert abs(float(written) - seconds * 1000) <= 0.0006 + seconds * 1e-9
    assert len(written.partition(".")[2]) == 3


@pytest.mark.parametrize("rule", [str.upper, str.lower])
def test_what_is_said_of_fields_is_that_of_each_head_and_of_each_line(rule: Any) -> None:
    agent = FIELDS["user_agent"].value
    lines = [compile_line([Piece(each), " ", Piece(FIELDS["path"].value)]) for each in (agent, agent.through(rule))]
    requests = [Request("GET", "/", {"User-Agent": f"Agent {number}"}) for number in range(600)]

    for path in ("/a", "/b"):
        for number, request in enumerate(requests):
            request.raw_path = path
            written = [line(request, Response(), Record()) for line in lines]
            assert written == [f"Agent {number} {path}", rule(f"Agent {number}") + f" {path}"]
    requests[0].headers["User-Agent"] = "other"
    assert lines[0](requests[0], Response(), Record()) == "other /b"
    requests[0].headers.remove("User-Agent")
    assert lines[0](requests[0], Response(), Record()) == " /b"


def test_lines_of_many_pieces_say_the_same_as_lines_of_few(make_event: Any) -> None:
    pieces = [
        Piece(Value("request.method", Kind.WORD), before=" "),
        Piece(Value("record.error", optional=True), before="e=", missing="-"),
        Piece(Value("response.status", Kind.INTEGER), before="{"),
        Piece(Value("record.duration", Kind.MILLISECONDS), after="ms"),
    ]
    event = make_event()

    assert compile_line(pieces * 9)(*event) == compile_line(pieces)(*event) * 9


def test_a_function_that_is_dropped_goes_by_reference_counting() -> None:
    gc.collect()
    gc.disable()
    try:
        compiled = weakref.ref(compile_expression(ast.parse("request.method", mode="eval").body, {}))
        assert compiled() is None
        assert gc.collect() == 0
    finally:
        gc.enable()
