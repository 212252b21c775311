from __future__ import annotations

from dataclasses import replace

from gateway_core.routing import RouteRule
from gateway_core.routing.covers import Candidate, CoverIndex
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.routing.naive import conditions_hold, path_params
from tests.core.routing.strategies import REQUESTS, Request, lookup, match_path, rules


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
