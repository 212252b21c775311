from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

import pytest
from gateway_core.upstreams import Candidates
from gateway_core.upstreams.strategies import RandomChoice


@pytest.mark.parametrize("weights", [{"a": 1, "b": 1}, {"a": 3, "b": 1}, {"a": 1, "b": 8, "c": 1}])
def test_shares_follow_the_weights(weights: dict[str, int], make_candidates: Callable[..., Candidates]) -> None:
    strategy, candidates, rng = RandomChoice(), make_candidates(**weights), Random(7)

    picks = Counter(strategy.pick(candidates, None, rng).id for _ in range(20_000))

    for name, weight in weights.items():
        assert abs(picks[name] / 20_000 - weight / sum(weights.values())) < 0.02


def test_a_second_choice_follows_the_weights_too(make_candidates: Callable[..., Candidates]) -> None:
    strategy, rng = RandomChoice(), Random(7)

    picks = Counter(strategy.pick_again(make_candidates(a=9, b=1), None, rng).id for _ in range(5_000))

    assert abs(picks["a"] / 5_000 - 0.9) < 0.03
