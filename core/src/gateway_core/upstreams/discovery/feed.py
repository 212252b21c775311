"""Run a discovery, keep what it found last, and tell the upstreams that use it.

A feed is shared by the snapshots that have the same discovery configuration, so a reload neither
queries again nor starts without endpoints. Changes that come fast are gathered: the first goes out at once, the rest at
most every ``GATHER_SECONDS``.
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
        """What was found last, which stays in force while the registry is away; None before the first result."""
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
        """Call the listener with what is known, if anything, and after each change."""
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
                async with aclosing(self._discovery.watch()) as results:  # type: ignore[type-var]  # async generators
                    async for found in results:
                        pause = FIRST_PAUSE
                        self._take(found)
            except Exception as error:  # noqa: BLE001 - an extension's failure must not end the watch
                reason = f"{type(error).__name__}: {error}"
            self._mark_stale(reason)
            await asyncio.sleep(pause * (0.5 + self._rng.random() / 2))
            pause = min(pause * 2, LONGEST_PAUSE)

    def _take(self, found: Discovered) -> None:
        before = self.latest
        if before is not None and found.is_stale != before.is_stale:
            if found.is_stale:
                _logger.warning("discovery of %s is stale: %s", self.name, found.reason)
            else:
                _logger.info("discovery of %s is up to date again", self.name)
        if not found.endpoints and (before is None or before.endpoints):
            _logger.warning("discovery of %s finds no endpoints", self.name)
        is_new = before is None or _contents(before) != _contents(found)
        self.latest = found
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
        kept = "no endpoints are known yet" if self.latest is None else "what it found last stays in force"
        _logger.warning("discovery of %s failed, %s: %s", self.name, kept, reason)
        if self.latest is not None:
            self.latest = replace(self.latest, is_stale=True, reason=reason)


def _contents(found: Discovered) -> tuple[object, ...]:
    """Return what upstreams follow: changes of it are passed on to them."""
    return found.endpoints, found.strategy
