"""Look things up elsewhere: one look-up for all who want the same, so many at once, the clients in turns.

What a request presents decides what is looked up, so any client can cause look-ups. Those beyond the bound wait in a
queue that is fair to the clients, and those beyond the queue's bound are not done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from gateway_plugin_sdk import Tasks

from gateway_plugin_auth.fair_queue import FairQueue

ResultT = TypeVar("ResultT")

MOST_WAITING: Final = 256
MOST_PER_CLIENT: Final = 64


@dataclass(slots=True, eq=False)
class _Flight(Generic[ResultT]):
    key: bytes
    work: Callable[[], Awaitable[ResultT]]
    result: asyncio.Future[ResultT | None]


class Flights(Generic[ResultT]):
    """Look-ups in progress, by key."""

    def __init__(self, name: str, most: int) -> None:
        """Begin without any.

        :param name: what is looked up, for the log.
        :param most: look-ups at once.
        """
        self._name = name
        self._most = most
        self._queue: FairQueue[_Flight[ResultT]] = FairQueue(MOST_WAITING, MOST_PER_CLIENT, MOST_WAITING)
        self._by_key: dict[bytes, _Flight[ResultT]] = {}
        self._running = 0
        self._tasks = Tasks()

    def join(self, key: bytes, client: str, work: Callable[[], Awaitable[ResultT]]) -> asyncio.Future[ResultT | None]:
        """Return the result of a look-up, which ``work`` does unless one of this key is in progress.

        Wait for it with ``asyncio.wait``: others may wait for the same, so it is not to be cancelled.

        :param client: its network, which is what the queue is fair to.
        :returns: what ``work`` returns; None if there is no place for it.
        """
        flight = self._by_key.get(key)
        if flight is None:
            flight = self._by_key[key] = _Flight(key, work, asyncio.get_running_loop().create_future())
            evicted = self._queue.put(flight, client, "")
            if evicted is not None:
                self._settle(evicted, None)
            self._start()
        return flight.result

    async def aclose(self) -> None:
        """End what is in progress; those who wait get None."""
        while (flight := self._queue.take()) is not None:
            self._settle(flight, None)
        await self._tasks.aclose()
        self._running = 0
        for flight in list(self._by_key.values()):  # their tasks were cancelled before they began
            self._settle(flight, None)

    def _start(self) -> None:
        while self._running < self._most and (flight := self._queue.take()) is not None:
            try:
                self._tasks.spawn(self._run(flight), name=f"look up {self._name}")
            except RuntimeError:  # closed: a request that began before is still in progress
                self._settle(flight, None)
            else:
                self._running += 1

    async def _run(self, flight: _Flight[ResultT]) -> None:
        result = None
        try:
            result = await flight.work()
        finally:
            self._running -= 1
            self._settle(flight, result)
            self._start()

    def _settle(self, flight: _Flight[ResultT], result: ResultT | None) -> None:
        if self._by_key.get(flight.key) is flight:
            del self._by_key[flight.key]
        if not flight.result.done():
            flight.result.set_result(result)
