from __future__ import annotations

import asyncio

import pytest
from gateway_core.testing.loop_thread import LoopThread


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
