from __future__ import annotations

from itertools import pairwise

import pytest
from gateway_core.config import CircuitBreakerConfig
from gateway_core.upstreams import BreakerState, CircuitBreaker
from hypothesis import given, settings
from hypothesis import strategies as st

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


def make_breaker(
    failure_ratio: float = 0.5,
    window: float = 10.0,
    minimum_requests: int = 4,
    open_for: float = 30.0,
    half_open_requests: int = 2,
) -> CircuitBreaker:
    return CircuitBreaker(
        CircuitBreakerConfig.model_construct(
            enable=True,
            failure_ratio=failure_ratio,
            window=window,
            minimum_requests=minimum_requests,
            open_for=open_for,
            half_open_requests=half_open_requests,
        )
    )


def fail(breaker: CircuitBreaker, times: int, now: float) -> None:
    for _ in range(times):
        assert breaker.enter(now)
        breaker.record_failure(now, now)


def make_half_open(now: float = 130.0) -> CircuitBreaker:
    breaker = make_breaker()
    fail(breaker, 4, 100.0)
    assert breaker.enter(now)
    return breaker


def test_opens_when_the_share_of_failures_is_reached_and_enough_was_asked() -> None:
    breaker = make_breaker(failure_ratio=0.5, minimum_requests=4)
    for outcome in (breaker.record_success, breaker.record_success, breaker.record_failure):
        outcome(100.0, 100.0)
    assert breaker.state is CLOSED

    breaker.record_failure(100.0, 100.0)

    assert breaker.state is OPEN
    assert not breaker.allows(129.9)
    assert breaker.retry_after(110.0) == pytest.approx(20.0)
    assert breaker.allows(130.0)


def test_stays_closed_below_the_minimum_of_requests() -> None:
    breaker = make_breaker(minimum_requests=5)

    fail(breaker, 4, 100.0)

    assert breaker.state is CLOSED


def test_forgets_what_the_window_has_left_behind() -> None:
    breaker = make_breaker(window=10.0, minimum_requests=4)
    fail(breaker, 3, 100.0)

    breaker.record_failure(111.1, 111.1)

    assert breaker.state is CLOSED
    assert breaker.counts(111.1) == (1, 1)


def test_half_open_lets_only_some_probes_through() -> None:
    breaker = make_half_open()

    assert breaker.state is HALF_OPEN
    assert breaker.enter(130.0)
    assert not breaker.enter(130.0)
    assert not breaker.allows(130.0)


def test_enough_successful_probes_close() -> None:
    breaker = make_half_open()
    assert breaker.enter(130.5)

    breaker.record_success(130.0, 131.0)
    assert breaker.state is HALF_OPEN
    breaker.record_success(130.5, 131.0)

    assert breaker.state is CLOSED
    assert breaker.counts(131.0) == (0, 0)


def test_no_more_probes_are_sent_than_can_still_be_needed() -> None:
    breaker = make_half_open()

    breaker.record_success(130.0, 131.0)

    assert breaker.enter(131.0)
    assert not breaker.enter(131.0), "one success and one probe under way are the two that are needed"


def test_one_failed_probe_opens_again_for_the_whole_time() -> None:
    breaker = make_half_open()

    breaker.record_failure(130.0, 135.0)

    assert breaker.state is OPEN
    assert not breaker.allows(164.9)
    assert breaker.allows(165.0)
    assert breaker.times_opened == 2


def test_a_probe_that_says_nothing_makes_room_for_another() -> None:
    breaker = make_half_open()
    assert breaker.enter(130.0)

    breaker.record_nothing(130.0)

    assert breaker.enter(131.0)
    assert not breaker.enter(131.0)


def test_probes_whose_end_nobody_reports_do_not_shut_the_endpoint_out_for_ever() -> None:
    breaker = make_half_open()
    assert breaker.enter(130.0)
    assert not breaker.allows(159.9)

    assert breaker.enter(160.0)

    breaker.record_failure(130.0, 161.0)
    assert breaker.state is HALF_OPEN, "the lost probe is of another time"


@pytest.mark.parametrize("how", ["success", "failure", "nothing"])
def test_late_results_of_a_closed_period_change_nothing(how: str) -> None:
    breaker = make_half_open()

    if how == "success":
        breaker.record_success(99.0, 130.5)
        breaker.record_success(99.0, 130.5)
    elif how == "failure":
        breaker.record_failure(99.0, 130.5)
    else:
        breaker.record_nothing(99.0)

    assert breaker.state is HALF_OPEN
    assert breaker.enter(130.6)
    assert not breaker.allows(130.6)


def test_late_failures_do_not_open_a_breaker_that_has_just_closed() -> None:
    breaker = make_half_open()
    breaker.enter(130.0)
    breaker.record_success(130.0, 131.0)
    breaker.record_success(130.0, 131.0)
    assert breaker.state is CLOSED

    for _ in range(10):
        breaker.record_failure(99.0, 132.0)

    assert breaker.state is CLOSED
    assert breaker.counts(132.0) == (0, 0)


# Coarse steps, so that borders are met often.
steps = st.lists(
    st.tuples(st.sampled_from(["send", "ok", "fail", "nothing"]), st.sampled_from([0.0, 0.5, 1.0, 5.0, 31.0])),
    max_size=120,
)


@settings(max_examples=150)
@given(steps, st.integers(1, 4), st.integers(1, 6))
def test_no_history_breaks_the_rules(history: list[tuple[str, float]], half_open: int, minimum: int) -> None:
    breaker = make_breaker(minimum_requests=minimum, half_open_requests=half_open, open_for=30.0)
    now = 1_000.0
    under_way: list[float] = []
    probes: list[float] = []
    states = [breaker.state]
    for action, pause in history:
        now += pause
        if action == "send":
            allowed = breaker.allows(now)
            assert breaker.enter(now) is allowed
            if allowed:
                under_way.append(now)
        elif under_way:
            started = under_way.pop(0)
            if action == "ok":
                breaker.record_success(started, now)
            elif action == "fail":
                breaker.record_failure(started, now)
            else:
                breaker.record_nothing(started)
        states.append(breaker.state)
        probes = [started for started in under_way if started >= breaker.since]
        if breaker.state is HALF_OPEN:
            assert len(probes) <= half_open
        if breaker.state is OPEN:
            assert breaker.allows(now) is (now >= breaker.since + 30.0)
        requests, failures = breaker.counts(now)
        assert 0 <= failures <= requests
        assert (breaker.retry_after(now) == 0.0) is breaker.allows(now)
    legal = {(CLOSED, OPEN), (OPEN, HALF_OPEN), (HALF_OPEN, OPEN), (HALF_OPEN, CLOSED)}
    # A single required probe may open and close within one step of the test, never by another way.
    assert all(old is new or (old, new) in legal for old, new in pairwise(states))


@given(st.lists(st.tuples(st.floats(0, 3), st.booleans()), max_size=60))
def test_the_window_counts_what_is_recent(events: list[tuple[float, bool]]) -> None:
    breaker = make_breaker(window=10.0, minimum_requests=10**9)
    now, past = 500.0, []
    for pause, failed in events:
        now += pause
        (breaker.record_failure if failed else breaker.record_success)(now, now)
        past.append(now)
        requests, _ = breaker.counts(now)

        # Exact but for the tenth of the window that is being left.
        assert sum(t > now - 9.0 + 1e-6 for t in past) <= requests <= sum(t >= now - 10.0 - 1e-6 for t in past)
