from __future__ import annotations

import asyncio

import pytest
from gateway_core.testing.loop_thread import LoopThread, _pause, eventually


async def nothing() -> int:
    return 7


def test_it_runs_coroutines_for_another_thread() -> None:
    thread = LoopThread("test")

    assert thread.run(nothing()) == 7
    thread.close()


def test_what_takes_too_long_is_cancelled() -> None:
    thread = LoopThread("test")
    cancelled = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    with pytest.raises(TimeoutError):
        thread.run(forever(), timeout=0.05)
    thread.close()

    assert cancelled == [True]


def test_a_closed_one_says_so() -> None:
    thread = LoopThread("test")
    thread.close()
    thread.close()

    with pytest.raises(RuntimeError, match="closed already"):
        thread.run(nothing())


def test_a_condition_is_asked_for_until_it_holds_and_its_value_is_returned() -> None:
    values = iter([0, "", 7])

    assert eventually(lambda: next(values)) == 7


def test_a_condition_that_never_holds_is_an_error_with_its_last_value() -> None:
    with pytest.raises(AssertionError, match=r"not true within 0\.01 seconds: the last value was \[\]"):
        eventually(list, within=0.01)


def test_a_condition_is_asked_for_the_less_often_the_longer_it_does_not_hold() -> None:
    assert [_pause(waited) for waited in (0, 0.01, 1, 4, 100)] == [0.002, 0.002, 0.05, 0.2, 0.25]
