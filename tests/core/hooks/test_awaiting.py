from __future__ import annotations

import asyncio
import gc
import warnings

import pytest
from gateway_core.hooks.awaiting import Deferred, HookCancelledError, awaited, discard
from gateway_core.hooks.failure_log import HookTimeoutError


async def value() -> int:
    return 5


async def test_a_result_in_time_is_returned() -> None:
    assert await awaited(value(), None) == 5
    assert await awaited(value(), 10) == 5


async def test_a_result_that_does_not_come_is_a_timeout() -> None:
    with pytest.raises(HookTimeoutError, match=r"no result within its timeout of 0.01s"):
        await awaited(asyncio.Event().wait(), 0.01)


@pytest.mark.parametrize("timeout", [None, 10.0])
async def test_a_cancellation_from_within_is_a_failure_and_one_from_outside_passes_through(
    timeout: float | None,  # noqa: ASYNC109 - a value to test with
) -> None:
    gone = asyncio.get_running_loop().create_future()
    gone.cancel()
    with pytest.raises(HookCancelledError):
        await awaited(gone, timeout)

    task = asyncio.get_running_loop().create_task(awaited(asyncio.Event().wait(), timeout))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_wraps_an_awaitable_throws_it_away_with_itself() -> None:
    async def wrap(inner: object) -> object:
        return inner

    future = asyncio.get_running_loop().create_future()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        discard(Deferred(Deferred(value(), wrap), wrap))
        discard(Deferred(future, wrap))
        discard(5)
        gc.collect()

    assert future.cancelled()


@pytest.mark.parametrize("timeout", [None, 10.0])
async def test_what_a_cancelled_hook_held_is_freed_without_the_collector(
    timeout: float | None,  # noqa: ASYNC109 - a value to test with
) -> None:
    freed = asyncio.Event()

    class Held:
        def __del__(self) -> None:
            freed.set()

    async def hook() -> None:
        held = Held()
        await asyncio.Event().wait()
        del held

    gc.disable()
    try:
        task = asyncio.get_running_loop().create_task(awaited(hook(), timeout))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        del task

        await asyncio.wait_for(freed.wait(), 30)
    finally:
        gc.enable()
