"""How long to wait before a worker that crashed is started anew, and what keeps it from starting. Pure decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 10.0
"""Seconds before a worker that crashed is replaced: doubled with each crash in a row."""

STEADY_AFTER: Final = 10.0
"""A worker that lived for so many seconds did not crash in a row."""


@dataclass(slots=True)
class _Place:
    in_a_row: int = 0
    reason: str = ""


class Crashes:
    """The crashes of workers, by the number of their place."""

    def __init__(self) -> None:
        self.total = 0
        self._places: dict[int, _Place] = {}

    def note_end(self, number: int, lived: float, reason: str) -> None:
        """Note that a worker ended unexpectedly after so many seconds, and how."""
        self.total += 1
        place = self._places.setdefault(number, _Place())
        place.in_a_row = 0 if lived >= STEADY_AFTER else place.in_a_row + 1
        place.reason = reason

    def note_refusal(self, number: int, reason: str) -> bool:
        """Note that no worker could be started in a place; return whether for another reason than before."""
        place = self._places.setdefault(number, _Place())
        is_new = place.reason != reason
        place.in_a_row += 1
        place.reason = reason
        return is_new

    def note_start(self, number: int) -> None:
        """Note that a worker serves in a place. What it does next decides whether it crashed in a row."""
        place = self._places.get(number)
        if place is not None:
            place.reason = ""

    def pause(self, number: int) -> float:
        """Return the seconds to wait before the next try."""
        place = self._places.get(number)
        if place is None or not place.in_a_row:
            return 0.0
        return float(min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(place.in_a_row - 1, 16)))

    def missing(self) -> list[dict[str, Any]]:
        """Describe the places where no worker can be started."""
        return [
            {"number": number, "attempts": place.in_a_row, "reason": place.reason}
            for number, place in sorted(self._places.items())
            if place.reason
        ]


def exit_text(status: int | None) -> str:
    """Say how a process ended."""
    if status is None:
        return "status unknown"
    return f"signal {-status}" if status < 0 else f"status {status}"
