"""Start asyncio tasks that are neither lost nor silent.

The event loop keeps only weak references to tasks, and an exception in a task that is not awaited
is reported when the garbage collector happens to find it. Both are handled here, once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextvars import Context
from functools import partial
from typing import Final, TypeVar

T = TypeVar("T")
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
OnError = Callable[[BaseException], None]

_logger = logging.getLogger("gateway.tasks")
_running: set[asyncio.Task[object]] = set()


def spawn(
    coro: Coroutine[object, object, T], *, name: str, on_error: OnError | None = None, context: Context | None = None
) -> asyncio.Task[T]:
    """Run a coroutine in the background.

    :param name: what the task is for; the log names it.
    :param on_error: called with the exception instead of logging it. Cancellation is not an error.
    :param context: the context variables that it runs with; a copy of the caller's unless given.
    :returns: the task, which may be awaited or cancelled, but need not be kept.
    """
    task = asyncio.create_task(coro, name=name, context=context)  # noqa: TID251 - this is the wrapper that everything else uses
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


async def _keep(work: Callable[[], Coroutine[object, object, None]], name: str) -> None:
    pause, told = _FIRST_PAUSE, ""
    while True:
        try:
            await work()
        except Exception as error:
            # The traceback of a failure that repeats itself says nothing new.
            again, told = told == repr(error), repr(error)
            pause = min(pause * 2, _LONGEST_PAUSE) if again else _FIRST_PAUSE
            _logger.error(
                "task %s failed, and begins again in %g s: %r", name, pause, error, exc_info=None if again else error
            )
            await asyncio.sleep(pause)
        else:
            return


class Tasks:
    """The tasks of one owner, which end with it."""

    __slots__ = ("_closed", "_tasks")

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(
        self,
        coro: Coroutine[object, object, T],
        *,
        name: str,
        on_error: OnError | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        """Run a coroutine in the background until it ends or the owner is closed.

        :raises RuntimeError: when the owner is closed already.
        """
        if self._closed:
            coro.close()
            raise RuntimeError(f"cannot start task {name!r}: its owner is closed")
        task = spawn(coro, name=name, on_error=on_error, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def keep(self, work: Callable[[], Coroutine[object, object, None]], *, name: str) -> asyncio.Task[None]:
        """Run endless work until the owner is closed: when it fails, that is logged and it begins again after a pause.

        Work that returns has come to its end, and is not begun again.
        """
        return self.spawn(_keep(work, name), name=name)

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
