"""The bucket that bounds what costs the peer nothing."""

from __future__ import annotations

from gateway_core.proxy.wire.h2.budget import Budget, WindowUpdates


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


def test_a_small_window_update_is_earned_by_a_kibibyte_that_was_sent() -> None:
    updates = WindowUpdates(65_535)
    assert not updates.use(65_535)
    assert not updates.use(65_535 - 1023)
    assert [updates.use(65_535 - 2050) for _ in range(3)] == [True, True, False]


def test_what_opens_the_window_earns_nothing_and_what_is_sent_from_it_does() -> None:
    updates = WindowUpdates(100)
    updates.opened(5000)
    assert not updates.use(5100)
    assert [updates.use(5100 - 1024) for _ in range(2)] == [True, False]


def test_windows_opened_by_single_bytes_earn_nothing() -> None:
    updates, window = WindowUpdates(1), 1
    used = 0
    for _ in range(2000):
        window -= 1  # a byte is sent
        used += updates.use(window)
        updates.opened(1)
        window += 1
    assert used == 1  # for two thousand bytes


def test_no_more_is_earned_than_by_a_mebibyte() -> None:
    updates = WindowUpdates(1 << 30)
    assert sum(updates.use(0) for _ in range(5000)) == 1024
