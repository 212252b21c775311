"""Start asyncio tasks that are neither lost nor silent, and keep endless ones going.

The event loop keeps only weak references to tasks, and an exception in a task that is not awaited
is reported when the garbage collector happens to find it. Both are handled here, once.

Endless work (a watch, a loop that reloads) is supervised: an exception is logged, counted in `supervised`, and the work
begins again after a backoff. So nothing that a client, an upstream, a registry or an installer writes ends it.

Long work of a process that serves is done in slices, between which a `Yielder` lets the loop run.

A plugin shares the loop, and may cancel all that `asyncio.all_tasks` returns, as programs do at their end. In the
processes of a gateway the tasks that are started here are not among those (`hide_from_plugins`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, Final, TypeVar

from gateway_core.backoff import Backoff
from gateway_core.clock import Clock
from gateway_core.events import TASK_FAILED, emit

T = TypeVar("T")
_FIRST_DELAY: Final = 1.0
_LONGEST_DELAY: Final = 15.0
"""An edit that comes once the cause is mended is not to wait for longer."""
_STEADY_AFTER: Final = 5.0
"""Seconds that work goes on after a failure until it counts as mended."""

OnError = Callable[[BaseException], None]

_running: set[asyncio.Task[object]] = set()
_is_hiding = False


def hide_from_plugins() -> None:
    """From now on have `asyncio.all_tasks` leave out what `spawn` starts in this process."""
    global _is_hiding  # noqa: PLW0603 - one for the process, as the registry of asyncio is
    _is_hiding = True


def hide(task: asyncio.Task[Any]) -> None:
    """Have `asyncio.all_tasks` leave out a task, by asyncio's own function for those who write tasks."""
    asyncio._unregister_task(task)  # noqa: SLF001 - documented, in "Extending" of asyncio


def spawned(loop: asyncio.AbstractEventLoop) -> set[asyncio.Task[object]]:
    """Return the tasks of a loop that `spawn` started and that have not ended."""
    return {task for task in _running if task.get_loop() is loop}


def spawn(
    coro: Coroutine[object, object, T],
    *,
    name: str,
    on_error: OnError | None = None,
    context: Context | None = None,
    among: set[asyncio.Task[Any]] | None = None,
) -> asyncio.Task[T]:
    """Run a coroutine in the background.

    :param name: what the task is for; the log names it.
    :param on_error: called with the exception instead of logging it. Cancellation is not an error.
    :param context: the context variables that it runs with; a copy of the caller's unless given.
    :param among: the tasks of its owner, among which it is until it ends.
    :returns: the task, which may be awaited or cancelled, but need not be kept.
    """
    # Not by the loop's task factory, which is for tasks that hooks start by themselves (gateway_core.hooks.own_tasks).
    task: asyncio.Task[T] = asyncio.Task(coro, loop=asyncio.get_running_loop(), name=name, context=context)
    if _is_hiding:
        hide(task)
    _running.add(task)
    if among is not None:
        among.add(task)
    task.add_done_callback(partial(_finish, on_error, among))
    return task


def _finish(on_error: OnError | None, among: set[asyncio.Task[Any]] | None, task: asyncio.Task[object]) -> None:
    _running.discard(task)
    if among is not None:
        among.discard(task)
    if task.cancelled():
        return
    error = task.exception()
    if error is None:
        return
    if on_error is not None:
        on_error(error)
        return
    name = task.get_name()
    emit(TASK_FAILED, f"task {name} failed: {error!r}", error=error, task=name, reason=repr(error))


@dataclass(slots=True)
class Supervised:
    """What became of this process's endless tasks: what metrics, status and ``/ready`` show of them."""

    failures: dict[str, int] = field(default_factory=dict)
    """How often each task has failed, by its name; one that never failed is not here."""
    failing: dict[str, str] = field(default_factory=dict)
    """Why each task failed that is not going on steadily again, by its name."""
    running: dict[str, int] = field(default_factory=dict)
    """How many tasks of each name there are; 0 of those that have come to their end."""

    def note_start(self, name: str) -> None:
        """Note that a task begins."""
        self.running[name] = self.running.get(name, 0) + 1

    def note_end(self, name: str) -> None:
        """Note that a task has come to its end."""
        self.running[name] -= 1
        self.note_steady(name)

    def note_failure(self, name: str, error: BaseException) -> bool:
        """Count a failure, and return whether it is another one than the task's last."""
        text = f"{type(error).__name__}: {error}"
        is_new = self.failing.get(name) != text
        self.failures[name] = self.failures.get(name, 0) + 1
        self.failing[name] = text
        return is_new

    def note_steady(self, name: str) -> None:
        """Note that a task goes on."""
        self.failing.pop(name, None)


supervised: Final = Supervised()


async def supervise(
    work: Callable[[], Coroutine[object, object, None]],
    *,
    name: str,
    backoff: Backoff | None = None,
    steady_after: float = _STEADY_AFTER,
) -> None:
    """Run endless work; when it fails, log and count that, and begin again after a delay that grows.

    Work that returns has come to its end, and is not begun again. The traceback of a failure that repeats itself is
    logged once.

    :param backoff: the delays between a failure and the next beginning; a second first, 15 at most.
    :param steady_after: seconds without a failure after which the task is not shown as failing any more.
    """
    backoff = backoff or Backoff(Random(), first=_FIRST_DELAY, longest=_LONGEST_DELAY)  # noqa: S311 - keeps no secret
    loop = asyncio.get_running_loop()

    def steady() -> None:
        backoff.reset()
        supervised.note_steady(name)

    mended: asyncio.TimerHandle | None = None
    supervised.note_start(name)
    try:
        while True:
            try:
                await _run(work)
            except Exception as error:
                if mended is not None:
                    mended.cancel()
                is_new, delay = supervised.note_failure(name, error), backoff.next_delay()
                emit(
                    TASK_FAILED,
                    f"task {name} failed, and begins again in {delay:.1f} s: {error!r}",
                    error=error if is_new else None,
                    task=name,
                    reason=repr(error),
                    seconds=round(delay, 1),
                )
                if _is_cancelled():  # and the failure, of its clean-up, has taken the place of the cancellation
                    raise asyncio.CancelledError from error
                await asyncio.sleep(delay)
                mended = loop.call_later(steady_after, steady)
            else:
                return
    finally:
        if mended is not None:
            mended.cancel()
        supervised.note_end(name)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _run(work: Callable[[], Coroutine[object, object, None]]) -> None:
    """Run endless work once.

    :raises RuntimeError: it ended with what asyncio does not take for an error: `asyncio.CancelledError` although this
        task is not cancelled, as when it awaits another one that is, or SystemExit of an extension.
    """
    try:
        await work()
    except asyncio.CancelledError:
        if _is_cancelled():
            raise
        raise RuntimeError("what it waited for was cancelled") from None
    except SystemExit as error:
        raise RuntimeError(f"it was to end the process with status {error.code!r}") from error


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
        return spawn(coro, name=name, on_error=on_error, context=context, among=self._tasks)

    def supervise(
        self, work: Callable[[], Coroutine[object, object, None]], *, name: str, backoff: Backoff | None = None
    ) -> asyncio.Task[None]:
        """Run endless work until the owner is closed; see `supervise`."""
        return self.spawn(supervise(work, name=name, backoff=backoff), name=name)

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


_PART: Final = 1000
SLICE_SECONDS: Final = 0.002


class Yielder:
    """Lets the loop run whenever a slice is used up."""

    __slots__ = ("_clock", "_slice", "_until")

    def __init__(self, clock: Clock, slice_seconds: float = SLICE_SECONDS) -> None:
        self._clock = clock
        self._slice = slice_seconds
        self._until = clock.monotonic()
        """When the slice ends: at once for the first one, as what has run before is not known."""

    async def checkpoint(self) -> None:
        """Call between two pieces of work, each much shorter than a slice."""
        if self._clock.monotonic() >= self._until:
            await asyncio.sleep(0)
            self._until = self._clock.monotonic() + self._slice

    async def parts(self, items: Sequence[T]) -> AsyncIterator[Sequence[T]]:
        """Yield the items in parts, each of them for work of less than half a microsecond an item.

        One pass over ten thousand models takes as long as two slices: to read an attribute of theirs is slow.
        """
        for start in range(0, len(items), _PART):
            await self.checkpoint()
            yield items[start : start + _PART]
