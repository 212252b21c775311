"""Which certificates have changed in the storage, so that a reader of hundreds reads one.

The storage has one revision: the last changes, each with a token that is used once. A reader finds the newest token
that it has seen, and reads what follows it. Where that is not there, since there were too many changes, another process
orders now or a command has put another revision in its place, the reader reads everything.
"""

from __future__ import annotations

import json
import secrets
from collections import deque
from typing import Final

_MOST: Final = 64
"""Changes that are kept: more than there are between two looks of a reader, by default."""


class Changes:
    """The changes of one writer: the process that has the lock."""

    def __init__(self) -> None:
        self._changes: deque[tuple[str, str]] = deque(maxlen=_MOST)

    def add(self, key: str) -> bytes:
        """Return the revision after the certificate with an id has changed."""
        self._changes.append((secrets.token_hex(8), key))
        return json.dumps(list(self._changes)).encode()


def everything_changed() -> bytes:
    """Return a revision after which readers read everything."""
    return secrets.token_hex(8).encode()


def changed_since(before: bytes | None, now: bytes | None) -> frozenset[str] | None:
    """Return the ids of the certificates that have changed between two revisions.

    :returns: None if anything may have changed.
    """
    if before == now:
        return frozenset()
    seen, changes = _parse(before), _parse(now)
    if seen and changes:
        newest = seen[-1]
        if newest in changes:
            return frozenset(key for _, key in changes[changes.index(newest) + 1 :])
    return None


def _parse(revision: bytes | None) -> list[tuple[str, str]]:
    """Return changes; none of a revision that names no changes."""
    try:
        found = json.loads(revision or b"")
        return [(str(token), str(key)) for token, key in found]
    except (ValueError, TypeError):
        return []
