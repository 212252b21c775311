"""Requests in progress, counted over the workers of a machine.

Each worker adds to a column of its own, which its successor clears: a worker that dies leaves nothing behind for
longer than it takes to replace it.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Final

from gateway_plugin_sdk import GatewayError

from gateway_plugin_ratelimit.stores.locks import STRIPES, Stripes, claim
from gateway_plugin_ratelimit.stores.mapping import DIGEST_SIZE, HEADER_SIZE, SharedFile, written_ranges

MOST_WORKERS: Final = 256
"""Those that are replaced and their successors count both, and each value of ``max_keys`` has a table of its own."""

_KEYS: Final = 16384
_WAYS: Final = 8
_COUNTS: Final = struct.Struct(f"<{MOST_WORKERS}H")
_COUNT: Final = struct.Struct("<H")
_SLOT_SIZE: Final = DIGEST_SIZE + _COUNTS.size
_SET_SIZE: Final = _WAYS * _SLOT_SIZE
_FULL: Final = 0xFFFF
_EMPTY_SLOT: Final = bytes(_SLOT_SIZE)
_NO_COUNTS: Final = bytes(_COUNTS.size)


class TooManyWorkersError(GatewayError):
    """More workers than can count together."""


class SharedInflight:
    """Room for 16384 keys with requests in progress; what finds no room is let through uncounted."""

    __slots__ = ("_claimed", "_column", "_file", "_locks", "_path")

    def __init__(self, folder: Path) -> None:
        """Open or make the table in a folder that the workers share, and claim a column.

        :raises OSError: if that is not possible.
        :raises TooManyWorkersError: all columns are taken: to count by itself would be to let more through than the
            configuration says.
        """
        claimed = claim(folder, "ratelimit-worker", MOST_WORKERS)
        if claimed is None:
            raise TooManyWorkersError(
                f"more than {MOST_WORKERS} workers cannot count together: lower workers, or use one max_keys everywhere"
            )
        number, self._claimed = claimed
        self._column = DIGEST_SIZE + number * _COUNT.size
        self._path = folder / f"ratelimit-{MOST_WORKERS}.inflight"
        self._file = SharedFile(self._path, sets=_KEYS // _WAYS, set_size=_SET_SIZE, phase=0.0)
        self._locks = Stripes(folder, "ratelimit-inflight")
        self._clear_column()

    def _clear_column(self) -> None:
        """Forget what a predecessor that died had in progress."""
        table = self._file.map
        # Only where there ever was something: a look at the rest would make memory of it.
        for start, end in written_ranges(self._path):
            first = max(0, start - HEADER_SIZE) // _SLOT_SIZE
            last = min(len(table), end) - HEADER_SIZE
            for offset in range(HEADER_SIZE + first * _SLOT_SIZE, HEADER_SIZE + last, _SLOT_SIZE):
                column = offset + self._column
                if column + 1 < len(table) and (table[column] or table[column + 1]):
                    _COUNT.pack_into(table, column, 0)

    def acquire(self, key: str, most: int) -> int:
        """Count one more request unless there are ``most``; return how many there are now, or 0 if it was refused."""
        digest, start, number = self._file.place_of(key)
        stripe = number % STRIPES
        locked = self._locks.lock(stripe)
        try:
            table = self._file.map
            offset = self._find(digest, start)
            if offset < 0:
                offset = self._free_slot(start)
                if offset < 0:
                    return 1
                table[offset : offset + _SLOT_SIZE] = digest + _EMPTY_SLOT[DIGEST_SIZE:]
            count: int = sum(_COUNTS.unpack_from(table, offset + DIGEST_SIZE)) + 1
            own: int = _COUNT.unpack_from(table, offset + self._column)[0]
            if count > most or own == _FULL:
                return 0
            _COUNT.pack_into(table, offset + self._column, own + 1)
            return count
        finally:
            if locked:
                self._locks.unlock(stripe)

    def release(self, key: str) -> None:
        """Count one request less."""
        digest, start, number = self._file.place_of(key)
        stripe = number % STRIPES
        locked = self._locks.lock(stripe)
        try:
            offset = self._find(digest, start)
            if offset < 0:
                return
            own: int = _COUNT.unpack_from(self._file.map, offset + self._column)[0]
            if own:
                _COUNT.pack_into(self._file.map, offset + self._column, own - 1)
        finally:
            if locked:
                self._locks.unlock(stripe)

    def _find(self, digest: bytes, start: int) -> int:
        offset = self._file.map.find(digest, start, start + _SET_SIZE)
        return -1 if offset < 0 or (offset - start) % _SLOT_SIZE else offset

    def _free_slot(self, start: int) -> int:
        """Return the offset of a slot without requests in progress, or -1."""
        for offset in range(start, start + _SET_SIZE, _SLOT_SIZE):
            if self._file.map[offset + DIGEST_SIZE : offset + _SLOT_SIZE] == _NO_COUNTS:
                return offset
        return -1

    def close(self) -> None:
        """Let go of the files, after taking back what this worker still has in progress."""
        self._clear_column()
        self._file.close()
        self._locks.close()
        os.close(self._claimed)
