from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from gateway_core.routing import RouteRule, ValueCondition, find_conflicts
from gateway_core.routing.conflicts import Candidate, CoverIndex
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.routing.naive import conditions_hold, naive_match, path_params
from tests.core.routing.strategies import LENIENT, REQUESTS, Request, lookup, match_path, rules, tables


def dead(*rules: dict[str, Any]) -> list[tuple[str, tuple[str, ...], bool]]:
    """Return what is reported of routes named a, b, c, ... in order."""
    table: list[RouteRule[None]] = [
        RouteRule(id="abcdef"[order], payload=None, order=order, **rule) for order, rule in enumerate(rules)
    ]
    return [(conflict.route, conflict.others, conflict.is_equal) for conflict in find_conflicts(table)]


GET, POST, BOTH = frozenset({"GET"}), frozenset({"POST"}), frozenset({"GET", "POST"})
X1, X = ValueCondition("x", value="1"), ValueCondition("X", present=True)


@pytest.mark.parametrize(
    ("rules", "equal"),
    [
        ([{"path": "/a/:id"}, {"path": "/a/:other"}], True),
        ([{"path": "/a/*x"}, {"path": "/a/*y"}], True),
        ([{"path": "/a"}, {"path": "/%61"}], True),
        ([{"path_prefix": "/a"}, {"path_prefix": "/a/"}], True),
        ([{"path_regex": "/a+"}, {"path_regex": "/a+"}], True),
        ([{"path": "/a", "hosts": ("A.com", "b.com")}, {"path": "/a", "hosts": ("b.com.", "a.com")}], True),
        ([{"path": "/a", "headers": (X1,)}, {"path": "/a", "headers": (ValueCondition("X", value="1"),)}], True),
        ([{"path": "/a", "methods": BOTH}, {"path": "/a", "methods": GET}], False),
        ([{"path": "/a", "hosts": ("a.com", "b.com")}, {"path": "/a", "hosts": ("b.com",)}], False),
        ([{"path_prefix": "/", "priority": 1}, {"path": "/a"}], False),
        ([{"path": "/:x", "priority": 1}, {"path": "/a"}], False),
        ([{"path": "/a:x", "priority": 1}, {"path": "/ab:x"}], False),
        ([{"path": "/a/*x", "priority": 1}, {"path": "/a/b/*x"}], False),
        ([{"path_prefix": "/a", "priority": 1}, {"path": "/a/*x"}], False),
        ([{"path": "/*x", "priority": 1}, {"path_prefix": "/"}], False),
        (
            [{"path_prefix": "/a", "hosts": ("*.com",), "priority": 1}, {"path": "/a", "hosts": ("a.com", "*.b.com")}],
            False,
        ),
        ([{"path": "/a", "headers": (X,), "priority": 1}, {"path": "/a", "headers": (X1,)}], False),
        ([{"path_prefix": "/a"}, {"path": "/a/*x"}], False),
        ([{"path_prefix": "/"}, {"path_regex": "/a"}], False),
    ],
)
def test_a_route_that_another_one_hides_is_reported_with_it(rules: list[dict[str, Any]], equal: bool) -> None:
    assert dead(*rules) == [("b", ("a",), equal)]


def test_a_route_hidden_in_parts_names_every_route_that_hides_it() -> None:
    reported = dead({"path": "/a", "methods": GET}, {"path": "/a", "methods": POST}, {"path": "/a", "methods": BOTH})

    assert reported == [("c", ("a", "b"), False)]


@pytest.mark.parametrize(
    "rules",
    [
        [{"path": "/a/:id"}, {"path": "/a/b"}],
        [{"path": "/a/"}, {"path": "/a"}],
        [{"path": "/a", "methods": GET}, {"path": "/a", "methods": BOTH}],
        [{"path": "/a"}, {"path": "/a", "methods": GET}],
        [{"path": "/a"}, {"path": "/a", "headers": (X1,)}],
        [{"path": "/a"}, {"path": "/a", "query": (X1,)}],
        [{"path": "/a", "headers": (X1,)}, {"path": "/a", "query": (X1,)}],
        [{"path": "/a"}, {"path": "/a", "hosts": ("a.com",)}],
        [{"path": "/a", "hosts": ("*.com",)}, {"path": "/a", "hosts": ("a.com",)}],
        [{"path": "/a/*x"}, {"path_prefix": "/a"}],
        [{"path": "/a/*x", "priority": 1}, {"path_prefix": "/a"}],
        [{"path": "/:x", "priority": 1}, {"path": "/"}],
        [{"path": "/a:x", "priority": 1}, {"path": "/a"}],
        [{"path_prefix": "/a", "priority": 1}, {"path_regex": "/a"}],
        [{"path_regex": "/.*"}, {"path_regex": "/a"}],
        [{"path": "/a", "headers": (X1, ValueCondition("X", value="2"))}],
        [{"path": "/a", "headers": (X1, ValueCondition("x", regex="[a-z]"))}],
    ],
)
def test_a_route_that_can_win_is_not_reported(rules: list[dict[str, Any]]) -> None:
    assert dead(*rules) == []


@pytest.mark.parametrize(
    "headers",
    [
        (X1, ValueCondition("x", present=False)),
        (ValueCondition("x", present=False), X),
    ],
)
def test_conditions_that_exclude_each_other_are_reported(headers: tuple[ValueCondition, ...]) -> None:
    assert dead({"path": "/a", "headers": headers}) == [("a", (), False)]


def test_routes_of_one_id_are_told_apart_by_their_order() -> None:
    table = [RouteRule(id="same", payload=None, path="/a", order=order) for order in (3, 7)]

    (conflict,) = find_conflicts(table)
    assert (conflict.order, conflict.other_orders) == (7, (3,))


def test_reasons_name_the_other_route_and_the_rule_that_decides() -> None:
    table = [
        RouteRule(id="all", payload=None, path_prefix="/", priority=3),
        RouteRule(id="one", payload=None, path="/a", order=1),
    ]

    (conflict,) = find_conflicts(table)
    assert str(conflict) == (
        "route 'one' can never match: route 'all' takes every request that it would, "
        "with the higher priority 3 (here 0)"
    )


@settings(max_examples=120, deadline=None)
@given(tables(max_size=10), st.lists(REQUESTS, min_size=40, max_size=40))
def test_a_reported_route_never_wins(table: list[RouteRule[str]], requests: list[Request]) -> None:
    reported = {conflict.route for conflict in find_conflicts(table)}

    for method, host, path, query, headers in requests if reported else []:
        winner = naive_match(table, method, host, match_path(path), query, lookup(headers))
        assert winner is None or winner[0] not in reported


@settings(max_examples=100, deadline=None)
@given(tables(max_size=5), st.integers(0, 4))
def test_a_copy_is_always_reported(table: list[RouteRule[str]], position: int) -> None:
    original = table[position % len(table)]
    copy: RouteRule[str] = RouteRule(
        id="copy",
        payload="",
        path=original.path,
        path_prefix=original.path_prefix,
        path_regex=original.path_regex,
        methods=original.methods,
        hosts=original.hosts,
        headers=original.headers,
        query=original.query,
        priority=original.priority,
        order=len(table),
        policy=LENIENT,
    )

    assert "copy" in {conflict.route for conflict in find_conflicts([*table, copy])}


@settings(max_examples=150, deadline=None)
@given(st.lists(rules(), min_size=2, max_size=8), st.lists(REQUESTS, min_size=20, max_size=20))
def test_a_covering_route_matches_whatever_the_covered_one_does(
    drawn: list[RouteRule[str]], requests: list[Request]
) -> None:
    index: CoverIndex[str] = CoverIndex()
    candidates = [Candidate(replace(rule, order=order, hosts=())) for order, rule in enumerate(drawn)]
    for candidate in candidates:
        index.add(candidate)

    for part in candidates:
        for method in part.methods:
            for other in index.covering("*", part, method):
                assert not other.rule.methods or method in other.rule.methods
                for _, _, raw, query, headers in requests:
                    path = match_path(raw)
                    if path_params(part.rule, path) is not None and conditions_hold(part.rule, query, lookup(headers)):
                        assert path_params(other.rule, path) is not None
                        assert conditions_hold(other.rule, query, lookup(headers))


def test_routes_equal_but_for_names_and_order_are_equal() -> None:
    one = Candidate(RouteRule(id="a", payload=None, path="/x/:a", hosts=("A.com", "b.com")))
    other = Candidate(RouteRule(id="b", payload=None, path="/%78/:b", hosts=("b.com", "a.com"), order=1))

    assert one.is_equal_to(other)
    assert not one.is_equal_to(Candidate(RouteRule(id="b", payload=None, path="/x/:a")))
