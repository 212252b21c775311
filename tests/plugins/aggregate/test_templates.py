from __future__ import annotations

import datetime
import json
from typing import Any
from urllib.parse import unquote

import pytest
from gateway_plugin_aggregate.templates import (
    BodyTemplate,
    Placeholder,
    ValueRefusedError,
    json_text,
    parse_template,
    read_call_value,
    render_field,
    render_path,
    render_text,
    segment_of,
)
from hypothesis import given
from hypothesis import strategies as st


def constant(value: Any) -> Any:
    return lambda _: value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("/{", "without its partner"),
        ("/}", "without its partner"),
        ("/{}", "names {}"),
        ("/{id}", r"\{param:id\} is a parameter"),
        ("/{resp0_id}", r"\{call:NAME.FIELD\} is a value of an earlier call"),
        ("/{env:HOME}", "use one of"),
        ("/{call:}", "names {call:}"),
        ("/{call:a..b}", "an empty step"),
        ("/{identity:x}", "use one of"),
    ],
)
def test_a_template_that_names_what_there_is_not_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_template(text)


def test_doubled_braces_are_braces() -> None:
    assert render_text(parse_template("{{a}}"), constant("x")) == "{a}"


@pytest.mark.parametrize(
    ("value", "segment"),
    [
        ("a b", "a%20b"),
        ("a/b", "a%2Fb"),
        ("a?b#c", "a%3Fb%23c"),
        ("é", "%C3%A9"),
        ("100%", "100%25"),
        ("...", "..."),
        ("a.b", "a.b"),
        (7, "7"),
        (1.5, "1.5"),
        (True, "true"),
        ("~", "~"),
    ],
)
def test_a_value_in_a_path_is_one_encoded_segment(value: Any, segment: str) -> None:
    assert segment_of(value) == segment


@pytest.mark.parametrize(
    "value",
    [
        *(
            ".",
            "..",
            "",
            "../x",
            "x/..",
            "a/./b",
            "..\\x",
            "..;x",
            ".;",
            "%2e",
            "%2E%2e",
            "%252e%252e",
            "..%2fx",
            "x\\..",
        ),
        *("a\r\nb", "\x00", "a%0d%0ab", "\x7f"),
        *(None, [], [1], {}, {"a": 1}, "x" * 5000),
    ],
)
def test_what_could_be_another_path_is_no_value(value: Any) -> None:
    with pytest.raises(ValueRefusedError):
        segment_of(value)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_no_value_adds_a_segment_or_becomes_dots(value: str) -> None:
    try:
        path = render_path(parse_template("/a/{call:x}/b"), constant(value))
    except ValueRefusedError:
        return

    assert path.isascii()
    assert path.isprintable()
    _, first, segment, last = path.split("/")
    assert (first, last) == ("a", "b")
    assert unquote(segment) == value
    assert value not in {"", ".", ".."}
    assert "?" not in path
    assert "#" not in path


def test_values_beside_each_other_make_no_dots() -> None:
    template = parse_template("/.{call:a}/x")

    assert render_path(template, constant("a")) == "/.a/x"
    with pytest.raises(ValueRefusedError):
        render_path(parse_template("/{call:a}{call:b}"), lambda each: ".%2e"[each.name == "b" :][:1] or ".")


def test_a_long_path_is_refused() -> None:
    with pytest.raises(ValueRefusedError, match="too long"):
        render_path(parse_template("/{call:a}/{call:a}/{call:a}"), constant("x" * 4000))


@pytest.mark.parametrize(
    ("value", "text"), [("a", "-a"), (1, "-1"), (False, "-false"), ([1, "a"], "-1,a"), ([], "-"), (None, None)]
)
def test_a_value_of_a_query_is_text_and_lists_are_joined(value: Any, text: str | None) -> None:
    assert render_text(parse_template("-{call:a}"), constant(value)) == text


@pytest.mark.parametrize("value", [{"a": 1}, [[1]], [{}], "x" * 5000, ["x" * 3000, "x" * 3000]])
def test_what_is_no_text_is_no_value_of_a_query(value: Any) -> None:
    with pytest.raises(ValueRefusedError):
        render_text(parse_template("{call:a}"), constant(value))


def test_a_default_stands_for_what_is_missing() -> None:
    assert render_text(parse_template("{query:page|1}"), constant(None)) == "1"
    assert render_text(parse_template("{query:page|}"), constant(None)) == ""
    assert render_path(parse_template("/{query:page|1}"), constant(None)) == "/1"


@pytest.mark.parametrize("value", ["a\r\nX: b", "a\nb", "\x00", "a\x7f"])
def test_no_value_begins_another_field(value: str) -> None:
    with pytest.raises(ValueRefusedError):
        render_field(parse_template("{call:a}"), constant(value))


def test_text_in_a_field_is_utf_8() -> None:
    assert render_field(parse_template("{call:a}"), constant("é€")) == "é€".encode().decode("latin-1")


@pytest.mark.parametrize(
    ("template", "value", "made"),
    [
        ({"id": "{call:a}", "n": 1}, 7, {"id": 7, "n": 1}),
        ({"a": ["{call:a}", {"b": "x {call:a}"}], "c": {}, "d": []}, "é", {"a": ["é", {"b": "x é"}], "c": {}, "d": []}),
        ("{call:a}", {"x": [1, None]}, {"x": [1, None]}),
        (["{call:a}", "-{call:a}"], None, [None, "-"]),
        ({'q"': '{{"}}'}, None, {'q"': '{"}'}),
        (True, None, True),
    ],
)
def test_a_body_keeps_the_types_of_values(template: Any, value: Any, made: Any) -> None:
    assert json.loads(BodyTemplate(template).render(constant(value), 1000)) == made


def test_a_body_is_no_larger_than_it_may_be() -> None:
    body = BodyTemplate(["{call:a}"] * 100)

    with pytest.raises(ValueRefusedError):
        body.render(constant("x" * 100), 1000)


def test_a_template_that_is_no_json_is_refused() -> None:
    with pytest.raises(ValueError, match="dates"):
        BodyTemplate({"a": datetime.date(2026, 1, 1)})
    with pytest.raises(ValueError, match="is no JSON"):
        json_text(float("nan"))
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    with pytest.raises(ValueError, match="flatter"):
        BodyTemplate(deep)


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ([], {"a": [{"b": 1}]}),
        (["a", "0", "b"], 1),
        (["a", "1"], None),
        (["a", "x"], None),
        (["a", "-1"], None),
        (["c", "d"], None),
    ],
)
def test_a_place_in_a_response_is_found_or_is_nothing(steps: list[str], found: Any) -> None:
    assert read_call_value({"a": [{"b": 1}]}, steps) == found


def test_a_placeholder_knows_its_call() -> None:
    assert Placeholder("call", "user.id.x").call == "user"
    assert Placeholder("call", "user.id.x").steps == ["id", "x"]
    assert Placeholder("query", "user").call is None
