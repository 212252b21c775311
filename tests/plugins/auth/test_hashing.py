from __future__ import annotations

import asyncio
import threading

import pytest
from gateway_plugin_auth.hashing import MOST_PER_CLIENT, THREADS, acquire_hashing, release_hashing


async def test_work_is_done_in_few_threads_and_the_rest_of_one_client_is_refused() -> None:
    hashing = acquire_hashing()
    may_go_on, lock = threading.Event(), threading.Lock()
    running = most = 0

    def work() -> bool:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        assert may_go_on.wait(20)
        with lock:
            running -= 1
        return True

    verdicts = [hashing.verify("a", "name", work) for _ in range(100)]
    assert sum(verdict.done() for verdict in verdicts) == 100 - MOST_PER_CLIENT - THREADS
    may_go_on.set()
    done = await asyncio.gather(*verdicts)

    assert done.count(True) == MOST_PER_CLIENT + THREADS
    assert done.count(None) == 100 - MOST_PER_CLIENT - THREADS
    assert most <= THREADS
    release_hashing(hashing)


async def test_an_error_of_the_work_is_that_of_its_verdict_and_the_next_goes_on() -> None:
    hashing = acquire_hashing()

    def fail() -> bool:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        await hashing.verify("a", "x", fail)
    assert await hashing.verify("a", "x", lambda: True) is True
    release_hashing(hashing)


async def test_bindings_share_the_threads_until_the_last_one_goes() -> None:
    first, second = acquire_hashing(), acquire_hashing()
    assert first is second
    release_hashing(first)
    assert await second.verify("a", "x", lambda: False) is False

    may_go_on = threading.Event()
    waiting = [second.verify("a", "x", may_go_on.wait) for _ in range(5)]
    release_hashing(second)
    may_go_on.set()

    assert (await asyncio.gather(*waiting))[THREADS:] == [None] * (5 - THREADS)
    third = acquire_hashing()
    assert third is not first
    release_hashing(third)
