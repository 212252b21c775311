"""Hash passwords beside the event loop: a few threads for all bindings, with a fair share for each client and name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Final
from weakref import WeakKeyDictionary

from gateway_plugin_sdk import client_network

from gateway_plugin_auth.fair_queue import FairQueue

THREADS: Final = 2
MOST_WAITING: Final = 256
MOST_PER_CLIENT: Final = 16
MOST_PER_NAME: Final = 64

_WEIGHT_OF_THE_LAST: Final = 0.2


@dataclass(slots=True, eq=False)
class _Job:
    work: Callable[[], bool]
    verdict: asyncio.Future[bool | None]


class Hashing:
    """A pool of threads behind a queue that is fair to clients and names."""

    def __init__(self) -> None:
        self.users = 0
        self._queue: FairQueue[_Job] = FairQueue(MOST_WAITING, MOST_PER_CLIENT, MOST_PER_NAME)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="auth-basic")
        self._running = 0
        self._seconds = 0.0
        """What a hash took lately."""

    def verify(self, client: str, name: str, work: Callable[[], bool]) -> asyncio.Future[bool | None]:
        """Run ``work`` in a thread when it is its turn.

        :param client: its address.
        :returns: what it returns; None if there was no place for it. The work is done even if that is cancelled.
        """
        job = _Job(work, asyncio.get_running_loop().create_future())
        evicted = self._queue.put(job, client_network(client), name)
        if evicted is not None:
            _settle(evicted.verdict, None)
        self._start()
        return job.verdict

    @property
    def retry_after(self) -> float:
        """Seconds until what waits now is done."""
        return len(self._queue) * self._seconds / THREADS

    def close(self) -> None:
        """Refuse what waits, and end the threads when they have done what they do."""
        while (job := self._queue.take()) is not None:
            _settle(job.verdict, None)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _start(self) -> None:
        while self._running < THREADS and (job := self._queue.take()) is not None:
            self._running += 1
            done = asyncio.get_running_loop().run_in_executor(self._threads, _timed, job.work)
            done.add_done_callback(lambda future, job=job: self._done(job, future))  # type: ignore[misc]

    def _done(self, job: _Job, done: asyncio.Future[tuple[bool, float]]) -> None:
        self._running -= 1
        if done.cancelled():
            _settle(job.verdict, None)
        elif (error := done.exception()) is not None:
            if not job.verdict.done():
                job.verdict.set_exception(error)
        else:
            right, seconds = done.result()
            self._seconds += (seconds - self._seconds) * (_WEIGHT_OF_THE_LAST if self._seconds else 1.0)
            _settle(job.verdict, right)
        self._start()


def _timed(work: Callable[[], bool]) -> tuple[bool, float]:
    started = perf_counter()
    return work(), perf_counter() - started


def _settle(verdict: asyncio.Future[bool | None], value: bool | None) -> None:
    if not verdict.done():
        verdict.set_result(value)


_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Hashing] = WeakKeyDictionary()


def acquire_hashing() -> Hashing:
    """Return the pool of the running loop; give it back with `release_hashing`.

    All bindings share it: a hundred routes with passwords must not start two hundred threads.
    """
    loop = asyncio.get_running_loop()
    hashing = _by_loop.get(loop)
    if hashing is None:
        hashing = _by_loop[loop] = Hashing()
    hashing.users += 1
    return hashing


def release_hashing(hashing: Hashing) -> None:
    """Give the pool back; the last one to do so ends its threads."""
    hashing.users -= 1
    if hashing.users == 0:
        hashing.close()
        if _by_loop.get(loop := asyncio.get_running_loop()) is hashing:
            del _by_loop[loop]
