from __future__ import annotations

import pytest
from gateway_core.routing import RouteRule, ValueCondition, parse_pattern
from gateway_core.routing.conditions import RequestValues
from gateway_core.routing.entries import Entry
from gateway_core.routing.patterns import captures_of

from tests.core.routing.strategies import lookup


def entry(path: str, methods: frozenset[str] = frozenset(), **conditions: tuple[ValueCondition, ...]) -> Entry[str]:
    headers, query = conditions.get("headers", ()), conditions.get("query", ())
    rule = RouteRule(id="r", payload="p", path=path, methods=methods, headers=headers, query=query)
    return Entry(rule, parse_pattern(path))


@pytest.mark.parametrize(
    ("pattern", "captures"),
    [
        ("/a", None),
        ("/:x", (("x", 1, 0),)),
        ("/a/u_:x/*rest", (("x", 2, 2), ("rest", 3, -1))),
    ],
)
def test_captures_say_where_parameters_stand(pattern: str, captures: tuple[tuple[str, int, int], ...] | None) -> None:
    assert captures_of(parse_pattern(pattern)) == captures


def test_a_match_takes_its_parameters_from_their_segments_and_decodes_them_once() -> None:
    match = entry("/a/u_:x/*rest").match_for("/a/u_100%25/b%2Fc//d")

    assert match.params == {"x": "100%", "rest": "b/c//d"}
    assert match.params is match.params
    assert match.payload == "p"


def test_parameters_of_a_match_cannot_be_changed() -> None:
    match = entry("/a/:x").match_for("/a/1")

    with pytest.raises(TypeError):
        match.params["x"] = "2"  # type: ignore[index]


def test_routes_without_parameters_have_one_match() -> None:
    one = entry("/a")

    assert one.match_for("/a") is one.match
    assert one.match.params == {}


def test_an_entry_admits_by_method_headers_and_query() -> None:
    one = entry(
        "/a", frozenset({"GET"}), headers=(ValueCondition("H", value="1"),), query=(ValueCondition("q", value="2"),)
    )

    assert one.admits("GET", lookup({"h": ["1"]}), RequestValues("q=2"))
    assert not one.admits("PUT", lookup({"h": ["1"]}), RequestValues("q=2"))
    assert not one.admits("GET", lookup({"h": ["2"]}), RequestValues("q=2"))
    assert not one.admits("GET", lookup({"h": ["1"]}), RequestValues("q=1"))
