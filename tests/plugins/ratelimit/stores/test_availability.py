from __future__ import annotations

from typing import Any

from gateway_plugin_ratelimit.stores.availability import LONGEST_PAUSE, Availability
from hypothesis import given
from hypothesis import strategies as st


def test_goes_down_at_the_first_failure_and_up_with_the_first_success() -> None:
    server = Availability()

    assert server.failed(100.0, 0.5)
    assert not server.is_up
    assert not server.failed(100.0, 0.5)
    assert server.succeeded()
    assert server.is_up
    assert not server.succeeded()  # type: ignore[unreachable]  # mypy does not see that the calls change is_up


def test_pauses_between_probes_grow_and_begin_anew_after_a_success() -> None:
    server, pauses = Availability(), []

    for _ in range(8):
        server.failed(100.0, 0.5)
        pauses.append(round(server.wait(100.0), 3))

    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    server.succeeded()
    server.failed(100.0, 0.5)
    assert round(server.wait(100.0), 3) == 0.1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_no_pause_is_zero_or_longer_than_the_longest_with_its_spread(draws: Any) -> None:
    server = Availability()

    for draw in draws:
        server.failed(100.0, draw)
        assert 0 < server.wait(100.0) <= 1.5 * LONGEST_PAUSE


def test_answers_that_are_late_together_are_one_failure_and_no_outage() -> None:
    server = Availability()
    numbers = [server.asked() for _ in range(5)]

    assert not any(server.late(number) for number in numbers)
    assert server.is_up


def test_an_answer_that_is_late_after_another_was_means_that_the_server_is_down() -> None:
    server = Availability()
    server.late(server.asked())

    assert server.late(server.asked())


def test_an_answer_in_time_ends_the_suspicion() -> None:
    server = Availability()
    for _ in range(5):
        assert not server.late(server.asked())
        server.asked()
        server.replied()
