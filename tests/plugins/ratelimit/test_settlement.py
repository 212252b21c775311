from __future__ import annotations

from typing import Any

from gateway_plugin_ratelimit.algorithms import EMPTY, FixedWindow
from gateway_plugin_ratelimit.settlement import settle
from hypothesis import given
from hypothesis import strategies as st

RULES = st.builds(FixedWindow, st.integers(1, 4), st.just(10.0), counts_refused=st.booleans())


@given(st.lists(RULES, min_size=1, max_size=4), st.lists(st.integers(1, 3), max_size=20))
def test_all_or_nothing_except_where_refused_requests_count(rules: Any, costs: Any) -> None:
    used = [0] * len(rules)
    states = [EMPTY] * len(rules)
    for cost in costs:
        hits = [(rule, str(index), cost) for index, rule in enumerate(rules)]

        decisions, nexts = settle(hits, states, 1005.0)

        fits = [used[index] + cost <= rule.quota for index, rule in enumerate(rules)]
        assert [decision.allowed for decision in decisions] == fits
        for index, rule in enumerate(rules):
            is_charged = all(fits) or rule.counts_refused
            assert (nexts[index] is not None) == is_charged
            used[index] += cost * is_charged
            assert decisions[index].remaining == max(0, rule.quota - used[index])
        states = [new or old for new, old in zip(nexts, states, strict=True)]
