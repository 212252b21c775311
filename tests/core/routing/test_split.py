from __future__ import annotations

from collections import Counter

import pytest
from gateway_core.routing import WeightedTargets, rendezvous, samples
from hypothesis import given
from hypothesis import strategies as st

WEIGHTS = st.lists(st.integers(0, 50), min_size=1, max_size=6).filter(any)


@given(WEIGHTS, st.integers(0, 10_000))
def test_every_run_of_total_picks_gives_each_target_its_weight(weights: list[int], start: int) -> None:
    targets = WeightedTargets(list(enumerate(weights)))
    picks = Counter(targets.pick(counter) for counter in range(start, start + targets.total))
    scale = sum(weights) // targets.total

    assert {target: count * scale for target, count in picks.items()} == {
        target: weight for target, weight in enumerate(weights) if weight
    }


def test_picks_of_a_target_are_spread() -> None:
    targets = WeightedTargets([("rare", 10), ("usual", 90)])
    picks = [targets.pick(counter) for counter in range(100)]

    assert targets.total == 10
    assert [picks[start : start + 10].count("rare") for start in range(0, 100, 10)] == [1] * 10
    even = WeightedTargets([("a", 50), ("b", 50)])
    assert [even.pick(counter) for counter in range(4)] in (["a", "b", "a", "b"], ["b", "a", "b", "a"])


@pytest.mark.parametrize("weights", [[], [0, 0], [1, -1]])
def test_weights_that_give_no_one_anything_are_refused(weights: list[int]) -> None:
    with pytest.raises(ValueError, match="weight"):
        WeightedTargets(list(enumerate(weights)))


@pytest.mark.parametrize(("percent", "expected"), [(0, 0), (100, 10_000), (50, 5_000), (0.01, 1), (12.5, 1_250)])
def test_samples_takes_exactly_its_share(percent: float, expected: int) -> None:
    assert sum(samples(percent, counter) for counter in range(77, 10_077)) == expected


@given(
    weights=st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any),
    keys=st.lists(st.text(), min_size=1, max_size=20),
)
def test_a_key_belongs_to_a_target_with_a_weight_whatever_else_goes(weights: list[int], keys: list[str]) -> None:
    targets = [(f"t{index}", weight) for index, weight in enumerate(weights)]

    for key in keys:
        chosen = rendezvous(key, targets)
        assert weights[chosen] > 0
        kept = [pair for pair in targets if pair == targets[chosen] or pair[0] > "t2"]
        assert kept[rendezvous(key, kept)] == targets[chosen]
