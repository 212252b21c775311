"""How long to wait before the next attempt."""

from __future__ import annotations

from random import Random


class Backoff:
    """Delays in seconds that double from attempt to attempt, with jitter between the half and the whole.

    The jitter keeps many gateways from retrying in step.
    """

    __slots__ = ("_first", "_longest", "_next", "_rng")

    def __init__(self, rng: Random, *, first: float = 0.1, longest: float = 10.0) -> None:
        """Begin with the shortest delay.

        :param first: seconds.
        :param longest: seconds, the limit of the growth.
        """
        self._rng = rng
        self._first = self._next = first
        self._longest = longest

    def next_delay(self, at_least: float = 0.0) -> float:
        """Return the next delay in seconds.

        :param at_least: what the server asked for (``Retry-After``).
        """
        delay = self._next * (0.5 + self._rng.random() / 2)
        self._next = min(self._next * 2, self._longest)
        return max(delay, at_least)

    def reset(self) -> None:
        """Start again with the shortest delay: an attempt succeeded."""
        self._next = self._first
