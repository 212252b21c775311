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

_MILLISECONDS: Final = tuple(f"{millisecond:03d}Z" for millisecond in range(1000))


def make_rfc3339() -> Callable[[float], str]:
    """Return a function that writes seconds since the epoch as ``2026-11-22T23:20:21.123Z`` (RFC 3339).

    The last second and the last millisecond are remembered: under load, many requests begin in each.
    """
    second, prefix, millisecond, text = -1, "", -1, ""

    def rfc3339(at: float) -> str:
        nonlocal second, prefix, millisecond, text
        now = int(at * 1000 + 0.001)  # a float of today's seconds is exact to 0.0003 ms
        if now != millisecond:
            whole = now // 1000
            if whole != second:
                second, prefix = whole, time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(whole))
            millisecond, text = now, prefix + _MILLISECONDS[now % 1000]
        return text

    return rfc3339


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


rfc3339: Final = make_rfc3339()
clf: Final = make_clf()
