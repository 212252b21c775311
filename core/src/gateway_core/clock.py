"""The two clocks that the gateway may read, as an object that tests and plugins can move."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where time comes from. Logic takes ``now`` as a value; only the edges ask a clock."""

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start that never go back: for deadlines and rates."""
        ...

    def wall(self) -> float:
        """Return seconds since the Unix epoch: for logs, tokens and status pages."""
        ...


class SystemClock:
    """The machine's clocks."""

    __slots__ = ()

    # The very functions, without a frame of ours around them: they are asked several times a request.
    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)  # noqa: TID251 - this is the wrapper that everything else uses


class ManualClock:
    """A clock that stands still until it is moved."""

    __slots__ = ("_monotonic", "_wall")

    def __init__(self, *, monotonic: float = 1_000.0, wall: float = 1_700_000_000.0) -> None:
        self._monotonic = monotonic
        self._wall = wall

    def monotonic(self) -> float:
        return self._monotonic

    def wall(self) -> float:
        return self._wall

    def advance(self, seconds: float) -> None:
        """Move both clocks forward.

        :raises ValueError: for a negative number, since a monotonic clock never goes back.
        """
        if seconds < 0:
            raise ValueError(f"a clock cannot be advanced by {seconds} seconds")
        self._monotonic += seconds
        self._wall += seconds
