"""Locks between the workers of a machine: held for microseconds, freed by the kernel if their holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

STRIPES: Final = 16
"""Locks of a table. Requests of different keys rarely meet on one."""

PATIENCE: Final = 0.02
"""Seconds that a worker waits for a lock. Only a worker that was stopped in the middle (a debugger, SIGSTOP) holds one
for so long; going on without it may count one request wrong, waiting would stop everything."""

_PAUSE: Final = 20e-6


class Stripes:
    """Some locks, each an open file: `flock` excludes other processes and other openings in this one."""

    __slots__ = ("_files", "missed")

    def __init__(self, folder: Path, name: str) -> None:
        self._files = [
            os.open(folder / f"{name}-{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            for number in range(STRIPES)
        ]
        self.missed = 0
        """How often a lock was not free in time."""

    def lock(self, stripe: int) -> bool:
        """Take a lock; return False if it was not free in time, and then do not unlock it."""
        try:
            fcntl.flock(self._files[stripe], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return self._lock_patiently(stripe)
        return True

    def _lock_patiently(self, stripe: int) -> bool:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            time.sleep(_PAUSE)  # the holder needs no more than a few microseconds of a processor
            try:
                fcntl.flock(self._files[stripe], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            return True
        self.missed += 1
        return False

    def unlock(self, stripe: int) -> None:
        """Free a lock."""
        fcntl.flock(self._files[stripe], fcntl.LOCK_UN)

    def lock_all(self, stripes: Iterable[int]) -> list[int]:
        """Take several locks, always in the same order so that two workers never wait for each other.

        :returns: those that were taken.
        """
        return [stripe for stripe in sorted(set(stripes)) if self.lock(stripe)]

    def close(self) -> None:
        """Close the files, which frees what is held."""
        for file in self._files:
            os.close(file)
        self._files = []


def claim(folder: Path, name: str, most: int) -> tuple[int, int] | None:
    """Claim the lowest free number below ``most`` until the file is closed or the process ends.

    :returns: the number, and the file to keep open; None if all are taken.
    """
    for number in range(most):
        file = os.open(folder / f"{name}-{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            continue
        return number, file
    return None
