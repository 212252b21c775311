"""Tables, and durations as people read them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield the lines of a table whose first row is its head."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def shortened(text: str, width: int) -> str:
    """Return a text that is no longer than a width; what is left out shows as an ellipsis."""
    return text if len(text) <= width else f"{text[: width - 1].rstrip()}…"


def printable(text: str) -> str:
    """Return a line that changes no terminal, and stays one: names, reasons and errors come from others."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def ago(at: str, now: float) -> str:
    """Return how long ago a time was.

    :param at: in the format of ISO 8601.
    :param now: seconds since the epoch.
    """
    return duration(now - datetime.fromisoformat(at).astimezone(UTC).timestamp())


def duration(seconds: float) -> str:
    """Return the two largest units: ``3 h 12 min``."""
    left, parts = max(0, int(seconds)), []
    for size, unit in _UNITS:
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number} {unit}")
    return " ".join(parts[:2]) or "0 s"
