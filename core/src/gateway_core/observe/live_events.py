"""What the live events are made of: an event as data and as text, and the rings that keep the latest ones."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from gateway_core.events import Event

_LONGEST_TEXT: Final = 2000
"""Characters of a value in an event."""

_SUBJECTS: Final = frozenset(
    {
        "breaker",
        "certificates",
        "config",
        "discovery",
        "documents",
        "endpoint",
        "name",
        "plugins",
        "server",
        "source",
        "watcher",
        "worker",
    }
)
_NAMES: Final = frozenset({"admin.override", "plugin.quarantined", "plugin.recovered"})


def is_change(name: str) -> bool:
    """Whether an event of the log (docs/events.md) is one of the stream: the gateway is in another state after it."""
    return name in _NAMES or name.partition(".")[0] in _SUBJECTS


def change_of(event: Event, message: str, fields: Mapping[str, object], now: float) -> dict[str, Any]:
    """Return an event of the log as the stream has it.

    :param now: seconds since the epoch.
    """
    given = {name: value if isinstance(value, int | float) else _cut(value) for name, value in fields.items()}
    level = {30: "warning", 40: "error"}.get(event.level, "info")
    return {"event": event.name, "level": level, "message": _cut(message), "at": time_text(now), "fields": given}


def _cut(value: object) -> Any:
    if isinstance(value, list | tuple | set | frozenset):
        return [str(each)[:_LONGEST_TEXT] for each in list(value)[:100]]
    return str(value)[:_LONGEST_TEXT]


def time_text(at: float) -> str:
    """Return a time as events have it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def frame(name: str, data: Mapping[str, Any], identifier: str = "") -> bytes:
    """Return an event as the stream has it (HTML, "Server-sent events"); JSON in ASCII has no end of a line."""
    head = f"id: {identifier}\n" if identifier else ""
    return f"{head}event: {name}\ndata: {json.dumps(data, default=str, separators=(',', ':'))}\n\n".encode()


class Entry(NamedTuple):
    """One event that is kept."""

    order: int
    """Among all events of this program."""
    number: int
    """Among those of its kind."""
    name: str
    data: Mapping[str, Any]
    text: bytes


class Ring:
    """The latest events of a kind."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self.entries: deque[Entry] = deque()
        self.last_number = 0
        self.dropped_order = 0
        """Of the last event that is not kept any more."""
        self._most, self._most_bytes = most, most_bytes
        self._bytes = 0

    def add(self, order: int, name: str, data: Mapping[str, Any], text: bytes) -> None:
        """Keep an event, and drop as many old ones as there is no room for."""
        self.last_number += 1
        self.entries.append(Entry(order, self.last_number, name, data, text))
        self._bytes += len(text)
        while len(self.entries) > self._most or (self._bytes > self._most_bytes and len(self.entries) > 1):
            dropped = self.entries.popleft()
            self._bytes -= len(dropped.text)
            self.dropped_order = dropped.order

    def after(self, number: int) -> list[Entry]:
        """Return the events behind one, oldest first."""
        count = min(self.last_number - number, len(self.entries))
        found: list[Entry] = []
        newest = reversed(self.entries)
        for _ in range(count):
            found.append(next(newest))
        found.reverse()
        return found

    def number_at(self, order: int) -> int:
        """Return the number of the last event that is not later than an order."""
        later = 0
        for entry in reversed(self.entries):
            if entry.order <= order:
                break
            later += 1
        return self.last_number - later
