from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

from gateway_core.upstreams import Candidates
from gateway_core.upstreams.strategies import RoundRobin

RNG = Random(1)


def test_each_endpoint_gets_its_turn_whatever_its_weight(make_candidates: Callable[..., Candidates]) -> None:
    strategy, candidates = RoundRobin(), make_candidates(a=5, b=1, c=1)

    assert [strategy.pick(candidates, None, RNG).id for _ in range(7)] == list("abcabca")


def test_the_turns_go_on_when_an_endpoint_leaves(make_candidates: Callable[..., Candidates]) -> None:
    strategy = RoundRobin()
    all_three, two = make_candidates(a=1, b=1, c=1), make_candidates(a=1, c=1)
    for _ in range(3):
        strategy.pick(all_three, None, RNG)

    assert Counter(strategy.pick(two, None, RNG).id for _ in range(10)) == {"a": 5, "c": 5}
