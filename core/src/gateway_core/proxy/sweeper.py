"""Deadlines by a coarse sweep: an attribute to set instead of a timer to make and cancel for each request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from gateway_core.events import CONNECTION_FAILED, emit

NEVER: Final = float("inf")

TICK: Final = 0.1
"""Seconds between two sweeps; a deadline is noticed that much late at most."""


class Expiring(Protocol):
    """Something that has a deadline; `NEVER` if it has none at present."""

    @property
    def deadline(self) -> float:
        """Monotonic seconds."""

    def expire(self, now: float) -> None:
        """Act on the deadline; set another one or `NEVER`."""


class Sweeper:
    """Looks at everything that may expire, again and again."""

    __slots__ = ("_groups", "_handle", "_loop", "_now", "_ticks", "time")

    def __init__(self, loop: asyncio.AbstractEventLoop, now: Callable[[], float]) -> None:
        self._loop = loop
        self._now = now
        self.time = now()
        """Monotonic seconds of the last sweep: what it costs nothing to know."""
        self._groups: list[tuple[Iterable[Expiring], int]] = []
        self._handle: asyncio.TimerHandle | None = None
        self._ticks = 0

    def watch(self, group: Iterable[Expiring], every: int = 1) -> None:
        """Sweep a live collection at every ``every``-th tick: large ones of long deadlines more rarely."""
        self._groups.append((group, every))
        if self._handle is None:
            self._handle = self._loop.call_later(TICK, self._sweep)

    def _sweep(self) -> None:
        # First of all: whatever goes wrong below, deadlines must go on being noticed.
        self._handle = self._loop.call_later(TICK, self._sweep)
        now = self.time = self._now()
        self._ticks += 1
        for group, every in self._groups:
            if self._ticks % every == 0:
                for expired in [item for item in group if item.deadline <= now]:
                    try:
                        expired.expire(now)
                    except Exception as error:  # noqa: BLE001 - one defect must not end every deadline of the process
                        text = f"a deadline could not be acted on: {expired!r}"
                        emit(CONNECTION_FAILED, text, error=error, reason=repr(error))

    def stop(self) -> None:
        """Sweep no more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._groups.clear()
