from __future__ import annotations

import asyncio
import threading

import pytest
from gateway_core.tasks import spawn
from gateway_plugin_acme.thread import AuthorityThread


async def test_a_thread_that_is_held_up_holds_up_no_other() -> None:
    slow, quick, released = AuthorityThread(), AuthorityThread(), threading.Event()
    waiting = spawn(slow.run(released.wait, 60), name="slow")

    assert await quick.run(sum, (1, 2)) == 3
    assert not waiting.done()

    released.set()
    assert await waiting
    slow.close()
    quick.close()


async def test_what_is_called_in_it_raises_where_it_is_awaited() -> None:
    thread = AuthorityThread()

    with pytest.raises(ZeroDivisionError):
        await thread.run(divmod, 1, 0)
    assert await thread.run(divmod, 7, 2) == (3, 1)
    thread.close()


async def test_a_call_that_is_cancelled_before_its_turn_is_left_out() -> None:
    thread, released, called = AuthorityThread(), threading.Event(), list[int]()
    going_on = spawn(thread.run(released.wait, 60), name="going on")
    waiting = spawn(thread.run(called.append, 1), name="waiting")
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})

    released.set()
    await going_on
    await thread.run(called.append, 2)

    assert called == [2]
    thread.close()
