"""How long to wait before trying again."""

from __future__ import annotations

from random import Random


class Pauses:
    """Seconds that double from try to try, each between the half and the whole: many gateways must not come at once."""

    __slots__ = ("_first", "_longest", "_next", "_rng")

    def __init__(self, rng: Random, *, first: float = 0.1, longest: float = 10.0) -> None:
        """Begin with the shortest pause.

        :param first: seconds.
        :param longest: seconds, which pauses grow up to.
        """
        self._rng = rng
        self._first = self._next = first
        self._longest = longest

    def take(self, at_least: float = 0.0) -> float:
        """Return the next pause in seconds.

        :param at_least: what the server asked for.
        """
        pause = self._next * (0.5 + self._rng.random() / 2)
        self._next = min(self._next * 2, self._longest)
        return max(pause, at_least)

    def reset(self) -> None:
        """Begin anew: something worked."""
        self._next = self._first
