"""What a path names below the root: decided by the path as it is sent on, never by the match path.

The match path has no path parameters, so that ``/a;b`` and ``/a`` are one to rules. A file may well be called ``a;b``:
segments are taken whole, decoded once, and what could be read as more than one name is no name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

LONGEST_NAME: Final = 255
"""Bytes of a name on the usual file systems."""
_MOST_SEGMENTS: Final = 64
_NOT_IN_NAMES: Final = re.compile(rb"[\x00-\x1f\x7f/\\]")


def names_of(path: str, dot_names: Sequence[str]) -> tuple[str, ...] | None:
    """Return the names that a path consists of, as the file system has them; None if no file may be called so.

    :param path: percent-encoded, beginning with ``/``. Empty segments count for nothing.
    :param dot_names: names with a dot in front that are served; ``*`` stands for all of them.
    """
    segments = [segment for segment in path.split("/") if segment]
    if len(segments) > _MOST_SEGMENTS:
        return None
    names = []
    for segment in segments:
        data = unquote_to_bytes(segment)
        if data in {b".", b".."} or len(data) > LONGEST_NAME or _NOT_IN_NAMES.search(data) is not None:
            return None
        name = data.decode("utf-8", "surrogateescape")
        if is_refused(name, dot_names):
            return None
        names.append(name)
    return tuple(names)


def is_refused(name: str, dot_names: Sequence[str]) -> bool:
    """Return whether a name begins with a dot and is not one of those that are served."""
    return name.startswith(".") and "*" not in dot_names and name not in dot_names


def encode_name(name: str) -> str:
    """Return a name as a segment of a path that `names_of` reads as this name."""
    return quote_from_bytes(name.encode("utf-8", "surrogateescape"), safe="!$&'()*+,=:@-._~")
