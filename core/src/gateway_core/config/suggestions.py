"""How values and names are put into problem texts."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from gateway_core.config.redaction import without_credentials

EMPTY: Final = "is empty: give at least one, or leave it out"
"""What is wrong with a list that may not be empty."""

_LONGEST_QUOTE: Final = 60
# difflib compares with every candidate: beyond this many names a suggestion costs more than it helps.
_MOST_CANDIDATES: Final = 2000


def quote(text: str) -> str:
    """Quote a text for a message, on one line and not too long, without the credentials of URLs."""
    text = without_credentials(text)
    short = text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 3] + "..."
    return json.dumps(short, ensure_ascii=False)


def shown(value: object) -> str:
    """Name a value in a message: scalars as they would be written, containers by their kind."""
    match value:
        case None:
            return "nothing"
        case str():
            return quote(value)
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case Mapping():
            return "a mapping"
        case Sequence():
            return "a list"
    return quote(str(value))


def kind_of(value: object) -> str:
    """Name the kind of a value the way users think of it."""
    match value:
        case None:
            return "empty"
        case str():
            return "text"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case Mapping():
            return "a mapping"
        case Sequence():
            return "a list"
    return type(value).__name__


def listed(names: Collection[str], *, last: str = "or", most: int = 12) -> str:
    """Join names as in a sentence: ``a, b or c``."""
    items = list(names)
    if len(items) > most:
        return ", ".join(items[:most]) + f" and {len(items) - most} more"
    if len(items) <= 1:
        return "".join(items)
    return ", ".join(items[:-1]) + f" {last} {items[-1]}"


def counted(count: int, noun: str) -> str:
    """Return ``1 item`` or ``2 items``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def did_you_mean(name: str, candidates: Collection[str]) -> str:
    """Return ``: did you mean "x"?`` if a candidate is close, else an empty text."""
    if len(candidates) > _MOST_CANDIDATES or len(name) > _LONGEST_QUOTE:
        return ""
    folded = {candidate.casefold().replace("-", "_"): candidate for candidate in candidates}
    close = difflib.get_close_matches(name.casefold().replace("-", "_"), folded, n=1, cutoff=0.6)
    return f": did you mean {quote(folded[close[0]])}?" if close else ""
