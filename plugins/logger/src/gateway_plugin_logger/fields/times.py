"""Times as lines write them, in UTC."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class _Wholes(dict[int, str]):
    """Whole numbers as texts; those of long requests are not remembered."""

    def __missing__(self, whole: int) -> str:
        return str(whole)


WHOLES: Final = _Wholes((whole, str(whole)) for whole in range(1000))
FRACTIONS: Final = tuple(f".{fraction:03d}" for fraction in range(1000))
"""How thousandths are written behind a whole number."""

_MOST_TIMES: Final = 256
_MILLISECONDS: Final = tuple(f"{millisecond:03d}Z" for millisecond in range(1000))


class Rfc3339(dict[int, str]):
    """How milliseconds since the epoch are written: ``2026-11-22T23:20:21.123Z`` (RFC 3339).

    Times of late are remembered, and the last second: under load many requests begin in each. A float of today's
    seconds is exact to 0.0003 ms, so that ``int(seconds * 1000 + 0.001)`` finds its millisecond.
    """

    __slots__ = ("_prefix", "_second")

    def __init__(self) -> None:
        super().__init__()
        self._second, self._prefix = -1, ""

    def __missing__(self, millisecond: int) -> str:
        second = millisecond // 1000
        if second != self._second:
            self._second, self._prefix = second, time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
        if len(self) >= _MOST_TIMES:
            self.clear()
        text = self[millisecond] = self._prefix + _MILLISECONDS[millisecond % 1000]
        return text


def make_clf() -> Callable[[float], str]:
    """Return a function that writes seconds since the epoch as ``22/Nov/2026:23:20:21 +0000`` (Apache's ``%t``)."""
    second, text = -1, ""

    def clf(at: float) -> str:
        nonlocal second, text
        whole = int(at)
        if whole != second:
            then = time.gmtime(whole)
            month = _MONTHS[then.tm_mon - 1]  # strftime's %b follows the locale
            second, text = whole, time.strftime(f"%d/{month}/%Y:%H:%M:%S +0000", then)
        return text

    return clf


rfc3339: Final = Rfc3339()
clf: Final = make_clf()
