"""A directory: a file of mode 0600 for each value, and a lock of the system on another one."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from gateway_plugin_sdk.unstable import failure_text

from gateway_plugin_acme.storage import StorageError

T = TypeVar("T")

_UNFINISHED: Final = ".unfinished"
_UNFINISHED_FOR: Final = 3600.0
"""Seconds after which no process still writes a file that is unfinished."""


class DirectoryStorage:
    """Values of all processes of a machine."""

    def __init__(self, path: str, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._path = Path(path)
        self._lock: int | None = None
        self._is_stopped = False
        self._guard = (
            threading.Lock()
        )  # of the two above: a thread may take the lock while the one who wants it is gone

    async def start(self) -> None:
        """Create the directory if it is not there."""
        await self._run(self._prepare)

    async def stop(self) -> None:
        """Give the lock to others."""
        self._is_stopped = True
        await self.unlock()

    async def get(self, name: str) -> bytes | None:
        """Return a value; None if there is none, or its time is over."""
        return await self._run(lambda: self._read(name))

    async def put(self, name: str, value: bytes, ttl: float | None = None) -> None:
        """Set a value: a file is written beside the old one and takes its place."""
        await self._run(lambda: self._write(name, value, ttl))

    async def delete(self, name: str) -> None:
        """Remove a value."""
        await self._run(lambda: (self._path / name).unlink(missing_ok=True))

    async def names(self, folder: str) -> Sequence[str]:
        """Return the names of a folder."""
        return await self._run(lambda: self._list(folder))

    async def lock(self) -> bool:
        """Take the lock; the system gives it to others when this process ends."""
        return self._lock is not None or await self._run(self._try_lock)

    async def unlock(self) -> None:
        """Give the lock to others."""
        with self._guard:
            descriptor, self._lock = self._lock, None
        if descriptor is not None:
            os.close(descriptor)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            raise StorageError(f"storage {str(self._path)!r}: {failure_text(error)}") from error

    def _prepare(self) -> None:
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._remove_left()

    def _remove_left(self) -> None:
        """Remove what processes that were killed have left: unfinished files, and values whose time is over."""
        before = self._wall() - _UNFINISHED_FOR
        for path in self._path.glob("*/*"):
            with contextlib.suppress(OSError):  # another process may remove it as well
                written = path.stat().st_mtime
                if path.name.startswith("."):
                    is_left = path.name.endswith(_UNFINISHED) and written < before
                else:
                    is_left = self._wall() > written and _has_time(path)
                if is_left:
                    path.unlink()

    def _read(self, name: str) -> bytes | None:
        try:
            with (self._path / name).open("rb") as file:
                ends = os.fstat(file.fileno()).st_mtime  # of values with a time, the file's own time is when that ends
                value = file.read()
        except FileNotFoundError:
            return None
        head, _, body = value.partition(b"\n")
        return None if head == b"until" and self._wall() > ends else body

    def _write(self, name: str, value: bytes, ttl: float | None) -> None:
        path = self._path / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A file of its own for each write, of mode 0600: threads and processes write one value at the same time.
        descriptor, name_of_unfinished = tempfile.mkstemp(_UNFINISHED, f".{path.name}.", path.parent)
        unfinished = Path(name_of_unfinished)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write((b"until" if ttl is not None else b"value") + b"\n" + value)
                file.flush()
                os.fsync(file.fileno())
            if ttl is not None:
                os.utime(unfinished, (self._wall() + ttl,) * 2)
            unfinished.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                unfinished.unlink()
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _list(self, folder: str) -> list[str]:
        try:
            return sorted(each.name for each in (self._path / folder).iterdir() if not each.name.startswith("."))
        except FileNotFoundError:
            return []

    def _try_lock(self) -> bool:
        descriptor = os.open(self._path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with self._guard:
                if not self._is_stopped:
                    self._lock, descriptor = descriptor, -1
                    return True
        except BlockingIOError:
            pass
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        return False


def _has_time(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(6) == b"until\n"
