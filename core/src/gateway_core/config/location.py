"""Where something is written: file, line and column, and the key paths that lead there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

KeyPath = tuple[str | int, ...]
"""Keys and list indexes from the top of the document, such as ``("routes", 3, "target")``."""

_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_$-]+")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a source document; lines and columns count from 1, 0 means unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


PlaceOf = Callable[[str], Place]
"""Looks up the place of a key path in text form, such as ``routes[3].target``."""


def format_path(path: Iterable[str | int]) -> str:
    """Write a key path as people read it: ``routes[3].plugins[0].config["odd key"]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]'
    return text


_STEP: Final = re.compile(r'\.?([A-Za-z0-9_$-]+)|\[(\d+)\]|\["(.*?)"\](?=$|[.\[])')


def parse_path(text: str) -> KeyPath:
    """Read what :func:`format_path` wrote; stops at the first part that is not a key path."""
    parts: list[str | int] = []
    position = 0
    while match := _STEP.match(text, position):
        key, index, quoted = match.groups()
        parts.append(int(index) if index is not None else key if key is not None else quoted)
        position = match.end()
    return tuple(parts)
