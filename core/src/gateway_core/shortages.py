"""What fails for want of something on this machine: descriptors, ports, memory, space on a disk.

Such a failure is not the fault of what was connected to or written. It is noted here where it happens, for status pages
and metrics of this process; lines of the log are written by those who note it.
"""

from __future__ import annotations

import os
import threading
from typing import Final, Literal

What = Literal["accept", "connect", "log", "memory", "state"]
"""Accepting connections, connecting to endpoints, writing the gateway's log, having memory (a limit of the process, as
of ``ulimit -v``), writing to the state directory."""

SHOWN_SECONDS: Final = 60.0
"""Seconds for which a failure is shown, unless it lasts."""

_lock: Final = threading.Lock()
_noted: Final[dict[str, tuple[str, float | None]]] = {}
"""By what is shown: why, and when it failed last; None if it lasts until it is over."""
_counts: Final[dict[What, int]] = {}


def note_shortage(what: What, shown: str, reason: str, now: float | None) -> None:
    """Count a failure, and show it; may be called in any thread.

    :param shown: what does not work, for people.
    :param now: monotonic seconds, from which on it is shown for a minute; None shows it until `end_shortage`.
    """
    with _lock:
        _noted[shown] = reason, now
        _counts[what] = _counts.get(what, 0) + 1


def end_shortage(shown: str) -> None:
    """Show no longer what works again."""
    with _lock:
        _noted.pop(shown, None)


def recent_shortages(now: float) -> list[str]:
    """Return what fails, or has failed within the last minute, for status pages.

    :param now: monotonic seconds.
    """
    with _lock:
        found = list(_noted.items())
    return [f"{shown}: {why}" for shown, (why, at) in found if at is None or 0 <= now - at < SHOWN_SECONDS]


def shortages() -> dict[What, int]:
    """Return how often each has failed since the process began."""
    with _lock:
        return {"accept": 0, "connect": 0, "log": 0, "memory": 0, "state": 0, **_counts}


def _forget() -> None:
    _noted.clear()
    _counts.clear()


# What happened before a fork is reported by the parent.
os.register_at_fork(after_in_child=_forget)
