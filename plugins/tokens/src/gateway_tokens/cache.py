"""Remember what was verified."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import Generic, TypeVar

EntryT = TypeVar("EntryT")


class VerifiedCache(Generic[EntryT]):
    """A map from credentials to what verifying them gave, bounded in entries and bytes; what was put first goes first.

    What is valid for long, such as a password, and what anybody may have made up is put under its `digest`, a SHA-256
    over a random key and the credentials. Readers compare the times that entries carry.
    """

    __slots__ = ("_bytes", "_entries", "_seed", "_weights", "get", "largest", "size")

    def __init__(self, size: int, bytes_per_entry: int = 2048) -> None:
        """Make an empty cache.

        :param size: entries at most.
        :param bytes_per_entry: average size of an entry as passed to `put`; fewer large ones fit.
        """
        self.size = size
        self.largest = size * bytes_per_entry
        """Bytes of all entries at most, as passed to `put`."""
        self._bytes = 0
        self._seed = hashlib.sha256(secrets.token_bytes(32))
        self._entries: dict[bytes | None, EntryT] = {}
        self._weights: dict[bytes | None, int] = {}
        self.get: Callable[[bytes | None], EntryT | None] = self._entries.get
        """Returns what was put under a key; None if there is nothing, and of None."""

    def __len__(self) -> int:
        return len(self._entries)

    def digest(self, credentials: str | bytes) -> bytes:
        """Return what stands for the credentials here."""
        state = self._seed.copy()
        state.update(credentials.encode("utf-8", "surrogatepass") if isinstance(credentials, str) else credentials)
        return state.digest()

    def put(self, key: bytes, entry: EntryT, weight: int = 0) -> None:
        """Remember an entry, and forget the oldest ones that there is no room for beside it.

        :param weight: its bytes; one that is larger than the whole cache is not kept.
        """
        self.drop(key)
        if self.size <= 0 or weight > self.largest:
            return
        entries = self._entries
        while len(entries) >= self.size or self._bytes + weight > self.largest:
            self.drop(next(iter(entries)))
        entries[key] = entry
        self._weights[key] = weight
        self._bytes += weight

    def drop(self, key: bytes | None) -> None:
        if self._entries.pop(key, None) is not None:
            self._bytes -= self._weights.pop(key)

    def clear(self) -> None:
        self._entries.clear()
        self._weights.clear()
        self._bytes = 0
