from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import gcd
from random import Random

import pytest
from gateway_core.upstreams import Candidates, Endpoint, EndpointSpec
from gateway_core.upstreams.strategies import WeightedRoundRobin
from hypothesis import given
from hypothesis import strategies as st

RNG = Random(1)


def take(strategy: WeightedRoundRobin, candidates: Candidates, count: int) -> str:
    return " ".join(strategy.pick(candidates, None, RNG).id for _ in range(count))


def candidates_of(weights: dict[str, int]) -> Candidates:
    return Candidates([Endpoint(EndpointSpec("http", "e", 80, id=n)) for n in weights], list(weights.values()))


def nginx(weights: list[int], count: int) -> list[int]:
    """ngx_http_upstream_get_peer: the specification."""
    current = [0] * len(weights)
    picks = []
    for _ in range(count):
        best = -1
        for index, weight in enumerate(weights):
            current[index] += weight
            if best < 0 or current[index] > current[best]:
                best = index
        current[best] -= sum(weights)
        picks.append(best)
    return picks


@pytest.mark.parametrize(
    ("weights", "sequence"),
    [
        ({"a": 5, "b": 1, "c": 1}, "a a b a c a a"),
        ({"a": 50, "b": 10, "c": 10}, "a a b a c a a"),
        ({"a": 4, "b": 2, "c": 1}, "a b a c a b a"),
        ({"a": 1, "b": 1, "c": 1}, "a b c"),
        ({"a": 2, "b": 1}, "a b a"),
        ({"a": 7}, "a"),
    ],
)
def test_the_sequence_is_that_of_nginx(weights: dict[str, int], sequence: str) -> None:
    candidates = candidates_of(weights)

    assert take(WeightedRoundRobin(), candidates, 3 * len(sequence.split())) == " ".join([sequence] * 3)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_every_cycle_is_exact_computed_or_read_back(weights: list[int]) -> None:
    candidates = candidates_of({str(index): weight for index, weight in enumerate(weights)})
    strategy = WeightedRoundRobin()
    cycle = sum(weights) // gcd(*weights)

    picks = [int(name) for name in take(strategy, candidates, 3 * cycle).split()]

    assert picks == nginx(weights, 3 * cycle)
    assert Counter(picks) == {index: 3 * weight // gcd(*weights) for index, weight in enumerate(weights)}


def test_what_is_left_out_does_not_disturb_the_rest(make_candidates: Callable[..., Candidates]) -> None:
    strategy = WeightedRoundRobin()
    take(strategy, make_candidates(a=5, b=1, c=1), 3)

    assert Counter(take(strategy, make_candidates(a=5, c=1), 60).split()) == {"a": 50, "c": 10}


def test_weights_change_without_a_jump(make_candidates: Callable[..., Candidates]) -> None:
    strategy = WeightedRoundRobin()
    take(strategy, make_candidates(a=500, b=499, c=1), 333)

    after = take(strategy, make_candidates(a=1, b=1, c=1), 30).split()

    assert Counter(after) == {"a": 10, "b": 10, "c": 10}
    assert max(Counter(after[:6]).values()) <= 3


weight_maps = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 20), min_size=1)


@given(st.lists(st.tuples(weight_maps, st.integers(0, 60)), min_size=1, max_size=8))
def test_shares_stay_near_the_weights_through_any_changes(steps: list[tuple[dict[str, int], int]]) -> None:
    known = {name: Endpoint(EndpointSpec("http", name, 80, id=name)) for name in "abcdef"}
    strategy = WeightedRoundRobin()

    for weights, count in steps:
        candidates = Candidates([known[name] for name in weights], list(weights.values()))
        picks = Counter(take(strategy, candidates, count).split())
        total = sum(weights.values())
        for name, weight in weights.items():
            assert abs(picks[name] - count * weight / total) <= len(known)


@given(weight_maps, st.integers(1, 200), weight_maps)
def test_carried_credits_settle_into_an_exact_cycle(old: dict[str, int], count: int, new: dict[str, int]) -> None:
    strategy = WeightedRoundRobin()
    known = {name: Endpoint(EndpointSpec("http", name, 80, id=name)) for name in "abcdef"}
    take(strategy, Candidates([known[n] for n in old], list(old.values())), count)
    candidates = Candidates([known[n] for n in new], list(new.values()))
    total = sum(new.values()) // gcd(*new.values())

    take(strategy, candidates, 4 * total)
    picks = Counter(take(strategy, candidates, 2 * total).split())

    assert picks == {name: 2 * weight // gcd(*new.values()) for name, weight in new.items()}


def test_a_second_choice_leaves_the_turns_alone(make_candidates: Callable[..., Candidates]) -> None:
    strategy = WeightedRoundRobin()
    candidates = make_candidates(a=5, b=1, c=1)
    first = take(strategy, candidates, 3)

    assert strategy.pick_again(make_candidates(b=1), None, RNG).id == "b"

    assert f"{first} {take(strategy, candidates, 4)}" == "a a b a c a a"
