"""Hooks that may block: they run in threads, so the event loop does not wait for them."""

from __future__ import annotations

import asyncio
import contextvars
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from gateway_core.errors import GatewayError
from gateway_core.hookspecs import hookimpl
from gateway_core.messages.hook_owner import awaited_hook, running_hook

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

_MARK: Final = "gateway_blocking"


class ThreadsBusyError(GatewayError):
    """Too many blocking hooks wait for a thread."""


def hookimpl_blocking(function: FunctionT) -> FunctionT:
    """Mark a plain ``def`` as a hook that blocks: it runs in a thread, and the request waits as for an ``async`` hook.

    The thread has the request for itself while it runs. After a timeout the thread goes on, since threads cannot be
    stopped; what it then does to the request has no promised effect.
    """
    setattr(function, _MARK, True)
    return hookimpl(function)


def is_blocking(function: object) -> bool:
    """Tell whether a function was marked with `hookimpl_blocking`."""
    return bool(getattr(function, _MARK, False))


class BlockingThreads:
    """A bounded pool of threads with a bounded queue in front.

    They are daemon threads, unlike those of ``concurrent.futures``: a hook that never comes back must not keep the
    gateway from ending.
    """

    def __init__(self, threads: int = 0, most_waiting: int = 1024) -> None:
        self._most_threads = threads or min(32, (os.cpu_count() or 1) + 4)
        self._most = self._most_threads + most_waiting
        self._taken = 0
        self._threads: list[threading.Thread] = []
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()

    @property
    def taken(self) -> int:
        """How many calls run or wait."""
        return self._taken

    def run(self, function: Callable[..., Any], *args: object) -> asyncio.Future[Any]:
        """Start the function in a thread.

        :returns: a future of the running loop.
        :raises ThreadsBusyError: every thread is taken and the queue is full.
        """
        if self._taken >= self._most:
            raise ThreadsBusyError(f"{self._taken} blocking hooks run or wait: make them faster or async")
        loop = asyncio.get_running_loop()
        # Like asyncio.to_thread: context variables (a trace, say) follow the call.
        context = contextvars.copy_context()
        context.run(awaited_hook.set, running_hook())
        call = partial(context.run, function, *args)
        done: Future[Any] = Future()
        self._taken += 1
        if self._taken > len(self._threads) and len(self._threads) < self._most_threads:
            self._start_thread()
        self._queue.put(_Job(call, done, partial(_call_in, loop, self._free)))
        return asyncio.wrap_future(done, loop=loop)

    def _start_thread(self) -> None:
        name = f"gateway-hook_{len(self._threads)}"
        thread = threading.Thread(target=_work, args=(self._queue,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _free(self) -> None:
        self._taken -= 1

    def close(self) -> None:
        """Let the threads end after what they are doing; the pool can be used again."""
        threads, self._threads = self._threads, []
        for _ in threads:
            self._queue.put(None)


@dataclass(frozen=True, slots=True)
class _Job:
    call: Callable[[], Any]
    done: Future[Any]
    free: Callable[[], None]


def _work(jobs: queue.SimpleQueue[_Job | None]) -> None:
    while (job := jobs.get()) is not None:
        _do(job)
        # Or the last request would stay in memory until the next one comes.
        del job


def _do(job: _Job) -> None:
    if not job.done.set_running_or_notify_cancel():
        job.free()  # the caller gave up before it began
        return
    try:
        result = job.call()
    except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
        job.free()
        job.done.set_exception(error)
    else:
        # First the place, then the result, so that the awaiting task finds the place free.
        job.free()
        job.done.set_result(result)


def _call_in(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:
        callback()  # the loop is closed: nothing else counts any more


THREADS: Final = BlockingThreads()
"""The pool of this process; it starts its threads when the first blocking hook runs."""
