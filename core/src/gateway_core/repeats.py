"""How often an event that repeats itself is written: the one limiter of the gateway's log."""

from __future__ import annotations

from typing import Final


class Repeats:
    """Decides which of many equal events are written: for each key one within some seconds. Pure.

    The number of those that were left out goes with the next line of the key, so that nothing is hidden.
    """

    __slots__ = ("_keys", "_seconds")

    def __init__(self, seconds: float = 10.0) -> None:
        self._seconds = seconds
        self._keys: dict[object, list[float]] = {}
        """By key: monotonic seconds of the last line, and how many were left out since."""

    def count(self, key: object, now: float) -> int:
        """Return how many events the line that is due stands for, itself included; 0 if none is due.

        :param now: monotonic seconds.
        """
        kept = self._keys.get(key)
        if kept is None:
            if len(self._keys) >= _MOST_KEYS:
                self._keys = {each: entry for each, entry in self._keys.items() if now < entry[0] + self._seconds}
            if len(self._keys) < _MOST_KEYS:
                self._keys[key] = [now, 0]
            return 1
        if now < kept[0] + self._seconds:
            kept[1] += 1
            return 0
        count, kept[0], kept[1] = int(kept[1]) + 1, now, 0
        return count


_MOST_KEYS: Final = 1024
"""Keys that are remembered at once: memory must not grow with what clients or registries make up."""


def repeated(count: int) -> str:
    """Return what a line says of those that it stands for; empty for one."""
    return "" if count <= 1 else f" ({count} times since the last such line)"
