from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable
from random import Random

from gateway_core.upstreams import Candidates, Endpoint, EndpointSpec
from gateway_core.upstreams.strategies.consistent_hash import ConsistentHash, hash_of, points_of, scale_of, splice
from hypothesis import given, settings
from hypothesis import strategies as st

RNG = Random(1)
KEYS = [f"user-{number}" for number in range(3_000)]
KNOWN = {f"e{number}": Endpoint(EndpointSpec("http", f"e{number}", 80, id=f"e{number}")) for number in range(12)}


def candidates_of(weights: dict[str, int]) -> Candidates:
    return Candidates([KNOWN[name] for name in weights], list(weights.values()))


def owners(strategy: ConsistentHash, candidates: Candidates, keys: list[str] = KEYS) -> dict[str, str]:
    return {key: strategy.pick(candidates, key, RNG).id for key in keys}


def test_a_key_has_one_endpoint_in_every_process() -> None:
    # Values of another run: a change of the hash would move every client of every cluster that is upgraded.
    assert hash_of("user-1") == 11145382709976293768
    assert points_of("e1", 2) == [13379326254791787476, 12317839167155382240]


@settings(max_examples=25)
@given(st.integers(2, 12), st.data())
def test_removing_one_of_n_moves_only_its_keys_about_one_nth(count: int, data: st.DataObject) -> None:
    weights = dict.fromkeys(list(KNOWN)[:count], 1)
    strategy = ConsistentHash()
    strategy.update(candidates_of(weights))
    before = owners(strategy, candidates_of(weights))
    removed = data.draw(st.sampled_from(list(weights)))
    del weights[removed]

    strategy.update(candidates_of(weights))
    after = owners(strategy, candidates_of(weights))

    moved = {key for key in KEYS if before[key] != after[key]}
    assert moved == {key for key in KEYS if before[key] == removed}
    assert 0.6 / count < len(moved) / len(KEYS) < 1.5 / count


def test_an_unusable_endpoint_loses_its_keys_until_it_is_back() -> None:
    everyone = candidates_of({"e0": 1, "e1": 1, "e2": 1, "e3": 1})
    without = candidates_of({"e0": 1, "e1": 1, "e3": 1})
    strategy = ConsistentHash()
    strategy.update(everyone)
    before = owners(strategy, everyone)

    during = owners(strategy, without)

    assert all(during[key] == before[key] for key in KEYS if before[key] != "e2")
    assert {during[key] for key in KEYS if before[key] == "e2"} == {"e0", "e1", "e3"}
    assert owners(strategy, everyone) == before


def test_shares_follow_the_weights() -> None:
    candidates = candidates_of({"e0": 1, "e1": 2, "e2": 5})
    strategy = ConsistentHash()
    strategy.update(candidates)

    shares = Counter(owners(strategy, candidates).values())

    for name, weight in {"e0": 1, "e1": 2, "e2": 5}.items():
        assert abs(shares[name] / len(KEYS) - weight / 8) < 0.08


def test_a_changed_weight_moves_keys_to_or_from_that_endpoint_only() -> None:
    strategy = ConsistentHash()
    small, large = candidates_of({"e0": 1, "e1": 1, "e2": 1}), candidates_of({"e0": 1, "e1": 1, "e2": 2})
    strategy.update(small)
    before = owners(strategy, small)

    strategy.update(large)
    after = owners(strategy, large)

    assert {after[key] for key in KEYS if after[key] != before[key]} == {"e2"}


def test_changes_one_by_one_give_the_ring_that_is_built_at_once() -> None:
    step_by_step, at_once = ConsistentHash(), ConsistentHash()
    for weights in ({"e0": 1}, {"e0": 1, "e5": 3}, {"e5": 3, "e6": 40}, {"e1": 2, "e5": 3, "e6": 1}):
        step_by_step.update(candidates_of(weights))

    at_once.update(candidates_of({"e6": 1, "e5": 3, "e1": 2}))

    candidates = candidates_of({"e1": 2, "e5": 3, "e6": 1})
    assert owners(step_by_step, candidates) == owners(at_once, candidates)


@given(
    st.lists(st.integers(0, 2**64 - 1), unique=True, min_size=40, max_size=80),
    st.lists(st.integers(0, 2**64 - 1), unique=True, max_size=8),
    st.data(),
)
def test_points_are_spliced_into_a_sorted_ring(ring: list[int], come: list[int], data: st.DataObject) -> None:
    gone = data.draw(st.lists(st.sampled_from(ring), unique=True, max_size=8))

    spliced = splice(array("Q", sorted(ring)), gone, come)

    assert list(spliced) == sorted([point for point in ring if point not in gone] + come)


def test_one_change_to_a_large_ring_leaves_the_rest() -> None:
    strategy = ConsistentHash()
    everyone, fewer = dict.fromkeys(list(KNOWN), 1), dict.fromkeys(list(KNOWN)[1:], 1)
    strategy.update(candidates_of(everyone))
    before = owners(strategy, candidates_of(everyone))
    strategy.update(candidates_of(fewer))
    strategy.update(candidates_of(everyone))

    assert owners(strategy, candidates_of(everyone)) == before


def test_members_that_are_not_usable_may_come_and_go() -> None:
    usable = candidates_of({"e0": 1, "e1": 1})
    strategy = ConsistentHash()
    strategy.update(usable)
    before = owners(strategy, usable)

    strategy.update(candidates_of({"e0": 1, "e1": 1, "e2": 1}))
    assert owners(strategy, usable) == before

    strategy.update(candidates_of({"e0": 1, "e1": 1, "e3": 1}))
    assert owners(strategy, usable) == before


def test_large_weights_keep_the_ring_small() -> None:
    assert [scale_of(w) for w in [(1,), (16, 3), (17,), (100, 100), (1000, 1)]] == [1, 1, 2, 8, 64]


def test_no_key_is_a_random_choice(make_candidates: Callable[..., Candidates]) -> None:
    candidates, strategy, rng = make_candidates(a=1, b=1, c=2), ConsistentHash(), Random(4)
    strategy.update(candidates)

    picks = Counter(strategy.pick(candidates, None, rng).id for _ in range(4_000))

    assert abs(picks["c"] - 2_000) < 200


def test_a_second_choice_is_the_same_for_the_same_key(make_candidates: Callable[..., Candidates]) -> None:
    strategy = ConsistentHash()
    strategy.update(make_candidates(a=1, b=1, c=1, d=1))
    rest = make_candidates(b=1, c=1, d=1)

    again = [{strategy.pick_again(rest, key, RNG).id for _ in range(5)} for key in KEYS[:50]]

    assert all(len(picks) == 1 for picks in again)
    assert set().union(*again) == {"b", "c", "d"}
