"""Start asyncio tasks that are neither lost nor silent.

The event loop keeps only weak references to tasks, and an exception in a task that nobody awaits
is reported when the garbage collector happens to find it. Both are answered here, once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TypeVar

T = TypeVar("T")
OnError = Callable[[BaseException], None]

_logger = logging.getLogger("gateway.tasks")
_running: set[asyncio.Task[object]] = set()


def spawn(coro: Coroutine[object, object, T], *, name: str, on_error: OnError | None = None) -> asyncio.Task[T]:
    """Run a coroutine in the background.

    :param name: what the task is for; the log names it.
    :param on_error: called with the exception instead of logging it. Cancellation is not an error.
    :returns: the task, which may be awaited or cancelled, but need not be kept.
    """
    task = asyncio.create_task(coro, name=name)  # noqa: TID251 - this is the wrapper that everything else uses
    _running.add(task)
    task.add_done_callback(partial(_finish, on_error))
    return task


def _finish(on_error: OnError | None, task: asyncio.Task[object]) -> None:
    _running.discard(task)
    if task.cancelled():
        return
    error = task.exception()
    if error is None:
        return
    if on_error is not None:
        on_error(error)
        return
    _logger.error("task %s failed: %r", task.get_name(), error, exc_info=error)


class Tasks:
    """The tasks of one owner, which end with it."""

    __slots__ = ("_closed", "_tasks")

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(
        self, coro: Coroutine[object, object, T], *, name: str, on_error: OnError | None = None
    ) -> asyncio.Task[T]:
        """Run a coroutine in the background until it ends or the owner is closed.

        :raises RuntimeError: when the owner is closed already.
        """
        if self._closed:
            coro.close()
            raise RuntimeError(f"cannot start task {name!r}: its owner is closed")
        task = spawn(coro, name=name, on_error=on_error)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def wait(self) -> None:
        """Wait until all tasks have ended, those included that are started meanwhile. Failures stay with the tasks."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def aclose(self) -> None:
        """Cancel every task and wait until all have ended. Safe to call twice, and from one of the tasks."""
        self._closed = True
        current = asyncio.current_task()
        waiting = {task for task in self._tasks if task is not current}
        for task in waiting:
            task.cancel()
        if waiting:
            await asyncio.wait(waiting)
