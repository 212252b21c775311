from __future__ import annotations

import asyncio

from gateway_core.clock import ManualClock
from gateway_core.snapshot.yielder import Yielder


async def test_lets_others_run_only_when_its_slice_is_used_up() -> None:
    clock = ManualClock()
    yielder = Yielder(clock, 0.003)
    ran: list[str] = []
    asyncio.get_running_loop().call_soon(ran.append, "other")

    clock.advance(0.002)
    await yielder.checkpoint()
    assert ran == []

    clock.advance(0.002)
    await yielder.checkpoint()
    assert ran == ["other"]


async def test_has_a_new_slice_after_each_pause() -> None:
    clock = ManualClock()
    yielder = Yielder(clock, 0.003)
    clock.advance(1)
    await yielder.checkpoint()
    ran: list[str] = []
    asyncio.get_running_loop().call_soon(ran.append, "other")

    clock.advance(0.002)
    await yielder.checkpoint()

    assert ran == []
