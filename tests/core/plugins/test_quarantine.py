from __future__ import annotations

from gateway_core.plugins import Quarantine, QuarantinePolicy
from hypothesis import given
from hypothesis import strategies as st

PHASE = "gateway_pre_proxy"


def opened(at: float = 100.0) -> Quarantine:
    quarantine = Quarantine(QuarantinePolicy(failures=1, window=10, open_for=30))
    assert quarantine.failed(at, PHASE)
    return quarantine


def test_opens_after_so_many_failures_within_the_window() -> None:
    quarantine = Quarantine(QuarantinePolicy(failures=3, window=10, open_for=30))

    assert not quarantine.failed(100.0, PHASE)
    assert not quarantine.failed(101.0, PHASE)
    assert not quarantine.failed(111.0, PHASE)
    assert quarantine.state(111.0) == "closed"
    assert quarantine.failed(111.0, PHASE)
    assert (quarantine.state(111.0), quarantine.trips) == ("open", 1)


def test_admits_nobody_while_open_and_one_try_at_a_time_afterwards() -> None:
    quarantine = opened(at=100.0)

    assert not quarantine.admits(129.9, PHASE)
    assert quarantine.state(130.0) == "half-open"
    assert quarantine.admits(130.0, PHASE)
    assert not quarantine.admits(130.0, PHASE)


def test_a_try_that_succeeds_closes_and_one_that_fails_opens_again() -> None:
    quarantine = opened(at=100.0)
    assert quarantine.admits(130.0, PHASE)
    assert quarantine.failed(131.0, PHASE)
    assert not quarantine.admits(160.9, PHASE)

    assert quarantine.admits(161.0, PHASE)
    assert quarantine.succeeded()
    assert (quarantine.state(161.0), quarantine.trips) == ("closed", 1)


def test_only_the_phase_that_failed_is_tried() -> None:
    quarantine = opened(at=100.0)

    assert not quarantine.admits(130.0, "gateway_response")
    assert quarantine.admits(130.0, PHASE)


def test_a_try_that_was_abandoned_makes_room_for_the_next() -> None:
    quarantine = opened(at=100.0)
    assert quarantine.admits(130.0, PHASE)

    quarantine.abandoned()

    assert quarantine.admits(130.0, PHASE)


def test_a_try_that_never_comes_back_makes_room_after_the_open_time() -> None:
    quarantine = opened(at=100.0)
    assert quarantine.admits(130.0, PHASE)

    assert not quarantine.admits(159.9, PHASE)
    assert quarantine.admits(160.0, PHASE)


def test_late_results_of_hooks_that_began_before_change_nothing() -> None:
    quarantine = opened(at=100.0)

    assert not quarantine.failed(110.0, PHASE)
    assert not quarantine.succeeded()

    assert quarantine.state(110.0) == "open"
    assert quarantine.admits(130.0, PHASE)


@given(st.lists(st.tuples(st.sampled_from(["call", "fail", "wait"]), st.integers(1, 20)), max_size=60))
def test_never_more_than_the_policys_failures_get_through_in_a_window(steps: list[tuple[str, int]]) -> None:
    policy = QuarantinePolicy(failures=3, window=10, open_for=30)
    quarantine, now, failures = Quarantine(policy), 0.0, list[float]()

    for kind, seconds in steps:
        if kind == "wait":
            now += seconds
        elif quarantine.admits(now, PHASE):
            if kind == "fail":
                quarantine.failed(now, PHASE)
                failures.append(now)
            else:
                quarantine.succeeded()

    for at in failures:
        assert sum(at <= other < at + policy.window for other in failures) <= policy.failures
