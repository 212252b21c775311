"""Active health: what the results of checks mean, and when to check again."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from gateway_core.config import HealthCheckConfig


class HealthState:
    """What is remembered of an endpoint's checks.

    An endpoint is healthy until a check says otherwise, so that a gateway can serve before the first checks are
    done. The first result decides alone, since nothing is known that it could contradict; later ones must repeat.
    """

    __slots__ = ("checked", "healthy", "streak")

    def __init__(self) -> None:
        self.healthy = True
        self.checked = False
        self.streak = 0
        """Results in a row that contradict ``healthy``."""


def note_result(settings: HealthCheckConfig, state: HealthState, *, passed: bool) -> bool:
    """Count the result of a check.

    :returns: whether ``state.healthy`` has changed.
    """
    is_first, state.checked = not state.checked, True
    if passed == state.healthy:
        state.streak = 0
        return False
    state.streak += 1
    needed = settings.healthy_threshold if passed else settings.unhealthy_threshold
    if state.streak < needed and not is_first:
        return False
    state.healthy = passed
    state.streak = 0
    return True


def first_delay(settings: HealthCheckConfig, rng: Random) -> float:
    """Return the seconds before the first check: soon, but not all endpoints in the same instant."""
    return settings.interval * settings.jitter * rng.random()


def next_delay(settings: HealthCheckConfig, rng: Random) -> float:
    """Return the seconds from the start of one check to the start of the next: the interval, give or take jitter."""
    return settings.interval * (1 + settings.jitter * (2 * rng.random() - 1))


class StatusRanges:
    """A set of HTTP statuses, written as ``200``, ``"204"`` or ``"200-399"``."""

    __slots__ = ("_ranges",)

    def __init__(self, items: Iterable[str | int]) -> None:
        """Parse the ranges.

        :raises ValueError: for an item that is neither a status nor a range of them, quoting it.
        """
        self._ranges = tuple(_parse_range(str(item)) for item in items)

    def __contains__(self, status: int) -> bool:
        return any(low <= status <= high for low, high in self._ranges)

    def __str__(self) -> str:
        return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in self._ranges)


def _parse_range(item: str) -> tuple[int, int]:
    low, dash, high = item.strip().partition("-")
    high = high if dash else low
    if not (low.isascii() and high.isascii() and low.isdigit() and high.isdigit()):
        raise ValueError(f"{item!r} is not a status such as 204 or a range such as 200-399")
    first, last = int(low), int(high)
    if not 100 <= first <= last <= 599:
        raise ValueError(f"{item!r} is not within 100-599 or ends before it begins")
    return first, last
