"""Replace processes that ended unexpectedly: how long to wait before each attempt, and what keeps one from starting.

Each place, such as that of worker 2, has its own backoff: a process that lives long is replaced at once, one that
crashes again and again ever later. Whatever keeps a successor from starting, such as a lack of descriptors or memory,
is noted, and the next attempt follows: a place never stays empty for good.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from gateway_core.backoff import Backoff
from gateway_core.config import ConfigError
from gateway_core.errors import GatewayError

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 10.0
"""Seconds before a worker that crashed is replaced: about doubled with each crash in a row."""

STEADY_AFTER: Final = 10.0
"""A worker that lived for so many seconds did not crash in a row."""


@dataclass(slots=True)
class _Place:
    backoff: Backoff
    pause: float = 0.0
    in_a_row: int = 0
    reason: str = ""

    def fail(self, reason: str) -> None:
        self.in_a_row += 1
        self.pause, self.reason = self.backoff.next_delay(), reason


class Replacements:
    """The processes that have ended, by the number of their place."""

    def __init__(self, rng: Random | None = None) -> None:
        """Begin without a crash.

        :param rng: for the jitter, so that workers that crashed together are not started in step.
        """
        self.total = 0
        self._rng = rng or Random()  # noqa: S311  # nothing secret
        self._places: dict[int, _Place] = {}

    def note_end(self, number: int, lived: float, reason: str) -> None:
        """Note that a worker ended unexpectedly after so many seconds, and how."""
        self.total += 1
        place = self._place(number)
        if lived < STEADY_AFTER:
            place.fail(reason)
            return
        place.backoff.reset()
        place.in_a_row, place.pause, place.reason = 0, 0.0, reason

    def note_refusal(self, number: int, reason: str) -> bool:
        """Note that no worker could be started in a place; return whether for another reason than before."""
        place = self._place(number)
        is_new = place.reason != reason
        place.fail(reason)
        return is_new

    def note_start(self, number: int) -> None:
        """Note that a worker serves in a place. What it does next decides whether it crashed in a row."""
        place = self._places.get(number)
        if place is not None:
            place.reason = ""

    def pause(self, number: int) -> float:
        """Return the seconds to wait before the next attempt."""
        place = self._places.get(number)
        return 0.0 if place is None else place.pause

    async def replace(
        self,
        number: int,
        changing: asyncio.Lock,
        *,
        is_wanted: Callable[[], bool],
        start: Callable[[], Awaitable[None]],
        on_refusal: Callable[[str, Exception | None], None],
    ) -> None:
        """Start a successor in a place; return once it is there, or no longer wanted.

        :param changing: held while a successor is started.
        :param is_wanted: false once it has been started.
        :param on_refusal: called with what kept it from starting, and the error where its traceback is worth showing.
        """
        while is_wanted():
            await asyncio.sleep(self.pause(number))
            async with changing:
                if not is_wanted():
                    return
                try:
                    await start()
                except Exception as error:  # noqa: BLE001 - whatever it is, the place is to be filled
                    reason = str(error) or repr(error)
                    is_new = self.note_refusal(number, reason)
                    is_defect = is_new and not isinstance(error, GatewayError | ConfigError | OSError)
                    on_refusal(reason, error if is_defect else None)

    def _place(self, number: int) -> _Place:
        if number not in self._places:
            self._places[number] = _Place(Backoff(self._rng, first=FIRST_PAUSE, longest=LONGEST_PAUSE))
        return self._places[number]

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
    if status == -signal.SIGKILL:
        return "signal 9, as the kernel does it where memory runs out"
    return f"signal {-status}" if status < 0 else f"status {status}"
