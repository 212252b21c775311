"""What an event is, how one is defined, and how it is written: once, or in case it repeats itself, how often."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

ERROR, INFO, WARNING = logging.ERROR, logging.INFO, logging.WARNING


class Event(NamedTuple):
    """A kind of line in the gateway's log."""

    name: str
    """Stable; the value of ``event`` in JSON lines."""
    level: int
    """Of `logging`."""
    text: str
    """When it happens; for documentation."""
    fields: tuple[str, ...]
    """Names of the values that come with it; one that does not apply to a line is left out of it."""

    @property
    def logger(self) -> str:
        """Name of the logger that it is written with: ``gateway.upstream``."""
        return f"gateway.{self.name.partition('.')[0]}"


RESERVED_FIELDS: Final = frozenset({"time", "level", "logger", "event", "message", "details", "process", "exception"})
"""Keys of every JSON line, which no event has as fields of its own."""

listeners: Final[list[Callable[[Event, str, Mapping[str, object]], None]]] = []
"""Called with every event of this process, its message and its fields, whatever level the log has; in any thread."""

_table: dict[str, Event] = {}

EVENTS: Final[Mapping[str, Event]] = MappingProxyType(_table)
"""All of them, by name."""


def define(name: str, level: int, text: str, *fields: str) -> Event:
    """Return an event of the catalogue; the parameters are the attributes of `Event`."""
    event = _table[name] = Event(name, level, text, fields)
    return event


def emit(
    event: Event,
    message: str,
    *,
    details: str = "",
    error: BaseException | None = None,
    logger: logging.Logger | None = None,
    **fields: object,
) -> None:
    """Write an event.

    :param message: one line for people, without the name of the event.
    :param details: further lines, such as an excerpt of a configuration.
    :param error: its traceback follows.
    :param logger: writes it in place of the event's own, such as a plugin's.
    :param fields: those of the event; None is left out.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    extra = {"event": event.name, "fields": given, "headline": message, "details": details}
    logger = logger or logging.getLogger(event.logger)
    # Other handlers than the gateway's own, such as those of an embedding program, have all of it in one text.
    text = f"{message}\n{details}" if details else message
    logger.log(event.level, "%s", text, exc_info=error, extra=extra, stacklevel=2)
    for listener in listeners:
        listener(event, message, given)


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
