from __future__ import annotations

from random import Random

import pytest
from gateway_core.config import HealthCheckConfig
from gateway_core.upstreams.health import HealthState, StatusRanges, first_delay, next_delay, note_result
from hypothesis import given
from hypothesis import strategies as st

SETTINGS = HealthCheckConfig.model_construct(healthy_threshold=2, unhealthy_threshold=3, interval=5.0, jitter=0.1)


def run(results: str) -> str:
    """Feed + and -, and return the state after each."""
    state = HealthState()
    after = ""
    for result in results:
        note_result(SETTINGS, state, passed=result == "+")
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


def test_statuses_are_given_one_by_one_or_as_ranges() -> None:
    ranges = StatusRanges(["200-299", 404, "503"])

    assert [status for status in (199, 200, 299, 300, 404, 503, 504) if status in ranges] == [200, 299, 404, 503]
    assert str(ranges) == "200-299, 404, 503"


@pytest.mark.parametrize("item", ["", "abc", "2xx", "-200", "399-200", "99", "200-600", "²⁰⁰"])
def test_what_is_no_status_is_refused_and_quoted(item: str) -> None:
    with pytest.raises(ValueError, match=f"^{item!r} is not"):
        StatusRanges([item])
