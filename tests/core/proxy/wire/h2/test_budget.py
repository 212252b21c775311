"""The bucket that bounds what costs the peer nothing."""

from __future__ import annotations

from gateway_core.proxy.wire.h2.budget import Budget


def test_a_burst_is_taken_and_no_more() -> None:
    budget = Budget(3, 1, now=0)
    assert [budget.spend(1, 0) for _ in range(4)] == [True, True, True, False]


def test_points_come_back_with_time_up_to_the_burst() -> None:
    budget = Budget(2, 10, now=0)
    assert budget.spend(2, 0)
    assert budget.spend(1, 0.1)
    assert not budget.spend(0.5, 0.1)
    refilled = Budget(2, 10, now=0)
    refilled.spend(2, 0)
    assert refilled.spend(2, 1000)
    assert not refilled.spend(1, 1000)


def test_a_steady_rate_below_the_bound_never_ends() -> None:
    budget = Budget(5, 100, now=0)
    assert all(budget.spend(1, step / 100) for step in range(1, 2000))
