"""Parameters that are left out and set on the way upstream."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from gateway_core.routing import compile_query_rewrite
from gateway_core.routing.problems import RewriteError
from hypothesis import given
from hypothesis import strategies as st


def rewritten(query: str, *, remove: tuple[str, ...] = (), **set_: str) -> str:
    rewrite = compile_query_rewrite(remove, set_)
    assert rewrite is not None
    return rewrite.apply(query)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "source=web"),
        ("a=1", "a=1&source=web"),
        ("source=1&a=2&source=3", "a=2&source=web"),
        ("%73ource=1&a", "a&source=web"),
        ("Source=1", "Source=1&source=web"),
        ("a=%20+%zz&&=&b=%C3%BC", "a=%20+%zz&&=&b=%C3%BC&source=web"),
    ],
)
def test_what_is_set_stands_once_and_last(query: str, expected: str) -> None:
    assert rewritten(query, source="web") == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ""),
        ("a=1", "a=1"),
        ("debug", ""),
        ("debug=1&a=%2f&deb%75g=&b", "a=%2f&b"),
        ("a&&debug", "a&"),
        ("debugger=1&xdebug", "debugger=1&xdebug"),
    ],
)
def test_what_is_removed_is_found_by_its_decoded_name(query: str, expected: str) -> None:
    assert rewritten(query, remove=("debug",)) == expected


def test_plus_is_a_space_in_a_name() -> None:
    assert rewritten("a+b=1&a%20b=2&c", remove=("a b",)) == "c"


def test_parameters_are_removed_before_others_are_set() -> None:
    assert rewritten("source=1", remove=("source",), source="a b&c=d/ü") == "source=a%20b%26c%3Dd%2F%C3%BC"


def test_a_value_that_is_a_parameter_stands_for_what_was_captured() -> None:
    rewrite = compile_query_rewrite((), {"100%": "a%b", "id": ":id", "rest": "*rest"}, ("id", "rest"))
    assert rewrite is not None

    query = rewrite.apply("id=9&q", {"id": "a&b=ü%", "rest": "x/y"})

    assert query == "q&100%25=a%25b&id=a%26b%3D%C3%BC%25&rest=x%2Fy"
    assert rewrite.apply("", {}) == "100%25=a%25b&id=&rest="


@pytest.mark.parametrize("value", ["10:30", "a:id", ":id.json", ":1", "urn:x", "{}", "{,}", "$", "5$", "*"])
def test_any_other_value_is_literal(value: str) -> None:
    rewrite = compile_query_rewrite((), {"a": value}, ("id",))
    assert rewrite is not None

    assert parse_qsl(rewrite.apply("")) == [("a", value)]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (":user", "query parameter 'a' names the parameter 'user', the route has 'id'"),
        ("$1", "query parameter 'a' is '$1', which would be sent literally: write :name"),
        ("{id}", "would be sent literally"),
        ("$uri_id", "would be sent literally"),
    ],
)
def test_what_stands_for_a_parameter_elsewhere_is_refused(value: str, message: str) -> None:
    with pytest.raises(RewriteError) as caught:
        compile_query_rewrite((), {"a": value}, ("id",))

    assert message in str(caught.value)


def test_a_rewrite_of_nothing_is_none() -> None:
    assert compile_query_rewrite((), {}) is None


@given(
    st.lists(st.tuples(st.text("abé&=+% ", min_size=1), st.text("abé&=+% ")), max_size=4),
    st.dictionaries(st.text("abé&=+% ", min_size=1), st.text("abé&=+% "), min_size=1, max_size=3),
)
def test_an_upstream_reads_what_was_set(pairs: list[tuple[str, str]], set_: dict[str, str]) -> None:
    first = compile_query_rewrite((), dict(pairs) or {"x": ""})
    assert first is not None
    rewrite = compile_query_rewrite((), set_)
    assert rewrite is not None

    read = parse_qsl(rewrite.apply(first.apply("")), keep_blank_values=True)

    assert read[-len(set_) :] == list(set_.items())
    assert not {name for name, _ in read[: -len(set_)]} & set_.keys()


@pytest.mark.parametrize(
    ("keep", "query", "expected"),
    [
        (["page"], "page=1&debug=1&page=2", "page=1&page=2"),
        (["page"], "%70age=1&Page=2&page", "%70age=1&page"),
        ([], "a=1&b", ""),
        (["a"], "", ""),
        (["a b"], "a+b=1&a%20b=2&a=3", "a+b=1&a%20b=2"),
    ],
)
def test_only_parameters_that_are_kept_go_on(keep: list[str], query: str, expected: str) -> None:
    rewrite = compile_query_rewrite((), {}, keep=keep)
    with_more = compile_query_rewrite((), {"z": "1"}, keep=keep)

    assert rewrite is not None
    assert with_more is not None
    assert rewrite.apply(query) == expected
    assert with_more.apply(f"z=2&{query}") == (f"{expected}&z=1" if expected else "z=1")
