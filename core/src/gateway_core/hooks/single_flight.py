"""One run for all callers that want the same value at the same time: ``self.once`` of a plugin."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from contextvars import Context
from typing import Any, Generic, TypeVar

from gateway_core.errors import GatewayError
from gateway_core.tasks import spawn

T = TypeVar("T")


class _Run(Generic[T]):
    __slots__ = ("task", "waiting")

    def __init__(self, task: asyncio.Task[T]) -> None:
        self.task = task
        self.waiting = 0


class SingleFlight:
    """The runs that are in progress, by key. Nothing is kept of one that has ended."""

    __slots__ = ("_closed", "_name", "_runs")

    def __init__(self, name: str) -> None:
        self._name = name
        self._runs: dict[Hashable, _Run[Any]] = {}
        self._closed = False

    def __len__(self) -> int:
        return len(self._runs)

    async def run(self, key: Hashable, factory: Callable[[], Awaitable[T]]) -> T:
        """Return what the run of this key returns; the first to ask begins it, in an empty context of its own.

        It goes on as long as anyone waits for it, and is cancelled when the last one leaves. What it raises, all get.
        """
        run: _Run[T] | None = self._runs.get(key)
        if run is None:
            run = self._begin(key, factory)
        run.waiting += 1
        try:
            # Not shield(): a run that is cancelled must not look like a cancellation of the waiting callers.
            await asyncio.wait({run.task})
        finally:
            run.waiting -= 1
            if not run.waiting and not run.task.done():
                self._forget(key, run)
                run.task.cancel()
        if run.task.cancelled():
            raise GatewayError(f"the run of {key!r} for {self._name} was cancelled")
        return run.task.result()

    def _begin(self, key: Hashable, factory: Callable[[], Awaitable[T]]) -> _Run[T]:
        if self._closed:
            raise RuntimeError(f"{self._name} has ended: nothing can be begun")
        task = spawn(_await(factory), name=f"{self._name}, once {key!r}", on_error=lambda _: None, context=Context())
        run = self._runs[key] = _Run(task)
        task.add_done_callback(lambda _: self._forget(key, run))
        return run

    def _forget(self, key: Hashable, run: _Run[Any]) -> None:
        # Another run may have begun since this one was given up.
        if self._runs.get(key) is run:
            del self._runs[key]

    def close(self) -> list[asyncio.Task[Any]]:
        """Cancel all runs and return their tasks; nothing can be begun from now on."""
        self._closed = True
        tasks = [run.task for run in self._runs.values()]
        for task in tasks:
            task.cancel()
        return tasks


async def _await(factory: Callable[[], Awaitable[T]]) -> T:
    try:
        return await factory()
    except (SystemExit, KeyboardInterrupt) as error:
        # asyncio keeps neither in a task: it would stop the event loop.
        raise GatewayError(f"the factory raised {type(error).__name__}") from error
