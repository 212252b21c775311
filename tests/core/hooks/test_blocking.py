from __future__ import annotations

import asyncio
import contextvars
import sys
import threading

import pytest
from gateway_core.hooks import BlockingThreads, hookimpl_blocking
from gateway_core.hooks.blocking import ThreadsBusyError, is_blocking
from gateway_core.hookspecs import PROJECT

TRACE: contextvars.ContextVar[str] = contextvars.ContextVar("trace", default="none")


def test_the_mark_is_a_hookimpl_too() -> None:
    @hookimpl_blocking
    def gateway_log() -> None: ...

    assert is_blocking(gateway_log)
    assert hasattr(gateway_log, f"{PROJECT}_impl")
    assert not is_blocking(test_the_mark_is_a_hookimpl_too)


async def test_a_function_runs_in_a_thread_with_the_callers_context() -> None:
    threads = BlockingThreads(threads=1)
    TRACE.set("t-1")

    result = await threads.run(lambda each: (each, TRACE.get(), threading.current_thread().name), 5)

    assert result == (5, "t-1", "gateway-hook_0")
    threads.close()


async def test_an_exception_reaches_whoever_waits() -> None:
    threads = BlockingThreads(threads=1)

    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0)
    threads.close()


async def test_a_full_queue_refuses_and_takes_again_once_there_is_room() -> None:
    threads, release = BlockingThreads(threads=1, most_waiting=1), threading.Event()
    first, second = threads.run(release.wait, 30), threads.run(release.wait, 30)

    with pytest.raises(ThreadsBusyError, match="2 blocking hooks run or wait: make them faster or async"):
        threads.run(release.wait, 30)

    release.set()
    assert [await first, await second] == [True, True]
    assert await threads.run(lambda: "again") == "again"
    threads.close()


async def test_a_caller_that_gives_up_leaves_the_count_right() -> None:
    threads, release = BlockingThreads(threads=1, most_waiting=1), threading.Event()
    running, waiting = threads.run(release.wait, 30), threads.run(release.wait, 30)

    waiting.cancel()
    running.cancel()
    release.set()

    async with asyncio.timeout(30):
        while threads.taken:  # noqa: ASYNC110 - the pool has no event for it
            await asyncio.sleep(0.001)
    assert await threads.run(lambda: "again") == "again"
    threads.close()


async def test_a_thread_that_never_comes_back_does_not_keep_the_process_from_ending() -> None:
    script = """
import asyncio, threading
from gateway_core.hooks import BlockingThreads
async def main():
    BlockingThreads().run(threading.Event().wait)
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script)

    assert await asyncio.wait_for(process.wait(), 50) == 0


async def test_more_threads_start_only_when_they_are_needed() -> None:
    threads = BlockingThreads(threads=4)

    names = {await threads.run(lambda: threading.current_thread().name) for _ in range(8)}

    assert names == {"gateway-hook_0"}
    threads.close()


def test_closing_twice_is_fine() -> None:
    threads = BlockingThreads()
    threads.close()
    threads.close()
