from __future__ import annotations

import pytest
from gateway_core.clock import Clock, ManualClock, SystemClock


def test_a_manual_clock_stands_still_until_it_is_moved() -> None:
    clock = ManualClock(monotonic=5.0, wall=100.0)

    assert (clock.monotonic(), clock.wall()) == (5.0, 100.0)
    clock.advance(2.5)

    assert (clock.monotonic(), clock.wall()) == (7.5, 102.5)


def test_a_manual_clock_never_goes_back() -> None:
    with pytest.raises(ValueError, match="-1 seconds"):
        ManualClock().advance(-1)


def test_the_system_clock_is_monotonic() -> None:
    clock: Clock = SystemClock()

    first = clock.monotonic()

    assert clock.monotonic() >= first
    assert clock.wall() > 1_600_000_000
