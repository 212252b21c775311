"""Hooks that may block: they run in threads, so the event loop does not wait for them."""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

from gateway_core.errors import GatewayError
from gateway_core.hookspecs import hookimpl

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
    """A bounded pool of threads with a bounded queue in front."""

    def __init__(self, threads: int = 0, most_waiting: int = 1024) -> None:
        self._threads = threads or min(32, (os.cpu_count() or 1) + 4)
        self._most = self._threads + most_waiting
        self._taken = 0
        self._pool: ThreadPoolExecutor | None = None

    def run(self, function: Callable[..., Any], *args: object) -> asyncio.Future[Any]:
        """Start the function in a thread.

        :returns: a future of the running loop.
        :raises ThreadsBusyError: every thread is taken and the queue is full.
        """
        if self._taken >= self._most:
            raise ThreadsBusyError(f"{self._taken} blocking hooks run or wait: make them faster or async")
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="gateway-hook")
        # Like asyncio.to_thread: context variables (a trace, say) follow the call.
        call = partial(contextvars.copy_context().run, function, *args)
        submitted = self._pool.submit(call)
        self._taken += 1
        loop = asyncio.get_running_loop()
        submitted.add_done_callback(lambda _: _from_thread(loop, self._free))
        return asyncio.wrap_future(submitted, loop=loop)

    def _free(self) -> None:
        self._taken -= 1

    def close(self) -> None:
        """Give the threads back; calls that did not begin are dropped."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)


def _from_thread(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:
        callback()  # the loop is closed: nobody else counts any more


THREADS: Final = BlockingThreads()
"""The pool of this process; it starts its threads when the first blocking hook runs."""
