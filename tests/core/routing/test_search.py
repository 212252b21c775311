from __future__ import annotations

from gateway_core.routing import RouteRule, rule_pattern
from gateway_core.routing.patterns import path_rank
from gateway_core.routing.search import reachable
from gateway_core.routing.tree import Entry, Tree
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.routing.naive import path_params
from tests.core.routing.strategies import REQUESTS, Request, match_path, tables


def tree_of(table: list[RouteRule[str]]) -> Tree[str]:
    tree: Tree[str] = Tree()
    for rule in table:
        pattern = rule_pattern(rule)
        tree.insert(pattern, Entry(rule, pattern))
    return tree


@settings(max_examples=150, deadline=None)
@given(tables(), st.lists(REQUESTS, min_size=1, max_size=5))
def test_every_place_that_a_path_reaches_is_yielded_in_order_of_the_paths(
    table: list[RouteRule[str]], requests: list[Request]
) -> None:
    tree = tree_of(table)

    for _, _, raw, _, _ in requests:
        path = match_path(raw)
        found = [entry.match.rule for leaf in reachable(tree, path) for entry in leaf]
        assert {rule.id for rule in found} == {rule.id for rule in table if path_params(rule, path) is not None}
        assert len(found) == len({rule.id for rule in found})
        ranks = [path_rank(rule_pattern(rule), rule.order) for rule in found]
        assert ranks == sorted(ranks)
