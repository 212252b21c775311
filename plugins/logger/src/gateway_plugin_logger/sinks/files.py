"""A file that several processes append to, that may be moved away, and that is put aside when it is large or old."""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import logging
import os
import shutil
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway_plugin_sdk import Clock

from gateway_plugin_logger.config.sinks import Rotation
from gateway_plugin_logger.sinks import rotation as rules
from gateway_plugin_logger.sinks.streams import write_all

_log = logging.getLogger("gateway.plugin.logger")

_LOG_EVERY: Final = 60.0
"""Seconds between two lines about the same trouble."""

_RETRY_AFTER: Final = 60.0
"""Seconds after a rotation that failed until the next one is tried; the file is written to meanwhile."""


class FileTarget:
    """A log file. Every batch goes out in one ``write`` with ``O_APPEND``, so lines of several workers do not mix.

    Lines come before order: whatever fails while the file is put aside or opened again (no space, no permission, a
    directory that is gone) is logged, once a minute while it lasts, and lines go on into the file that is open.
    """

    def __init__(
        self,
        path: Path,
        mode: int,
        rotation: Rotation | None,
        clock: Clock,
        *,
        count_trouble: Callable[[str], None] = lambda _kind: None,
    ) -> None:
        """Open the file.

        :param count_trouble: counts what fails: ``open``, ``rotate``, ``compress``; may be called in any thread.
        :raises OSError: it cannot be opened.
        """
        self._path = path
        self._mode = mode
        self._clock = clock
        self.rotation = rotation
        self._descriptor: int | None = None
        self._last_written = 0.0
        self._is_line_broken = False
        self._is_plain = False
        self._must_reopen = False
        self._no_rotation_before = 0.0
        self._count_trouble = count_trouble
        self._troubles: dict[str, float] = {}  # by kind: when it was logged last
        self._compression: threading.Thread | None = None
        self._open()

    def write(self, data: bytes) -> None:
        """Append lines, to a new file if it is time for one or if ours was moved away.

        :raises OSError: they cannot be written.
        """
        status = self._current()
        now = self._clock.wall()
        if self._is_due(status, now):
            self._try_to_put_aside(now)
        assert self._descriptor is not None
        if self._is_line_broken:
            data = b"\n" + data
        self._is_line_broken = True
        write_all(self._descriptor, data)
        self._is_line_broken = False
        self._last_written = now

    def reopen(self) -> None:
        """Open what is at the path now; if that fails, each further line tries again."""
        self._must_reopen = True
        with contextlib.suppress(OSError):
            self._current()

    def close(self) -> None:
        """Close the file and wait for a compression that is under way."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        if self._compression is not None:
            self._compression.join()

    def _current(self) -> os.stat_result:
        """Return the state of the file to write to: the one at the path, or ours if that one cannot be opened."""
        status = None if self._must_reopen else self._status()
        if status is not None:
            return status
        try:
            status = self._open()
        except OSError as error:
            ours = None if self._descriptor is None else os.fstat(self._descriptor)
            # Without a name our file vanishes when it is closed: to write there would only look like success.
            if ours is None or not ours.st_nlink:
                raise
            self._report("open", "cannot be opened: lines go on into the file that was open", error)
            return ours
        self._must_reopen = False
        self._troubles.pop("open", None)
        return status

    def _open(self) -> os.stat_result:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        with contextlib.suppress(OSError):
            if stat.S_ISFIFO(self._path.stat().st_mode):
                # For writing only it cannot be opened before it has a reader.
                flags = os.O_RDWR | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, self._mode)
        # Only now, so that a failure leaves the old file open.
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = descriptor
        status = os.fstat(descriptor)
        self._last_written = status.st_mtime
        # A link is not followed: what it leads to may be a terminal, a pipe or a file of others (/proc/self/fd/1).
        self._is_plain = stat.S_ISREG(os.lstat(self._path).st_mode)
        return status

    def _status(self) -> os.stat_result | None:
        """Return the state of our file; None if it is not (or no longer) the one at the path."""
        if self._descriptor is None:
            return None
        try:
            there = self._path.stat()
        except OSError:
            return None
        ours = os.fstat(self._descriptor)
        return ours if (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino) else None

    def _is_due(self, status: os.stat_result, now: float) -> bool:
        if self.rotation is None or now < self._no_rotation_before:
            return False
        if not self._is_plain:
            self._report("rotate", "is no plain file, so it is never put aside: remove rotate")
            return False
        return rules.is_due(self.rotation, size=status.st_size, last_written=self._last_written, now=now)

    def _try_to_put_aside(self, now: float) -> None:
        assert self.rotation is not None
        try:
            self._put_aside(self.rotation, now)
        except (OSError, RuntimeError) as error:  # RuntimeError: no thread can be started
            self._no_rotation_before = now + _RETRY_AFTER
            self._report("rotate", "cannot be put aside: lines go on into the file that is open", error)
        else:
            self._troubles.pop("rotate", None)

    def _put_aside(self, rotation: Rotation, now: float) -> None:
        descriptor = self._descriptor
        assert descriptor is not None
        # Every process that has this file open takes its lock; the first renames it, the others find it gone.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            if self._status() is not None:
                folder = self._path.parent
                aside = folder / rules.aside_name(self._path.name, now, _names(folder))
                self._path.rename(aside)
            self._open()
        finally:
            if self._descriptor == descriptor:
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        self._tidy(rotation, now)

    def _report(self, kind: str, what: str, error: Exception | None = None) -> None:
        """Count what fails, and log it: at once, and then once a minute until it works again."""
        self._count_trouble(kind)
        now = self._clock.monotonic()
        if now - self._troubles.get(kind, -_LOG_EVERY) >= _LOG_EVERY:
            self._troubles[kind] = now
            _log.error("the access log %r %s%s", str(self._path), what, "" if error is None else f" ({error})")

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
            self._compression = threading.Thread(
                target=self._compress, args=(paths,), name="access-log gzip", daemon=True
            )
            self._compression.start()

    def _compress(self, paths: list[Path]) -> None:
        for path in paths:
            try:
                _compress_one(path)
            except BlockingIOError:  # another process is at it
                continue
            except OSError as error:
                self._report("compress", f"cannot be compressed: {path.name} stays as it is", error)
            else:
                self._troubles.pop("compress", None)


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


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
