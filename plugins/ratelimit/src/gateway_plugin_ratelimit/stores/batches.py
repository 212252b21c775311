"""Calls that arrive together travel together.

All calls of one round of the event loop make one batch, and a batch waits while as many are under way as there are
connections: the busier the server, the larger the batches. Each batch has one deadline for all of it, waiting included.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from gateway_plugin_sdk import Tasks

from gateway_plugin_ratelimit.stores.scripts import Call

LARGEST: Final = 256
"""Calls of a batch at most; one takes the server some 10 microseconds."""


class Runner(Protocol):
    """Runs calls in one round trip."""

    async def run(self, calls: Sequence[Call]) -> list[Any]:
        """Return the replies in order; an exception in place of a reply is the failure of that call alone."""


class Batch:
    """Calls that travel together, and who waits for each."""

    __slots__ = ("calls", "deadline", "futures", "task")

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.futures: list[asyncio.Future[Any]] = []
        self.deadline: asyncio.TimerHandle | None = None
        self.task: asyncio.Task[None] | None = None

    def fail(self, error: Exception) -> None:
        """Tell everybody who still waits."""
        for future in self.futures:
            if not future.done():
                future.set_exception(error)


class Batcher:
    """Sends calls in batches."""

    __slots__ = ("_at_once", "_closed", "_is_scheduled", "_on_orphan", "_runner", "_tasks", "_timeout", "_waiting")

    def __init__(
        self, runner: Runner, *, timeout: float, at_once: int, on_orphan: Callable[[Call, Any], None] | None = None
    ) -> None:
        """Prepare.

        :param timeout: seconds after which callers get `TimeoutError`.
        :param at_once: batches that may be under way at the same time.
        :param on_orphan: called with replies whose callers are gone.
        """
        self._runner = runner
        self._timeout = timeout
        self._at_once = at_once
        self._on_orphan = on_orphan
        self._waiting: list[Batch] = []
        self._tasks = Tasks()
        self._is_scheduled = False
        self._closed = False

    def submit(self, call: Call) -> asyncio.Future[Any]:
        """Send a call with the next batch.

        :returns: the reply to come, or `TimeoutError`, or what the client raised.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if self._closed:
            future.set_exception(ConnectionError("the store is closed"))
            return future
        if not self._waiting or len(self._waiting[-1].calls) >= LARGEST:
            batch = Batch()
            batch.deadline = loop.call_later(self._timeout, self._expire, batch)
            self._waiting.append(batch)
        batch = self._waiting[-1]
        batch.calls.append(call)
        batch.futures.append(future)
        if not self._is_scheduled:
            self._is_scheduled = True
            loop.call_soon(self._flush)
        return future

    def _flush(self) -> None:
        self._is_scheduled = False
        while self._waiting and len(self._tasks) < self._at_once and not self._closed:
            batch = self._waiting.pop(0)
            batch.task = self._tasks.spawn(self._send(batch), name="ratelimit: redis batch")
            batch.task.add_done_callback(self._sent)

    def _sent(self, _task: asyncio.Task[None]) -> None:
        if self._waiting and not self._is_scheduled and not self._closed:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    async def _send(self, batch: Batch) -> None:
        try:
            replies = await self._runner.run(batch.calls)
        except Exception as error:  # noqa: BLE001 - whatever the client raises, those who wait get it
            batch.fail(error)
            return
        except asyncio.CancelledError:
            batch.fail(ConnectionError("the store is closed"))  # unless it was the deadline, which has told them
            raise
        finally:
            if batch.deadline is not None:
                batch.deadline.cancel()
        for call, future, reply in zip(batch.calls, batch.futures, replies, strict=True):
            if future.done():
                if self._on_orphan is not None and not isinstance(reply, Exception):
                    self._on_orphan(call, reply)
            elif isinstance(reply, Exception):
                future.set_exception(reply)
            else:
                future.set_result(reply)

    def _expire(self, batch: Batch) -> None:
        batch.fail(TimeoutError(f"no reply within {self._timeout * 1000:g} ms"))
        if batch in self._waiting:
            self._waiting.remove(batch)
        if batch.task is not None:
            batch.task.cancel()

    async def aclose(self) -> None:
        """End what is under way; callers that still wait are told."""
        self._closed = True
        waiting, self._waiting = self._waiting, []
        await self._tasks.aclose()
        for batch in waiting:
            if batch.deadline is not None:
                batch.deadline.cancel()
            batch.fail(ConnectionError("the store is closed"))
