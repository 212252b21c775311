"""Which member of a cluster to talk to, and how long to wait after a failure."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0


class Members:
    """The members in turn, beginning with any: so that many gateways do not all ask the same one."""

    __slots__ = ("_current", "urls")

    def __init__(self, urls: Sequence[str], rng: Random) -> None:
        self.urls = tuple(url.rstrip("/") for url in urls)
        self._current = rng.randrange(len(self.urls))

    def __len__(self) -> int:
        return len(self.urls)

    @property
    def current(self) -> str:
        """The URL of the member to ask."""
        return self.urls[self._current]

    def leave(self, member: str) -> None:
        """Go on to the next one, unless somebody has already left this one."""
        if member == self.current:
            self._current = (self._current + 1) % len(self.urls)


def pause_after(failures: int, rng: Random) -> float:
    """Return the seconds to wait after so many failures in a row: doubled each time, with jitter."""
    pause = min(FIRST_PAUSE * 2.0 ** min(failures - 1, 16), LONGEST_PAUSE)
    return pause * (0.5 + rng.random() / 2)
