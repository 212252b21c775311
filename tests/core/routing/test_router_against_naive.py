from __future__ import annotations

from random import Random

from gateway_core.routing import Match, MethodNotAllowed, NotFound, Router, RouteRule
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.routing.naive import naive_match
from tests.core.routing.strategies import REQUESTS, Request, lookup, match_path, tables


def outcome(result: Match[str] | NotFound | MethodNotAllowed) -> tuple[str, dict[str, str]] | tuple[str, ...] | None:
    if isinstance(result, Match):
        return result.rule.id, dict(result.params)
    return result.allow if isinstance(result, MethodNotAllowed) else None


@settings(max_examples=400, deadline=None)
@given(tables(), st.lists(REQUESTS, min_size=1, max_size=12))
def test_tree_matches_as_the_specification(table: list[RouteRule[str]], requests: list[Request]) -> None:
    router = Router.build(table)

    for method, host, raw, query, headers in [*requests, *requests]:  # what the first left behind changes nothing
        path = match_path(raw)
        expected = naive_match(table, method, host, path, query, lookup(headers))
        assert outcome(router.match(method, host, path, query, lookup(headers))) == expected


@settings(max_examples=50, deadline=None)
@given(tables(), st.lists(REQUESTS, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_inserts_does_not_matter(
    table: list[RouteRule[str]], requests: list[Request], random: Random
) -> None:
    shuffled = random.sample(table, len(table))
    one, other = Router.build(table), Router.build(shuffled)

    for method, host, raw, query, headers in requests:
        path = match_path(raw)
        assert outcome(one.match(method, host, path, query, lookup(headers))) == outcome(
            other.match(method, host, path, query, lookup(headers))
        )
