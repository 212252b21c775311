from __future__ import annotations

from collections import Counter
from typing import Any

from gateway_core.metrics.catalogue import OTHER, UPSTREAM_DURATION, UPSTREAM_SENT_BYTES
from gateway_core.metrics.endpoint_fold import EndpointFold, Key, named_of
from gateway_core.metrics.samples import Distribution, Samples
from hypothesis import given
from hypothesis import strategies as st


def folded(fold: EndpointFold, counts: dict[Key, int], named: set[Key], used: set[Key] | None = None) -> dict[Key, Any]:
    samples = Samples()
    samples.put(UPSTREAM_SENT_BYTES, list(counts.items()))
    fold.fold(samples, frozenset(named), counts.keys() if used is None else used, counts.keys())
    return dict(samples.series[UPSTREAM_SENT_BYTES.name].values)  # type: ignore[arg-type]  # all have two labels


A, B, C, SHARED = ("u", "a"), ("u", "b"), ("u", "c"), ("u", OTHER)


def test_all_are_shown_where_there_is_room() -> None:
    assert folded(EndpointFold(), {A: 1, B: 2}, {A, B}) == {A: 1, B: 2}


def test_others_of_an_upstream_are_one() -> None:
    assert folded(EndpointFold(), {A: 1, B: 2, C: 3}, {A}) == {A: 1, SHARED: 5}


def test_one_that_gets_series_of_its_own_leaves_what_it_has_shared() -> None:
    fold = EndpointFold()
    folded(fold, {A: 1, B: 2}, {A})

    assert folded(fold, {B: 5}, {B}) == {B: 3, SHARED: 2}


def test_one_that_becomes_one_of_the_others_shares_what_it_counts_from_then_on() -> None:
    fold = EndpointFold()
    folded(fold, {B: 7}, {B})
    assert folded(fold, {A: 0, B: 7}, {A}) == {A: 0, SHARED: 0}

    assert folded(fold, {A: 0, B: 9}, {A}) == {A: 0, SHARED: 2}
    assert folded(fold, {B: 10}, {B}) == {B: 8, SHARED: 2}


def test_one_that_is_not_in_use_any_more_shares_nothing() -> None:
    assert folded(EndpointFold(), {A: 1, B: 2}, {A}, used={A}) == {A: 1, B: 2}


def test_one_of_the_others_that_is_not_in_use_any_more_leaves_what_it_has_shared() -> None:
    fold = EndpointFold()
    folded(fold, {A: 1, B: 2}, {A})

    assert folded(fold, {A: 1, B: 3}, {A}, used={A}) == {A: 1, SHARED: 3}
    assert folded(fold, {A: 1}, {A}) == {A: 1, SHARED: 3}


def test_what_is_shared_goes_with_the_upstream() -> None:
    fold = EndpointFold()
    folded(fold, {A: 1, B: 2}, {A})

    assert folded(fold, {("v", "a"): 1}, {("v", "a")}) == {("v", "a"): 1}


def test_histograms_are_shared_as_well() -> None:
    samples = Samples()
    samples.put(UPSTREAM_DURATION, [(A, Distribution([1, 0], 0.5)), (B, Distribution([2, 1], 9.0))], (1.0,))

    EndpointFold().fold(samples, frozenset(), {A, B}, {A, B})

    assert samples.value(UPSTREAM_DURATION.name, *SHARED) == Distribution([3, 1], 9.5)


ENDPOINTS = [("u", "a"), ("u", "b"), ("v", "a"), ("v", "b"), ("v", "c")]
STEPS = st.lists(st.tuples(st.sets(st.sampled_from(ENDPOINTS)), st.integers(0, 3), st.sampled_from(ENDPOINTS)))


@given(STEPS)
def test_no_counter_goes_back_and_together_they_are_all_that_was_counted(
    steps: list[tuple[set[Key], int, Key]],
) -> None:
    fold, counts, before = EndpointFold(), Counter(dict.fromkeys(ENDPOINTS, 0)), dict[Key, Any]()
    for used, most, busy in steps:
        if busy in used:
            counts[busy] += 1
        shown = folded(fold, dict(counts), set(named_of(used, most)), used)

        own = {key: value for key, value in shown.items() if key[1] != OTHER}
        shared = sum(value for key, value in shown.items() if key[1] == OTHER)
        assert all(value >= before.get(key, 0) for key, value in shown.items())
        assert sum(own.values()) + shared <= counts.total()
        before |= shown

    assert sum(before.values()) == counts.total()
