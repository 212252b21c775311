"""A file that several processes append to, that may be moved away, and that is put aside when it is large or old.

`logging.handlers` has the frame: when a file is rolled over, what it is called then, its lock, how it is closed. Its
complete handlers are for one process, and close a file before they open the next: a failure there loses lines.

While the handler's lock is held nothing is logged: ``logging.config`` takes the lock of `logging` first, then that of
every handler, to close it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gzip
import logging
import os
import shutil
import stat
import threading
import time
from collections import deque
from collections.abc import Callable
from io import TextIOWrapper
from logging.handlers import BaseRotatingHandler
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

_LOCK_PAUSE: Final = 0.02
_LOCK_TRIES: Final = 100
"""How often the lock is tried before a rotation is put off, each after a pause in seconds."""


class FileTarget(BaseRotatingHandler):
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
        self._last_written = 0.0
        self._is_line_broken = False
        self._is_plain = False
        self._must_reopen = False
        self._no_rotation_before = 0.0
        self._count_trouble = count_trouble
        self._troubles: dict[str, float] = {}  # by kind: when it was logged last
        self._messages: deque[str] = deque()
        self._compression: threading.Thread | None = None
        super().__init__(path, "a", encoding="utf-8")

    def write(self, data: bytes) -> None:
        """Append lines, to a new file if it is time for one or if ours was moved away.

        :raises OSError: they cannot be written.
        """
        try:
            self.handle(logging.makeLogRecord({"msg": data}))
        finally:
            self._log_troubles()

    def emit(self, record: logging.LogRecord) -> None:
        """Append the lines of a record as they are; what fails is for the caller, who counts them."""
        self._open_if_needed()
        if self.shouldRollover(record):
            self.doRollover()
        assert self.stream is not None
        assert isinstance(record.msg, bytes)
        data = b"\n" + record.msg if self._is_line_broken else record.msg
        self._is_line_broken = True
        write_all(self.stream.fileno(), data)
        self._is_line_broken = False
        self._last_written = self._clock.wall()

    def reopen(self) -> None:
        """Open what is at the path now; if that fails, each further line tries again."""
        self._must_reopen = True
        self.acquire()
        try:
            self._open_if_needed()
        except OSError:
            pass  # the next line meets it, and is counted
        finally:
            self.release()
        self._log_troubles()

    def close(self) -> None:
        """Close the file and wait for a compression; lines that come all the same open it again.

        `logging.config.dictConfig` and `logging.shutdown` close every handler of the process.
        """
        super().close()
        if self._compression is not None:
            self._compression.join()
        self._log_troubles()

    def _open_if_needed(self) -> None:
        """Open the file at the path if ours is another; if that fails, go on with ours."""
        ours = self.stream
        if ours is not None and not self._must_reopen and self._is_at_path(ours):
            return
        try:
            self._open_next()
        except OSError as error:
            # Without a name our file vanishes when it is closed: to write there would only look like success.
            if ours is None or not os.fstat(ours.fileno()).st_nlink:
                raise
            self._report("open", "cannot be opened: lines go on into the file that was open", error)
        else:
            self._must_reopen = False
            self._troubles.pop("open", None)

    def _open_next(self) -> None:
        """Open the file at the path, and only then close ours, so that a failure leaves that one open."""
        before, self.stream = self.stream, self._open()
        if before is not None:
            before.close()

    def _open(self) -> TextIOWrapper:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        with contextlib.suppress(OSError):
            if stat.S_ISFIFO(self._path.stat().st_mode):
                # For writing only it cannot be opened before it has a reader.
                flags = os.O_RDWR | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, self._mode)
        status = os.fstat(descriptor)
        try:
            try_writing(descriptor)
        except OSError as error:
            os.close(descriptor)
            raise OSError(error.errno, error.strerror, str(self._path)) from error
        self._last_written = status.st_mtime
        # A link is not followed: what it leads to may be a terminal, a pipe or a file of others (/proc/self/fd/1).
        self._is_plain = stat.S_ISREG(status.st_mode) and not self._path.is_symlink()
        # It owns the descriptor; lines are written past its buffers. It must not seek, which some files cannot.
        return TextIOWrapper(os.fdopen(descriptor, "wb"), self.encoding)

    def _is_at_path(self, stream: TextIOWrapper) -> bool:
        try:
            return os.path.samestat(self._path.stat(), os.fstat(stream.fileno()))
        except OSError:
            return False

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: ARG002, N802 - of logging.handlers
        """Return whether the file is put aside before the record is written."""
        now = self._clock.wall()
        if self.rotation is None or now < self._no_rotation_before:
            return False
        if not self._is_plain:
            self._report("rotate", "is no plain file, so it is never put aside: remove rotate")
            return False
        assert self.stream is not None
        size = os.fstat(self.stream.fileno()).st_size
        return rules.is_due(self.rotation, size=size, last_written=self._last_written, now=now)

    def doRollover(self) -> None:  # noqa: N802 - the name of logging.handlers
        """Put the file aside and open the next; if that fails, go on with ours."""
        now = self._clock.wall()
        try:
            self._put_aside(now)
        except (OSError, RuntimeError) as error:  # RuntimeError: no thread can be started
            self._no_rotation_before = now + _RETRY_AFTER
            self._report("rotate", "cannot be put aside: lines go on into the file that is open", error)
        else:
            self._troubles.pop("rotate", None)

    def _put_aside(self, now: float) -> None:
        ours = self.stream
        assert ours is not None
        # Every process that has this file open takes its lock; the first renames it, the others find it gone.
        _lock(ours)
        try:
            if self._is_at_path(ours):
                self.rotate(str(self._path), self.rotation_filename(str(self._path)))
            self._open_next()
        finally:
            if not ours.closed:
                fcntl.flock(ours, fcntl.LOCK_UN)
        if self.rotation is not None:
            self._tidy(self.rotation, now)

    def rotation_filename(self, default_name: str) -> str:
        """Return where the file is put aside: its path with the time, and a number if that is taken."""
        path = Path(default_name)
        return str(path.with_name(rules.aside_name(path.name, self._clock.wall(), _names(path.parent))))

    def _report(self, kind: str, what: str, error: Exception | None = None) -> None:
        """Count what fails, and have it logged: at once, and then once a minute until it works again."""
        self._count_trouble(kind)
        now = self._clock.monotonic()
        if now - self._troubles.get(kind, -_LOG_EVERY) >= _LOG_EVERY:
            self._troubles[kind] = now
            self._messages.append(f"{what}{'' if error is None else f' ({error})'}")

    def _log_troubles(self) -> None:
        while self._messages:
            _log.error("the access log %r %s", str(self._path), self._messages.popleft())

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


def _lock(file: TextIOWrapper) -> None:
    """Take the lock of a file, which another process that rotates it has for some milliseconds.

    :raises OSError: it is held for longer. A process that may read the file can lock it, and would keep lines waiting.
    """
    for _ in range(_LOCK_TRIES):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(_LOCK_PAUSE)
    raise OSError(errno.EWOULDBLOCK, "another process has locked it")


def try_writing(descriptor: int) -> None:
    """Write nothing to a file, which those of /proc and /sys refuse that can be opened, but not be written.

    :raises OSError: it is refused.
    """
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.write(descriptor, b"")


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
