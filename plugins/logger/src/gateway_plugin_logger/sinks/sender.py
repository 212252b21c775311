"""Sends lines in batches over a network, from tasks of the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from random import Random

from gateway_plugin_sdk import Backoff, Clock, Tasks

from gateway_plugin_logger.config.sinks import Queue
from gateway_plugin_logger.sinks.retry import DeliveryError, RejectedError, gives_up
from gateway_plugin_logger.sinks.stats import SinkStats

Deliver = Callable[[Sequence[str]], Awaitable[None]]
"""Sends a batch.

:raises DeliveryError: it may be sent again.
:raises RejectedError: it will never be taken.
"""


class Sender:
    """A bounded queue, and the tasks that empty it."""

    def __init__(self, queue: Queue, deliver: Deliver, stats: SinkStats, clock: Clock, name: str) -> None:
        self._queue = queue
        self._deliver = deliver
        self._stats = stats
        self._clock = clock
        self._name = name
        self._lines: deque[str] = deque()
        self._waiting_bytes = 0
        self._unsettled_lines = 0
        self._unsettled_bytes = 0
        self._is_hurried = False
        self._some = asyncio.Event()
        self._enough = asyncio.Event()
        self._settled = asyncio.Event()
        self._tasks = Tasks()
        self._rng = Random()  # noqa: S311 - spreads attempts, hides nothing

    def start(self) -> None:
        """Begin to send."""
        for number in range(self._queue.concurrency):
            self._tasks.supervise(self._run, name=f"access-log {self._name} {number}")

    def extend(self, lines: Sequence[str]) -> None:
        """Take lines; drops those that are too much beside what is waiting or under way already."""
        too_many = 0
        for line in lines:
            too_many += not self._append(line)
        if too_many:
            self._stats.dropped(too_many, "overflow", "the sink takes lines more slowly than they come")

    def _append(self, line: str) -> bool:
        queue = self._queue
        size = len(line)
        if self._unsettled_lines >= queue.max_lines or self._unsettled_bytes + size > queue.max_bytes:
            return False
        self._lines.append(line)
        self._unsettled_lines += 1
        self._unsettled_bytes += size
        self._waiting_bytes += size
        if len(self._lines) == 1:
            self._some.set()
        if len(self._lines) >= queue.batch_lines or self._waiting_bytes >= queue.batch_bytes:
            self._enough.set()
        return True

    async def aclose(self, timeout: float) -> None:  # noqa: ASYNC109 - a deadline for the lines, not for the caller
        """Send what is left at once; what is not out in time is lost."""
        self._is_hurried = True
        self._enough.set()
        try:
            async with asyncio.timeout(timeout):
                while self._unsettled_lines:
                    self._settled.clear()
                    await self._settled.wait()
        except TimeoutError:
            self._stats.dropped(self._unsettled_lines, "stop", "the sink did not take them in time")
        await self._tasks.aclose()
        self._stats.report()

    async def _run(self) -> None:
        while True:
            await self._gather()
            batch = self._take()
            if batch:
                try:
                    await self._send(batch)
                finally:
                    self._settle(batch)

    async def _gather(self) -> None:
        """Wait until there are lines, and then until they are enough or have waited long enough."""
        await self._some.wait()
        if self._is_hurried or self._enough.is_set():
            return
        try:
            async with asyncio.timeout(self._queue.delay):
                await self._enough.wait()
        except TimeoutError:
            return

    def _take(self) -> list[str]:
        """Return the next batch: as many lines as fit, and at least one."""
        batch: list[str] = []
        size = 0
        while self._lines and len(batch) < self._queue.batch_lines:
            size += len(self._lines[0])
            if batch and size > self._queue.batch_bytes:
                break
            line = self._lines.popleft()
            self._waiting_bytes -= len(line)
            batch.append(line)
        if not self._lines:
            self._some.clear()
        if len(self._lines) < self._queue.batch_lines and self._waiting_bytes < self._queue.batch_bytes:
            self._enough.clear()
        return batch

    def _settle(self, batch: list[str]) -> None:
        self._unsettled_lines -= len(batch)
        self._unsettled_bytes -= sum(map(len, batch))
        self._settled.set()

    async def _send(self, batch: list[str]) -> None:
        """Send a batch until it is taken, refused or too old."""
        retries, began, attempts = self._queue.retries, self._clock.monotonic(), 0
        backoff = Backoff(self._rng, first=retries.initial_delay, longest=retries.max_delay)
        while True:
            attempts += 1
            try:
                await self._deliver(batch)
            except RejectedError as error:
                self._stats.dropped(len(batch), "rejected", str(error))
                return
            except DeliveryError as error:
                delay = backoff.next_delay(error.retry_after or 0.0)
                if gives_up(retries, attempts=attempts, age=self._clock.monotonic() - began, delay=delay):
                    self._stats.dropped(len(batch), "gave-up", f"{error} ({attempts} attempts)")
                    return
                self._stats.retried()
                await asyncio.sleep(delay)
            else:
                self._stats.wrote(len(batch))
                return
