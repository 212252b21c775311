"""How long connecting may take, on a loop that may have stood still in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

_LATE: Final = 0.1
"""Seconds behind its time at which a timer is taken to be called by a loop that stood still."""


class ConnectTimer:
    """Calls back after some seconds, and later if the loop did not run when they were over.

    Behind a pause (a stopped process, a suspended machine, a callback that took long) a loop calls the timers that
    are due before it reads its sockets: connections that were made in time would be given up. The wait is extended
    by the pause, once, and by no more than the wait itself.
    """

    __slots__ = ("_callback", "_due", "_handle", "_loop", "_seconds")

    def __init__(self, seconds: float, callback: Callable[[], object]) -> None:
        """Begin to wait, in the running loop; the callback is not called behind `cancel`."""
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._callback = callback
        self._due = self._loop.time() + seconds
        self._handle = self._loop.call_at(self._due, self._expire)

    def cancel(self) -> None:
        """Stop to wait."""
        self._handle.cancel()

    def _expire(self) -> None:
        late = self._loop.time() - self._due
        if late > _LATE:
            self._handle = self._loop.call_later(min(late, self._seconds), self._callback)
        else:
            self._callback()


@asynccontextmanager
async def connect_timeout(seconds: float) -> AsyncIterator[None]:
    """Bound the block by a `ConnectTimer`; 0 is no limit.

    :raises TimeoutError: the time is over.
    """
    async with asyncio.timeout(None) as limit:
        timer = ConnectTimer(seconds, lambda: limit.reschedule(0)) if seconds else None
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()
