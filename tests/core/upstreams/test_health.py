from __future__ import annotations

from random import Random

import pytest
from gateway_core.config import HealthCheckConfig, OutlierDetectionConfig
from gateway_core.upstreams import Outcome
from gateway_core.upstreams.health import (
    EjectionState,
    HealthState,
    eject,
    first_delay,
    may_eject,
    next_delay,
    note_failure,
    note_result,
    note_success,
)
from hypothesis import given
from hypothesis import strategies as st

SETTINGS = HealthCheckConfig.model_construct(healthy_threshold=2, unhealthy_threshold=3, interval=5.0, jitter=0.1)


def run(results: str) -> str:
    """Feed + and -, and return the state after each."""
    state = HealthState()
    after = ""
    for result in results:
        note_result(SETTINGS, state, 100.0, passed=result == "+")
        after += "+" if state.healthy else "-"
    return after


@pytest.mark.parametrize(
    ("results", "states"),
    [
        ("+---", "+++-"),
        ("+--+--", "++++++"),
        ("+---+-++", "+++----+"),
        ("-", "-"),
        ("-++", "--+"),
    ],
)
def test_results_must_repeat_to_change_anything_but_the_first(results: str, states: str) -> None:
    assert run(results) == states


@given(st.text(alphabet="+-", min_size=1, max_size=60))
def test_the_state_changes_exactly_after_a_streak(results: str) -> None:
    states = run(results)
    expected = "+" if results[0] == "+" else "-"
    after = expected
    streak = 0
    for result in results[1:]:
        streak = streak + 1 if result != expected else 0
        if streak >= (3 if expected == "+" else 2):
            expected, streak = result, 0
        after += expected

    assert states == after


def test_pauses_stay_within_the_jitter_and_differ() -> None:
    rng = Random(1)
    pauses = [next_delay(SETTINGS, rng) for _ in range(500)]

    assert all(4.5 <= pause <= 5.5 for pause in pauses)
    assert len(set(pauses)) > 400
    assert all(0 <= first_delay(SETTINGS, rng) <= 0.5 for _ in range(100))


def make_settings(
    consecutive_failures: int = 3, consecutive_5xx: int = 5, percent: float = 50.0
) -> OutlierDetectionConfig:
    return OutlierDetectionConfig.model_construct(
        enable=True,
        consecutive_failures=consecutive_failures,
        consecutive_5xx=consecutive_5xx,
        base_ejection_time=30.0,
        max_ejection_time=100.0,
        max_ejection_percent=percent,
    )


def feed(settings: OutlierDetectionConfig, outcomes: list[int]) -> list[bool]:
    state = EjectionState()
    earned = []
    for outcome in outcomes:
        if 100 <= outcome < 500:
            note_success(state)
            earned.append(False)
        else:
            earned.append(note_failure(settings, state, outcome, started=1.0))
    return earned


@pytest.mark.parametrize(
    ("outcomes", "ejects"),
    [
        ([Outcome.RESET] * 3, True),
        ([Outcome.RESET, Outcome.TIMEOUT, Outcome.CONNECT_FAILURE], True),
        ([Outcome.RESET] * 2, False),
        ([Outcome.RESET, Outcome.RESET, 200, Outcome.RESET], False),
        ([503] * 5, True),
        ([503] * 4, False),
        ([503] * 4 + [404, 503], False),
        ([Outcome.RESET, 500, Outcome.RESET, 500, Outcome.RESET], True),
        ([Outcome.RESET, Outcome.RESET, 500, Outcome.RESET], False),
    ],
)
def test_failures_in_a_row_earn_an_ejection(outcomes: list[int], ejects: bool) -> None:
    assert feed(make_settings(), outcomes)[-1] is ejects


def test_a_count_of_zero_is_not_kept() -> None:
    assert not any(feed(make_settings(consecutive_failures=0, consecutive_5xx=0), [Outcome.RESET] * 50))


def test_each_further_ejection_is_longer_up_to_the_maximum() -> None:
    state, settings, now, lengths = EjectionState(), make_settings(), 1_000.0, []
    for _ in range(5):
        until = eject(settings, state, now)
        lengths.append(until - now)
        now = until

    assert lengths == pytest.approx([30.0, 60.0, 90.0, 100.0, 100.0])


def test_good_behaviour_shortens_the_next_ejection() -> None:
    state, settings = EjectionState(), make_settings()
    now = eject(settings, state, eject(settings, state, 1_000.0))

    assert eject(settings, state, now + 65.0) - (now + 65.0) == pytest.approx(30.0)


def test_requests_started_before_the_ejection_ended_do_not_count() -> None:
    state, settings = EjectionState(), make_settings(consecutive_failures=1)
    until = eject(settings, state, 100.0)

    assert not note_failure(settings, state, Outcome.RESET, started=until - 0.1)
    assert note_failure(settings, state, Outcome.RESET, started=until)


@pytest.mark.parametrize(
    ("percent", "members", "ejected", "may"),
    [
        (50, 4, 1, True),
        (50, 4, 2, False),
        (10, 3, 0, True),
        (10, 3, 1, False),
        (10, 1, 0, False),
        (100, 1, 0, True),
        (100, 3, 2, True),
        (0, 10, 0, False),
    ],
)
def test_only_a_share_is_ejected_but_one_if_there_is_another(
    percent: float, members: int, ejected: int, may: bool
) -> None:
    assert may_eject(make_settings(percent=percent), members, ejected) is may


@given(st.lists(st.sampled_from([200, 404, 500, 503, *Outcome]), max_size=60))
def test_an_ejection_is_earned_exactly_by_a_streak(outcomes: list[int]) -> None:
    settings = make_settings()
    outcomes = [outcome for outcome in outcomes if outcome != Outcome.ABANDONED]
    earned = feed(settings, outcomes)
    for end in range(1, len(outcomes) + 1):
        past = outcomes[:end]
        streak = next((i for i, o in enumerate(reversed(past)) if 100 <= o < 500), end)
        silent = next((i for i, o in enumerate(reversed(past)) if o >= 100), end)
        assert earned[end - 1] is (streak > 0 and (silent >= 3 or streak >= 5))


def test_a_recovery_is_dated() -> None:
    state = HealthState()

    for now, passed in ((100.0, True), (101.0, False), (102.0, False), (103.0, False), (104.0, True), (105.0, True)):
        note_result(SETTINGS, state, now, passed=passed)

    assert state.recovered_at == 105.0
