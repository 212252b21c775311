from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_ratelimit.algorithms import EMPTY, Concurrency, FixedWindow, Rule, SlidingWindow, State, TokenBucket
from hypothesis import example, given
from hypothesis import strategies as st


def run(rule: Rule, history: list[tuple[float, int]], start: float = 1000.0) -> list[tuple[float, int]]:
    """Return (time, cost) of the requests that a rule lets through, each that many seconds after the one before."""
    state: State = EMPTY
    now, passed = start, []
    for pause, cost in history:
        now += pause
        decision = rule.decide(state, now, cost)
        if decision.state is not None:
            state = decision.state
        if decision.allowed:
            passed.append((now, cost))
    return passed


def test_token_bucket_lets_a_burst_through_and_then_the_rate() -> None:
    bucket = TokenBucket(10, 20)

    burst = run(bucket, [(0, 1)] * 25)
    steady = run(bucket, [(0, 1)] * 20 + [(0.1, 1)] * 50)

    assert len(burst) == 20
    assert len(steady) == 70


def test_token_bucket_says_what_is_left_and_when_it_is_full_again() -> None:
    bucket = TokenBucket(10, 20)

    first = bucket.decide(EMPTY, 1000.0, 1)
    assert first.state
    second = bucket.decide(first.state, 1000.0, 4)

    assert (first.remaining, round(first.reset, 6)) == (19, 0.1)
    assert (second.remaining, round(second.reset, 6)) == (15, 0.5)


def test_token_bucket_refuses_with_the_time_after_which_the_same_request_passes() -> None:
    bucket = TokenBucket(10, 20)
    state = bucket.debit(EMPTY, 1000.0, 20)

    refused = bucket.decide(state, 1000.0, 3)

    assert not refused.allowed
    assert refused.state is None
    assert not bucket.decide(state, 1000.0 + refused.wait - 0.001, 3).allowed
    assert bucket.decide(state, 1000.0 + refused.wait, 3).allowed


def test_token_bucket_with_patience_holds_back_in_order_and_then_refuses() -> None:
    bucket = TokenBucket(10, 1, patience=0.25)
    state, waits = EMPTY, []

    for _ in range(5):
        decision = bucket.decide(state, 1000.0, 1)
        state = decision.state or state
        waits.append(round(decision.wait, 6) if decision.allowed else None)

    assert waits == [0.0, 0.1, 0.2, None, None]


def test_refused_requests_that_count_keep_a_client_out_but_owe_at_most_one_more_bucket() -> None:
    lenient, strict = TokenBucket(1, 2), TokenBucket(1, 2, counts_refused=True)
    hammering = [(0.0, 1)] * 3 + [(0.5, 1)] * 100

    assert len(run(lenient, hammering)) == 52
    assert len(run(strict, hammering)) == 2
    assert len(run(strict, [*hammering, (3.0 + 1e-5, 1)])) == 3


@pytest.mark.parametrize("rule", [TokenBucket(5, 10), FixedWindow(10, 60), SlidingWindow(10, 60)])
def test_a_clock_that_went_back_locks_nobody_out_for_longer_than_the_limit_would(rule: Any) -> None:
    state = rule.debit(EMPTY, 1_000_000.0, 10)

    refusal = rule.decide(state, 1000.0, 1)

    assert refusal.allowed or refusal.wait <= 2 * rule.window + 1


def test_fixed_window_starts_anew_with_each_window() -> None:
    window = FixedWindow(3, 60)

    assert len(run(window, [(0, 1)] * 5, start=60.0)) == 3
    assert len(run(window, [(59.9, 1), (0, 1), (0, 1), (0, 1), (0.1, 1)], start=60.0)) == 4


def test_fixed_window_says_when_the_window_ends() -> None:
    window = FixedWindow(3, 60)
    state = window.debit(EMPTY, 70.0, 3)

    refused = window.decide(state, 70.0, 1)

    assert (refused.allowed, refused.remaining, refused.wait, refused.reset) == (False, 0, 50.0, 50.0)


def test_sliding_window_weighs_the_previous_window() -> None:
    window = SlidingWindow(100, 60)
    state = window.debit(EMPTY, 60.0, 80)

    decision = window.decide(state, 135.0, 1)

    # Three quarters of the new window still overlap the old one: 100 - 80 * 0.75 - 1.
    assert decision.remaining == 39


@given(
    quota=st.integers(1, 20),
    history=st.lists(st.tuples(st.floats(0, 90), st.integers(1, 5)), max_size=60),
)
def test_sliding_window_waits_are_exact(quota: Any, history: Any) -> None:
    window = SlidingWindow(quota, 60)
    state, now = EMPTY, 1000.0
    for pause, cost in history:
        now += pause
        decision = window.decide(state, now, cost)
        if decision.allowed:
            assert decision.state is not None
            state = decision.state
        elif cost <= quota:
            assert decision.wait > 0
            assert window.decide(state, now + decision.wait + 1e-3, cost).allowed
            if decision.wait > 0.01:
                assert not window.decide(state, now + decision.wait - 0.01, cost).allowed or cost == 0


@given(
    rate=st.floats(0.1, 1000),
    burst=st.integers(1, 50),
    history=st.lists(st.tuples(st.floats(0, 2), st.integers(1, 5)), max_size=80),
    counts_refused=st.booleans(),
)
def test_token_bucket_never_passes_more_than_burst_and_rate_in_any_interval(
    rate: Any, burst: Any, history: Any, counts_refused: Any
) -> None:
    passed = run(TokenBucket(rate, burst, counts_refused=counts_refused), history)

    for first, (since, _) in enumerate(passed):
        total = 0
        for at, cost in passed[first:]:
            total += cost
            assert total <= burst + rate * (at - since) + 1e-3


@given(quota=st.integers(1, 20), history=st.lists(st.tuples(st.floats(0, 40), st.integers(1, 5)), max_size=80))
def test_fixed_window_never_passes_more_than_its_quota_in_a_window(quota: Any, history: Any) -> None:
    passed = run(FixedWindow(quota, 60), history)

    used: dict[float, int] = {}
    for at, cost in passed:
        used[at // 60] = used.get(at // 60, 0) + cost
    assert all(total <= quota for total in used.values())


@pytest.mark.parametrize("make", [TokenBucket, FixedWindow, SlidingWindow])
@given(
    quota=st.integers(1, 30),
    history=st.lists(st.tuples(st.floats(0, 5), st.integers(0, 5)), max_size=40),
    counts_refused=st.booleans(),
)
@example(quota=2, history=[(0.0, 2), (0.999999, 0)], counts_refused=False)
def test_what_is_left_is_what_can_still_be_taken_at_once(
    make: Any, quota: Any, history: Any, counts_refused: Any
) -> None:
    rule = make(quota, 10, counts_refused=counts_refused)
    state, now = EMPTY, 1000.0
    for pause, cost in history:
        now += pause
        decision = rule.decide(state, now, cost)
        if decision.state is not None:
            state = decision.state
        if decision.allowed or not counts_refused:
            left = decision.remaining
            assert 0 <= left <= rule.quota
            assert left == 0 or rule.decide(state, now, left).allowed
            # A microsecond before a token is there, floats may call it there.
            before = now - 1e-6 if make is TokenBucket else now
            assert not rule.decide(state, before, left + 1).allowed


@given(
    history=st.lists(st.tuples(st.floats(0, 30), st.integers(1, 5)), max_size=40),
    make=st.sampled_from([TokenBucket, FixedWindow, SlidingWindow]),
)
def test_a_state_may_be_forgotten_when_its_time_is_over(history: Any, make: Any) -> None:
    rule = make(7, 10)
    state, now = EMPTY, 1000.0
    for pause, cost in history:
        now += pause
        if state[3] <= now:
            kept, fresh = rule.decide(state, now, cost), rule.decide(EMPTY, now, cost)
            assert (kept.allowed, kept.remaining) == (fresh.allowed, fresh.remaining)
        state = rule.decide(state, now, cost).state or state


def test_concurrency_says_how_many_more_may_come() -> None:
    rule = Concurrency(3)

    assert [rule.decide(count).remaining for count in (1, 2, 3)] == [2, 1, 0]
    assert not rule.decide(0).allowed
    assert rule.decide(0).wait >= 1


@given(
    history=st.lists(st.tuples(st.floats(0, 30), st.integers(1, 5)), max_size=40),
    make=st.sampled_from([TokenBucket, FixedWindow, SlidingWindow]),
)
def test_a_debit_of_what_is_used_leaves_a_new_counter_where_the_old_one_is(history: Any, make: Any) -> None:
    rule = make(7, 10)
    state, now = EMPTY, 1000.0
    for pause, cost in history:
        now += pause
        state = rule.decide(state, now, cost).state or state

        again = rule.debit(EMPTY, now, rule.used(state, now))
        left = rule.decide(state, now, 0).remaining
        assert abs(rule.decide(again, now, 0).remaining - left) <= (1 if make is SlidingWindow else 0)


@pytest.mark.parametrize("rate", [1e6, 1e7, 1e9])
def test_the_highest_rates_hold_to_a_tenth_of_a_per_cent(rate: float) -> None:
    bucket, state, passed, now = TokenBucket(rate, 1_000_000), EMPTY, 0, 5_000_000.0
    for _ in range(5000):
        now += 1e-6
        decision = bucket.decide(state, now, 1000)
        if decision.state is not None:
            state = decision.state
        passed += 1000 * decision.allowed

    allowed = 1_000_000 + rate * 5000e-6
    assert min(5_000_000, allowed) - 1000 <= passed <= allowed * 1.001
