"""A file that the workers of a machine map into their memory, made by whoever comes first."""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import secrets
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MAGIC: Final = b"gw-rate1"
_HEADER: Final = struct.Struct("<8s16sdQ")
HEADER_SIZE: Final = 64

DIGEST_SIZE: Final = 16
_MOST_REMEMBERED: Final = 8192


class SharedFile:
    """Sets of equal slots after a header. A key belongs to one set; its digest says which, and marks its slot."""

    __slots__ = ("_places", "_secret", "map", "phase", "set_size", "sets")

    def __init__(self, path: Path, *, sets: int, set_size: int, phase: float) -> None:
        """Open the file, or make it.

        :param phase: kept in the file by whoever makes it, read from it by all others.
        :raises OSError: if that is not possible.
        """
        self.sets = sets
        self.set_size = set_size
        size = HEADER_SIZE + sets * set_size
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_size == 0:
                os.ftruncate(descriptor, size)
                os.pwrite(descriptor, _HEADER.pack(MAGIC, secrets.token_bytes(16), phase, size), 0)
            magic, self._secret, self.phase, found = _HEADER.unpack(os.pread(descriptor, _HEADER.size, 0))
            if magic != MAGIC or found != size:
                raise OSError(f"{path} is not a table of {size} bytes: remove it")
            self.map = mmap.mmap(descriptor, size)
        finally:
            # Said so, as the mapping keeps a duplicate of the file open, and that would keep the lock.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)
        self._places: dict[str, tuple[bytes, int, int]] = {}

    def place_of(self, key: str) -> tuple[bytes, int, int]:
        """Return a key's digest, the offset of its set, and the set's number.

        The digest is keyed by a secret of the file, so that nobody can choose keys that collide.
        """
        place = self._places.get(key)
        if place is None:
            raw = key.encode("utf-8", "surrogatepass")
            digest = hashlib.blake2b(raw, digest_size=DIGEST_SIZE, key=self._secret).digest()
            number = int.from_bytes(digest[:8], "little") % self.sets
            place = (digest, HEADER_SIZE + number * self.set_size, number)
            if len(self._places) >= _MOST_REMEMBERED:
                self._places.clear()
            self._places[key] = place
        return place

    def close(self) -> None:
        """Unmap the file; it stays for the other workers."""
        self.map.close()


def written_ranges(path: Path) -> Iterator[tuple[int, int]]:
    """Yield the parts of a sparse file that were ever written to, as (start, end)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        end = 0
        while True:
            try:
                start = os.lseek(descriptor, end, os.SEEK_DATA)
            except OSError:  # nothing behind this
                return
            end = os.lseek(descriptor, start, os.SEEK_HOLE)
            yield start, end
    finally:
        os.close(descriptor)
