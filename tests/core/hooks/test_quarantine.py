from __future__ import annotations

from gateway_core.hooks import Quarantine, QuarantinePolicy
from hypothesis import given
from hypothesis import strategies as st

PHASE = "gateway_pre_proxy"


def opened(at: float = 100.0) -> Quarantine:
    quarantine = Quarantine(QuarantinePolicy(failures=1, window=10, open_for=30, clients=1))
    assert quarantine.failed(at, PHASE, "a")
    return quarantine


def test_opens_after_so_many_failures_within_the_window() -> None:
    quarantine = Quarantine(QuarantinePolicy(failures=3, window=10, open_for=30, clients=1))

    assert not quarantine.failed(100.0, PHASE, "a")
    assert not quarantine.failed(101.0, PHASE, "a")
    assert not quarantine.failed(111.0, PHASE, "a")
    assert quarantine.state(111.0) == "closed"
    assert quarantine.failed(111.0, PHASE, "a")
    assert (quarantine.state(111.0), quarantine.trips) == ("open", 1)


def test_admits_nobody_while_open_and_one_try_at_a_time_afterwards() -> None:
    quarantine = opened(at=100.0)

    assert not quarantine.admits(129.9, PHASE, "a")
    assert quarantine.state(130.0) == "half-open"
    assert quarantine.admits(130.0, PHASE, "a")
    assert not quarantine.admits(130.0, PHASE, "a")


def test_a_try_that_succeeds_closes_and_one_that_fails_opens_again() -> None:
    quarantine = opened(at=100.0)
    assert quarantine.admits(130.0, PHASE, "a")
    assert quarantine.failed(131.0, PHASE, "a")
    assert not quarantine.admits(160.9, PHASE, "a")

    assert quarantine.admits(161.0, PHASE, "a")
    assert quarantine.succeeded()
    assert (quarantine.state(161.0), quarantine.trips) == ("closed", 1)


def test_only_the_phase_that_failed_is_tried() -> None:
    quarantine = opened(at=100.0)

    assert not quarantine.admits(130.0, "gateway_response", "a")
    assert quarantine.admits(130.0, PHASE, "a")


def test_a_try_that_was_abandoned_makes_room_for_the_next() -> None:
    quarantine = opened(at=100.0)
    assert quarantine.admits(130.0, PHASE, "a")

    quarantine.abandoned()

    assert quarantine.admits(130.0, PHASE, "a")


def test_a_try_that_never_comes_back_makes_room_after_the_open_time() -> None:
    quarantine = opened(at=100.0)
    assert quarantine.admits(130.0, PHASE, "a")

    assert not quarantine.admits(159.9, PHASE, "a")
    assert quarantine.admits(160.0, PHASE, "a")


def test_late_results_of_hooks_that_began_before_change_nothing() -> None:
    quarantine = opened(at=100.0)

    assert not quarantine.failed(110.0, PHASE, "a")
    assert not quarantine.succeeded()

    assert quarantine.state(110.0) == "open"
    assert quarantine.admits(130.0, PHASE, "a")


@given(st.lists(st.tuples(st.sampled_from(["call", "fail", "wait"]), st.integers(1, 20)), max_size=60))
def test_never_more_than_the_policys_failures_get_through_in_a_window(steps: list[tuple[str, int]]) -> None:
    policy = QuarantinePolicy(failures=3, window=10, open_for=30, clients=1)
    quarantine, now, failures = Quarantine(policy), 0.0, list[float]()

    for kind, seconds in steps:
        if kind == "wait":
            now += seconds
        elif quarantine.admits(now, PHASE, "a"):
            if kind == "fail":
                quarantine.failed(now, PHASE, "a")
                failures.append(now)
            else:
                quarantine.succeeded()

    for at in failures:
        assert sum(at <= other < at + policy.window for other in failures) <= policy.failures


MANY = QuarantinePolicy(failures=5, window=10, open_for=30, clients=3)


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 20)), max_size=200), st.integers(1, 8))
def test_fewer_clients_than_the_policy_asks_for_never_open_it(steps: list[tuple[str, int]], clients: int) -> None:
    quarantine, now = Quarantine(QuarantinePolicy(failures=5, window=60, open_for=30, clients=clients)), 0.0
    few = set("abcdefgh"[: clients - 1])

    for client, seconds in steps:
        now += seconds
        if client in few:
            assert not quarantine.failed(now, PHASE, client)


def test_one_client_counts_for_its_share_at_most() -> None:
    quarantine = Quarantine(MANY)

    for _ in range(1000):
        assert not quarantine.failed(100.0, PHASE, "attacker")
    assert not quarantine.failed(100.0, PHASE, "b")
    assert not quarantine.failed(100.0, PHASE, "c")
    assert quarantine.failed(100.0, PHASE, "d")


def test_failures_of_several_clients_open_it() -> None:
    quarantine = Quarantine(MANY)

    opened = [quarantine.failed(100.0 + number, PHASE, f"client{number % 3}") for number in range(5)]

    assert opened == [False, False, False, False, True]


def test_a_client_whose_try_failed_leaves_the_next_to_another() -> None:
    quarantine = Quarantine(MANY)
    for number in range(5):
        quarantine.failed(100.0, PHASE, f"client{number}")
    assert quarantine.admits(130.0, PHASE, "attacker")
    assert not quarantine.failed(130.0, PHASE, "attacker")

    assert not quarantine.admits(130.0, PHASE, "attacker")
    assert quarantine.admits(130.0, PHASE, "other")
    assert quarantine.succeeded()


def test_tries_of_several_clients_that_fail_open_it_again() -> None:
    quarantine = Quarantine(MANY)
    for number in range(5):
        quarantine.failed(100.0, PHASE, f"client{number}")

    for client, opened in (("a", False), ("b", False), ("c", True)):
        assert quarantine.admits(130.0, PHASE, client)
        assert quarantine.failed(130.0, PHASE, client) is opened

    assert not quarantine.admits(159.0, PHASE, "d")
    assert quarantine.admits(160.0, PHASE, "a")


def test_what_is_remembered_of_clients_is_bounded() -> None:
    quarantine = Quarantine(QuarantinePolicy(failures=10**6, window=10**6, open_for=30, clients=100))

    for number in range(1000):
        quarantine.failed(100.0 + number, PHASE, f"client{number}")

    assert 100 <= len(quarantine._recent) < 200


def test_one_that_is_released_stays_closed_until_it_is_held_no_longer() -> None:
    quarantine = opened(at=100.0)

    quarantine.release()
    assert quarantine.is_closed
    assert not quarantine.failed(101.0, PHASE, "a")
    assert quarantine.state(101.0) == "closed"

    quarantine.is_held = False
    assert quarantine.failed(102.0, PHASE, "a")
    assert quarantine.state(102.0) == "open"
