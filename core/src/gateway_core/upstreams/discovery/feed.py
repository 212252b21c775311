"""Run a discovery, keep its last good answer, and tell the upstreams that live on it.

A feed is shared by the snapshots that have the same discovery configuration, so a reload neither asks again nor starts
without endpoints. Changes that come fast are gathered: the first goes out at once, the rest at most every
``GATHER_SECONDS``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from random import Random
from typing import Final

from gateway_core.tasks import Tasks
from gateway_core.upstreams.discovery.interface import Discovered, Discovery

GATHER_SECONDS: Final = 0.1
FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 10.0

Listener = Callable[[Discovered], None]

_logger = logging.getLogger("gateway.discovery")


class Feed:
    """The endpoints that one discovery finds."""

    __slots__ = ("_discovery", "_first", "_flush", "_flushed_at", "_listeners", "_rng", "_tasks", "latest", "name")

    def __init__(self, name: str, discovery: Discovery, rng: Random) -> None:
        self.name = name
        self.latest: Discovered | None = None
        """The last answer, which stays in force while the registry is away; None before the first."""
        self._discovery = discovery
        self._rng = rng
        self._listeners: list[Listener] = []
        self._first = asyncio.Event()
        self._flush: asyncio.TimerHandle | None = None
        self._flushed_at = float("-inf")
        self._tasks = Tasks()

    @property
    def is_stale(self) -> bool:
        """Whether the registry has not confirmed the endpoints."""
        return self.latest is None or self.latest.is_stale

    def start(self) -> None:
        """Begin to watch."""
        self._tasks.keep(self._run, name=f"discovery of {self.name}")

    def subscribe(self, listener: Listener) -> None:
        """Call the listener with the present answer, if there is one, and after each change."""
        self._listeners.append(listener)
        if self.latest is not None:
            listener(self.latest)

    def unsubscribe(self, listener: Listener) -> None:
        """Undo a :meth:`subscribe`."""
        self._listeners.remove(listener)

    async def wait_for_first(self, timeout: float) -> bool:  # noqa: ASYNC109 - a wait that ends with False, no error
        """Wait until endpoints are known.

        :returns: False if there are none after ``timeout`` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._first.wait()
        except TimeoutError:
            return False
        return True

    async def aclose(self) -> None:
        """Stop watching."""
        if self._flush is not None:
            self._flush.cancel()
        await self._tasks.aclose()

    async def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            reason = "the watch has ended"
            try:
                async with aclosing(self._discovery.watch()) as answers:  # type: ignore[type-var]  # async generators
                    async for answer in answers:
                        pause = FIRST_PAUSE
                        self._take(answer)
            except Exception as error:  # noqa: BLE001 - an extension's failure must not end the watch
                reason = f"{type(error).__name__}: {error}"
            self._mark_stale(reason)
            await asyncio.sleep(pause * (0.5 + self._rng.random() / 2))
            pause = min(pause * 2, LONGEST_PAUSE)

    def _take(self, answer: Discovered) -> None:
        if self.latest is not None and answer.is_stale and not self.latest.is_stale:
            _logger.warning("discovery of %s is stale: %s", self.name, answer.reason)
        is_new = self.latest is None or _contents(self.latest) != _contents(answer)
        self.latest = answer
        self._first.set()
        if not is_new or self._flush is not None:
            return
        loop = asyncio.get_running_loop()
        wait = self._flushed_at + GATHER_SECONDS - loop.time()
        if wait <= 0:
            self._publish()
        else:
            self._flush = loop.call_later(wait, self._publish)

    def _publish(self) -> None:
        self._flush = None
        self._flushed_at = asyncio.get_running_loop().time()
        if self.latest is not None:
            for listener in list(self._listeners):
                listener(self.latest)

    def _mark_stale(self, reason: str) -> None:
        _logger.warning("discovery of %s failed, the last good answer stays in force: %s", self.name, reason)
        if self.latest is not None:
            self.latest = replace(self.latest, is_stale=True, reason=reason)


def _contents(answer: Discovered) -> tuple[object, ...]:
    """Return what upstreams need to hear of when it changes."""
    return answer.endpoints, answer.strategy
