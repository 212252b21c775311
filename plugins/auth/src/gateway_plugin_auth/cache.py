"""Remember what was verified, without keeping what was presented."""

from __future__ import annotations

import hashlib
import secrets
from typing import Generic, TypeVar

EntryT = TypeVar("EntryT")


class VerifiedCache(Generic[EntryT]):
    """A map from credentials to what verifying them gave, bounded in entries and bytes; what was put first goes first.

    Credentials are kept as a SHA-256 over a random key and them: what is long past is not there to be used, and equal
    credentials look different in two processes. Readers compare the times that entries carry.
    """

    __slots__ = ("_bytes", "_entries", "_seed", "_weights", "largest", "size")

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
        self._entries: dict[bytes, EntryT] = {}
        self._weights: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def digest(self, credentials: str | bytes) -> bytes:
        """Return what stands for the credentials here."""
        state = self._seed.copy()
        state.update(credentials.encode("utf-8", "surrogatepass") if isinstance(credentials, str) else credentials)
        return state.digest()

    def find(self, credentials: str) -> tuple[bytes, EntryT | None]:
        """Return what stands for the credentials, and what they gave; None if that is not known."""
        state = self._seed.copy()
        state.update(credentials.encode("utf-8", "surrogatepass"))
        digest = state.digest()
        return digest, self._entries.get(digest)

    def get(self, digest: bytes) -> EntryT | None:
        return self._entries.get(digest)

    def put(self, digest: bytes, entry: EntryT, weight: int = 0) -> None:
        """Remember an entry, and forget the oldest ones that there is no room for beside it.

        :param weight: its bytes; one that is larger than the whole cache is not kept.
        """
        self.drop(digest)
        if self.size <= 0 or weight > self.largest:
            return
        entries = self._entries
        while len(entries) >= self.size or self._bytes + weight > self.largest:
            self.drop(next(iter(entries)))
        entries[digest] = entry
        self._weights[digest] = weight
        self._bytes += weight

    def drop(self, digest: bytes) -> None:
        if self._entries.pop(digest, None) is not None:
            self._bytes -= self._weights.pop(digest)

    def clear(self) -> None:
        self._entries.clear()
        self._weights.clear()
        self._bytes = 0
