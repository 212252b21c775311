from __future__ import annotations

import asyncio

import pytest
from gateway_core.messages.hook_timer import HookTimer, hook_timer_paused


async def test_a_timer_ends_what_takes_longer() -> None:
    timer = HookTimer(0.01)

    with pytest.raises(TimeoutError):
        async with timer:
            await asyncio.Event().wait()

    assert timer.expired


async def test_a_timer_stands_still_while_it_is_paused_however_often() -> None:
    async def wait() -> None:
        with hook_timer_paused():
            await came.wait()

    came = asyncio.Event()
    asyncio.get_running_loop().call_later(0.1, came.set)
    async with HookTimer(0.02) as timer, asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(wait())

    assert not timer.expired


async def test_what_a_hook_left_running_may_pause_after_it_has_ended() -> None:
    async def read() -> None:
        await ended.wait()
        with hook_timer_paused():
            await asyncio.sleep(0)

    ended = asyncio.Event()
    async with HookTimer(5):
        task = asyncio.get_running_loop().create_task(read())
    ended.set()

    await task


async def test_without_a_timer_nothing_is_paused() -> None:
    with hook_timer_paused():
        await asyncio.sleep(0)
