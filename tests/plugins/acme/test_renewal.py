from __future__ import annotations

import pytest
from gateway_plugin_acme.renewal import (
    LONGEST_RETRY,
    Window,
    next_look,
    next_suggestion,
    not_before_next,
    renewal_time,
    retry_delay,
    spread,
)
from hypothesis import given
from hypothesis import strategies as st

DAY = 86400.0
chances = st.floats(0, 1)
times = st.floats(0, 4e9)


@given(times, st.floats(3600, 400 * DAY), chances)
def test_without_a_suggestion_a_certificate_is_renewed_at_two_thirds_of_its_lifetime(
    start: float, lifetime: float, chance: float
) -> None:
    at = renewal_time(start, start + lifetime, None, chance)

    assert 0.6 <= (at - start) / lifetime <= 0.72


def test_a_certificate_of_six_days_is_renewed_on_its_fifth() -> None:
    assert 3.6 * DAY < renewal_time(0, 6 * DAY, None, 0.5) < 4.4 * DAY


@given(times, st.floats(0, 30 * DAY), chances)
def test_the_authoritys_window_is_kept_to(start: float, width: float, chance: float) -> None:
    at = renewal_time(0, 5e9, Window(start, start + width), chance)

    assert start <= at <= start + width + 1e-3


def test_a_window_that_ends_before_it_starts_is_none() -> None:
    assert renewal_time(0, 90 * DAY, Window(50, 10), 0.5) == renewal_time(0, 90 * DAY, None, 0.5)


@given(times, st.floats(0, 1e9), st.floats(0, 400 * DAY))
def test_a_certificate_is_not_ordered_again_at_once_whatever_the_clock_says(
    issued: float, start: float, lifetime: float
) -> None:
    assert issued <= not_before_next(issued, start, start + lifetime) <= issued + 3600


@given(st.integers(1, 1000), st.floats(1, 3600), chances)
def test_pauses_grow_and_are_bounded(failures: int, first: float, chance: float) -> None:
    delay = retry_delay(failures, first, chance)

    assert first * 0.9 <= delay <= LONGEST_RETRY * 1.1
    assert delay <= retry_delay(failures + 1, first, chance)


def test_the_default_keeps_below_five_failures_in_an_hour() -> None:
    at, attempts = 0.0, 0
    while at < 3600:
        attempts += 1
        at += retry_delay(attempts, 60, 0.0)

    assert attempts < 5


@given(times, st.one_of(st.none(), st.floats(0, 1e9)))
def test_what_an_authority_says_about_asking_again_is_bounded(now: float, after: float | None) -> None:
    assert now + 60 <= next_suggestion(now, after) <= now + DAY


@pytest.mark.parametrize(
    ("backoff", "retry_after", "wait"),
    [(0.1, None, 0.1), (0.1, 3.0, 3.0), (5.0, 3.0, 5.0), (0.1, 0.0, 0.1), (0.1, 86400.0, 60.0)],
)
def test_an_authority_that_is_not_ready_is_looked_at_when_it_says_within_bounds(
    backoff: float, retry_after: float | None, wait: float
) -> None:
    assert next_look(backoff, retry_after) == wait


@given(st.text())
def test_the_same_text_has_the_same_place(text: str) -> None:
    assert 0 <= spread(text) <= 1
    assert spread(text) == spread(text)
