from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

import pytest
from gateway_core.upstreams import Candidates, Endpoint, EndpointSpec
from gateway_core.upstreams.strategies import LeastRequests, RandomChoice, RoundRobin
from hypothesis import given
from hypothesis import strategies as st


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


def candidates_of(loads: list[tuple[int, int]]) -> Candidates:
    endpoints = [Endpoint(EndpointSpec("http", "e", 80, id=str(index))) for index in range(len(loads))]
    for endpoint, (active, _) in zip(endpoints, loads, strict=True):
        endpoint.active = active
    return Candidates(endpoints, [weight for _, weight in loads])


def test_the_less_busy_of_two_is_chosen() -> None:
    candidates = candidates_of([(3, 1), (2, 1)])

    assert {LeastRequests().pick(candidates, None, Random(seed)).id for seed in range(50)} == {"1"}


def test_load_counts_in_proportion_to_the_weight() -> None:
    candidates = candidates_of([(5, 4), (2, 1)])

    assert {LeastRequests().pick(candidates, None, Random(seed)).id for seed in range(50)} == {"0"}


def test_waiting_requests_are_load(make_candidates: Callable[..., Candidates]) -> None:
    candidates = make_candidates(a=1, b=1)
    candidates.endpoints[0].pending = 3

    assert {LeastRequests().pick(candidates, None, Random(seed)).id for seed in range(50)} == {"b"}


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), min_size=2, max_size=6), st.integers(0, 1000))
def test_the_busiest_is_never_chosen_unless_it_is_equal(loads: list[tuple[int, int]], seed: int) -> None:
    chosen = int(LeastRequests().pick(candidates_of(loads), None, Random(seed)).id)
    ratios = [(active + 1) / weight for active, weight in loads]

    assert ratios[chosen] < max(ratios) or ratios.count(max(ratios)) > 1


def test_held_requests_spread_by_weight() -> None:
    strategy, rng = LeastRequests(), Random(3)
    candidates = candidates_of([(0, 1), (0, 2), (0, 1)])
    for _ in range(400):
        strategy.pick(candidates, None, rng).active += 1

    active = Counter({endpoint.id: endpoint.active for endpoint in candidates.endpoints})

    assert abs(active["1"] - 200) < 20
    assert abs(active["0"] - active["2"]) < 20
