from __future__ import annotations

from random import Random

from gateway_plugin_ratelimit.stores.availability import FIRST_DELAY, LONGEST_DELAY, Availability
from hypothesis import given
from hypothesis import strategies as st


def test_goes_down_at_the_first_failure_and_up_with_the_first_success() -> None:
    server = Availability(Random(1))

    assert server.failed(0.0)
    assert not server.is_up
    assert not server.failed(0.0)
    assert server.succeeded()
    assert server.is_up
    assert not server.succeeded()  # type: ignore[unreachable]  # mypy does not see that the calls change is_up


@given(st.randoms(use_true_random=False))
def test_delays_between_probes_grow_up_to_the_longest_and_begin_again_after_a_success(rng: Random) -> None:
    server, delays = Availability(rng), []

    for _ in range(9):
        server.failed(0.0)
        delays.append(server.wait(0.0))
    server.succeeded()
    server.failed(0.0)

    wholes = [min(FIRST_DELAY * 2**count, LONGEST_DELAY) for count in range(9)]
    assert all(whole / 2 <= delay <= whole for delay, whole in zip(delays, wholes, strict=True))
    assert server.wait(0.0) <= FIRST_DELAY


def test_answers_that_are_late_together_are_one_failure_and_no_outage() -> None:
    server = Availability(Random(1))
    numbers = [server.asked() for _ in range(5)]

    assert not any(server.late(number) for number in numbers)
    assert server.is_up


def test_an_answer_that_is_late_after_another_was_means_that_the_server_is_down() -> None:
    server = Availability(Random(1))
    server.late(server.asked())

    assert server.late(server.asked())


def test_an_answer_in_time_ends_the_suspicion() -> None:
    server = Availability(Random(1))
    for _ in range(5):
        assert not server.late(server.asked())
        server.asked()
        server.replied()
