"""When to renew, and when to try again. Pure: times are seconds since the epoch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

LONGEST_RETRY: Final = 12 * 3600.0
LONGEST_WAIT: Final = 7 * 86400.0
"""Seconds that an authority may have us wait at most: the longest period of Let's Encrypt's limits."""
_LEAST_BETWEEN: Final = 3600.0
"""Seconds between two certificates for the same names at least, whatever the clock and the authority say."""

ARI_DEFAULT: Final = 6 * 3600.0
_ARI_LEAST, _ARI_MOST = 60.0, 24 * 3600.0
"""Bounds of what an authority may say about when to ask it again (RFC 9773 section 4.3.2)."""

_LONGEST_LOOK: Final = 60.0
"""Seconds between two looks at an order at most, of the 300 that it has."""


@dataclass(frozen=True, slots=True)
class Window:
    """When the authority suggests to renew (RFC 9773 section 4.2)."""

    start: float
    end: float


def spread(text: str) -> float:
    """Return a number from 0 to 1 that is the same for the same text, over restarts and in each gateway."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64


def renewal_time(not_before: float, not_after: float, window: Window | None, chance: float) -> float:
    """Return when to renew a certificate.

    At a random time of the window that the authority suggests; without one at two thirds of the lifetime, up to a
    twentieth of it earlier or later, so that certificates that began together are not renewed together.

    :param chance: from 0 to 1.
    """
    if window is not None and window.start <= window.end:
        return min(window.start + (window.end - window.start) * chance, not_after)
    lifetime = max(not_after - not_before, 0.0)
    return not_before + lifetime * (2 / 3 + (chance - 0.5) / 10)


def not_before_next(issued: float, not_before: float, not_after: float) -> float:
    """Return until when no further certificate is ordered after one was issued, even if the authority suggests one.

    It keeps a wrong clock, or an authority whose window is always in the past, from ordering again and again.
    """
    return issued + min(_LEAST_BETWEEN, max(not_after - not_before, 0.0) / 4)


def retry_delay(failures: int, first: float, chance: float) -> float:
    """Return how long to wait after so many failures in a row: four times as long each time, with jitter.

    Four attempts in the first hour with the default of one minute, below the five failed validations that Let's
    Encrypt allows for a name.
    """
    delay = min(first * 4.0 ** min(failures - 1, 20), max(LONGEST_RETRY, first))
    return delay * (0.9 + chance / 5)


def next_look(backoff: float, retry_after: float | None) -> float:
    """Return how long to wait before an order or authorization is looked at again (RFC 8555 sections 7.4 and 7.5.1).

    :param backoff: what it would be if the authority gave nothing.
    """
    return min(max(backoff, retry_after or 0.0), _LONGEST_LOOK)


def next_suggestion(now: float, retry_after: float | None) -> float:
    """Return when to ask the authority again for its window."""
    return now + min(max(retry_after if retry_after is not None else ARI_DEFAULT, _ARI_LEAST), _ARI_MOST)
