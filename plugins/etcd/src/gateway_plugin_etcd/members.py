"""Which member of a cluster to talk to."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random


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
