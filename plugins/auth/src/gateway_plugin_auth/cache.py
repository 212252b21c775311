"""Remember what was verified, without keeping what was presented."""

from __future__ import annotations

import hashlib
import secrets
from typing import Generic, TypeVar

EntryT = TypeVar("EntryT")


class VerifiedCache(Generic[EntryT]):
    """A bounded map from credentials to what verifying them gave; the entry that was added first goes first.

    Credentials are kept as a SHA-256 over a random key and them: what is long past is not there to be used, and equal
    credentials look different in two processes. Readers compare the times that entries carry.
    """

    __slots__ = ("_entries", "_seed", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._seed = hashlib.sha256(secrets.token_bytes(32))
        self._entries: dict[bytes, EntryT] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def digest(self, credentials: str | bytes) -> bytes:
        """Return what stands for the credentials here."""
        state = self._seed.copy()
        state.update(credentials.encode("utf-8", "surrogatepass") if isinstance(credentials, str) else credentials)
        return state.digest()

    def get(self, digest: bytes) -> EntryT | None:
        return self._entries.get(digest)

    def put(self, digest: bytes, entry: EntryT) -> None:
        if self.size <= 0:
            return
        entries = self._entries
        if len(entries) >= self.size and digest not in entries:
            del entries[next(iter(entries))]
        entries[digest] = entry

    def drop(self, digest: bytes) -> None:
        self._entries.pop(digest, None)

    def clear(self) -> None:
        self._entries.clear()
