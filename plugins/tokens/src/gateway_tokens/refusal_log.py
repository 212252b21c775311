"""Log why requests are refused, without a line for each request of an attack."""

from __future__ import annotations

from typing import Final

PAUSE: Final = 1.0
"""Seconds between two lines of one reason."""


class RefusalLog:
    """Decides which refusals are worth a line: the first of each reason, then one a second."""

    __slots__ = ("_last", "_left_out")

    def __init__(self) -> None:
        self._last: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def take(self, reason: str, now: float) -> int | None:
        """Return how many were left out since the last line of this reason, or None if this one is left out, too."""
        last = self._last.get(reason)
        if last is not None and now - last < PAUSE:
            self._left_out[reason] = self._left_out.get(reason, 0) + 1
            return None
        self._last[reason] = now
        return self._left_out.pop(reason, 0)
