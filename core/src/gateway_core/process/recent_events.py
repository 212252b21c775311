"""The warnings and errors that a process has logged lately, for status pages, and all events in numbers, for metrics.

The log is not at hand later, or on another machine. So each process keeps the last warnings
and errors for some minutes, equal ones together, and `/metrics` counts lines by their event.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from gateway_core.clock import SystemClock
from gateway_core.events import EVENTS
from gateway_core.metrics.catalogue import LOG_EVENTS
from gateway_core.metrics.samples import Samples
from gateway_core.shortages import note_shortage

KEPT_SECONDS: Final = 600.0
"""Seconds for which an event is shown after it was logged last."""

MOST_KEPT: Final = 32
"""Events that are shown of one process; of more the latest."""

_NEWLINE: Final = "\\n"
"""As messages have it whose control characters are escaped."""

_LONGEST: Final = 500
"""Characters of a message."""

_VARYING: Final = frozenset(
    {"client", "count", "descriptor_limit", "pid", "problems", "reason", "request_id", "seconds", "trace_id"}
)
"""Fields in which lines differ that are about the same thing."""

_FROM_THE_START: Final = tuple(
    (each.name, logging.getLevelName(each.level).lower()) for each in EVENTS.values() if each.level >= logging.WARNING
)
"""Events that are counted before there was one, by name and level."""

_LEVELS: Final = ("debug", "info", "warning", "error", "critical")


@dataclass(slots=True)
class _Kept:
    level: str
    message: str
    at: float
    lines: int


class RecentEvents:
    """The events of one process; may be used by any thread."""

    def __init__(self) -> None:
        """Begin without events."""
        self._lock = threading.Lock()
        self._kept: dict[Hashable, _Kept] = {}  # the one that was logged last is the last one
        self._counts: dict[tuple[str, str], int] = {}

    def note(self, name: str, fields: Mapping[str, Any], record: logging.LogRecord, message: str) -> None:
        """Take a record that is written.

        :param name: of its event.
        :param message: for people.
        """
        level = record.levelname.lower()
        counted = name, level if level in _LEVELS else "info"  # a library's own levels are as many as it likes
        same = tuple(sorted((key, str(value)) for key, value in fields.items() if key not in _VARYING))
        error = record.exc_info[0] if record.exc_info else None
        if error is not None:
            message = message.partition(_NEWLINE)[0]
            if error.__name__ not in message:
                message = f"{message}: {error.__name__}"
            if issubclass(error, MemoryError):
                note_shortage("memory", "a process has no more memory", message[:_LONGEST], SystemClock().monotonic())
        # What has no event of its own is identified by its text without the arguments.
        text = str(record.msg).partition("\n")[0]
        about = name if name in EVENTS and fields and "plugin" not in fields else f"{record.name} {text} {error}"
        with self._lock:
            self._counts[counted] = self._counts.get(counted, 0) + 1
            if record.levelno < logging.WARNING:
                return
            before = self._kept.pop((name, about, same), None)
            lines = 1 if before is None or record.created - before.at >= KEPT_SECONDS else before.lines + 1
            self._kept[name, about, same] = _Kept(counted[1], message[:_LONGEST], record.created, lines)
            if len(self._kept) > MOST_KEPT:
                del self._kept[next(iter(self._kept))]

    def recent(self, now: float) -> list[dict[str, Any]]:
        """Return the warnings and errors of the last minutes, the latest first, ready for JSON.

        :param now: seconds since the Unix epoch.
        """
        with self._lock:
            kept = [(key[0], each) for key, each in reversed(self._kept.items())]  # type: ignore[index]  # our own keys
        return [
            {
                "event": name,
                "level": each.level,
                "message": each.message,
                "at": datetime.fromtimestamp(each.at, UTC).isoformat(timespec="milliseconds"),
                "lines": each.lines,
            }
            for name, each in kept
            if now - each.at < KEPT_SECONDS
        ]

    def put(self, samples: Samples) -> None:
        """Add how many lines there were of each event; those of warnings and errors begin at 0."""
        with self._lock:
            counts = {**dict.fromkeys(_FROM_THE_START, 0), **self._counts}
        samples.put(LOG_EVENTS, counts.items())

    def clear(self) -> None:
        """Forget everything: what a forked process begins with is its parent's."""
        with self._lock:
            self._kept.clear()
            self._counts.clear()
