"""Long work on the event loop, in slices, so that requests in between do not feel it."""

from __future__ import annotations

import asyncio
from typing import Final

from gateway_core.clock import Clock

SLICE_SECONDS: Final = 0.003


class Yielder:
    """Lets the loop run whenever a slice is used up."""

    __slots__ = ("_clock", "_slice", "_until")

    def __init__(self, clock: Clock, slice_seconds: float = SLICE_SECONDS) -> None:
        self._clock = clock
        self._slice = slice_seconds
        self._until = clock.monotonic() + slice_seconds

    async def checkpoint(self) -> None:
        """Call between two pieces of work, each much shorter than a slice."""
        if self._clock.monotonic() >= self._until:
            await asyncio.sleep(0)
            self._until = self._clock.monotonic() + self._slice
