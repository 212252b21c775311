"""A file that several processes append to, that may be moved away, and that is put aside when it is large or old."""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import os
import shutil
import threading
from pathlib import Path

from gateway_plugin_sdk import Clock

from gateway_plugin_logger.config.sinks import Rotation
from gateway_plugin_logger.sinks import rotation as rules
from gateway_plugin_logger.sinks.streams import write_all


class FileTarget:
    """A log file. Every batch goes out in one ``write`` with ``O_APPEND``, so lines of several workers do not mix."""

    def __init__(self, path: Path, mode: int, rotation: Rotation | None, clock: Clock) -> None:
        """Open the file.

        :raises OSError: it cannot be opened.
        """
        self._path = path
        self._mode = mode
        self._clock = clock
        self.rotation = rotation
        self._descriptor: int | None = None
        self._last_written = 0.0
        self._is_line_broken = False
        self._compression: threading.Thread | None = None
        self._open()

    def write(self, data: bytes) -> None:
        """Append lines, to a new file if it is time for one or if ours was moved away."""
        status = self._status()
        if status is None:
            status = self._open()
        now = self._clock.wall()
        if self.rotation is not None and rules.is_due(
            self.rotation, size=status.st_size, last_written=self._last_written, now=now
        ):
            self._put_aside(self.rotation, now)
        assert self._descriptor is not None
        if self._is_line_broken:
            data = b"\n" + data
        self._is_line_broken = True
        write_all(self._descriptor, data)
        self._is_line_broken = False
        self._last_written = now

    def reopen(self) -> None:
        """Close the file and open what is at its path now; if that fails, the next line tries again."""
        with contextlib.suppress(OSError):
            self._open()

    def close(self) -> None:
        """Close the file and wait for a compression that is under way."""
        self._let_go()
        if self._compression is not None:
            self._compression.join()

    def _let_go(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> os.stat_result:
        self._let_go()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        descriptor = self._descriptor = os.open(self._path, flags, self._mode)
        status = os.fstat(descriptor)
        self._last_written = status.st_mtime
        return status

    def _status(self) -> os.stat_result | None:
        """Return the state of our file; None if it is not (or no longer) the one at the path."""
        if self._descriptor is None:
            return None
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return None
        ours = os.fstat(self._descriptor)
        return ours if (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino) else None

    def _put_aside(self, rotation: Rotation, now: float) -> None:
        descriptor = self._descriptor
        assert descriptor is not None
        # Every process that has this file open takes its lock; the first renames it, the others find it gone.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if self._status() is not None:
            folder = self._path.parent
            aside = folder / rules.aside_name(self._path.name, now, _names(folder))
            self._path.rename(aside)
        self._open()
        self._tidy(rotation, now)

    def _tidy(self, rotation: Rotation, now: float) -> None:
        folder = self._path.parent
        olds = rules.old_files(self._path.name, _names(folder))
        removed = rules.to_remove(rotation, olds, self._path.name, now)
        for name in removed:
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                (folder / name).unlink()
        names = [name for name in rules.to_compress(rotation, olds) if name not in removed]
        if names and (self._compression is None or not self._compression.is_alive()):
            paths = [folder / name for name in names]
            self._compression = threading.Thread(target=_compress, args=(paths,), name="access-log gzip", daemon=True)
            self._compression.start()


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _compress(paths: list[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):  # another process is at it, or the disk is full
            _compress_one(path)


def _compress_one(path: Path) -> None:
    partial = path.with_name(path.name + ".gz.partial")
    with path.open("rb") as source:
        fcntl.flock(source, fcntl.LOCK_EX | fcntl.LOCK_NB)
        status = os.fstat(source.fileno())
        with gzip.open(partial, "wb", compresslevel=6) as packed:
            shutil.copyfileobj(source, packed, 1 << 20)
        partial.chmod(status.st_mode & 0o777)
        os.utime(partial, (status.st_atime, status.st_mtime))
        partial.rename(path.with_name(path.name + ".gz"))
        path.unlink()
