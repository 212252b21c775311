"""Files for their owner alone, written all or nothing: what they hold may be secrets, or decide what is served."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

Stamp = tuple[int, int, int]
"""Time of the last change, size and number of a file: another one when the file was written again."""

_SUFFIX: Final = ".tmp"
_LEFT_BEHIND: Final = 60.0
"""Seconds after which a temporary file is one of a process that was killed: a write takes a moment."""
_LOCK_TIMEOUT: Final = 10.0
_LOCK_PAUSE: Final = 0.02
"""Seconds between two looks at a lock that another process holds."""


def write_private(path: Path, plain: Mapping[str, Any]) -> None:
    """Write JSON for its owner alone, all or nothing.

    :raises OSError: it cannot be written.
    """
    # Not `json.dump`, whose encoder refers to itself: each one would stay until the next full collection.
    write_private_bytes(path, json.dumps(plain, ensure_ascii=False).encode())


def write_private_bytes(path: Path, content: bytes) -> None:
    """Write a file for its owner alone, all or nothing: another process or a power cut sees the old or the new one.

    :raises OSError: it cannot be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_owner(path.parent)
    # A fresh name each time, made for its owner alone (0600).
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_SUFFIX, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _remove_left_behind(path.parent, before=os.fstat(descriptor).st_mtime - _LEFT_BEHIND)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    sync_directory(path.parent)


def _remove_left_behind(directory: Path, before: float) -> None:
    """Remove temporary files of processes that were killed while they wrote.

    :param before: seconds since the epoch, as the file system has them.
    """
    for path in directory.glob(f".*{_SUFFIX}"):
        with contextlib.suppress(OSError):
            if path.lstat().st_mtime < before:
                path.unlink()


def stamp_of(path: Path) -> Stamp | None:
    """Return what changes with each write of a file; None if there is none.

    :raises OSError: that is not known: the directory cannot be entered.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


@contextmanager
def locked(directory: Path, *, patience: float = _LOCK_TIMEOUT) -> Iterator[None]:
    """Keep other processes from changing files of a directory that are read, changed and written. Blocking.

    The system gives up the lock of a process that ends, so none is left behind.

    :param patience: seconds to wait for another process.
    :raises OSError: the directory cannot be made or written, or another process holds the lock for longer.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_owner(directory)
    descriptor = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        until = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    text = f"another process has held the lock of {str(directory)!r} for {patience:g} seconds"
                    raise TimeoutError(errno.ETIMEDOUT, text) from None
                time.sleep(_LOCK_PAUSE)
        yield
    finally:
        os.close(descriptor)


def check_owner(path: Path) -> None:
    """Refuse what another user may have written: it would decide what is served.

    :raises OSError: the file or directory belongs to another user than this process's and root, or anyone may write it.
    """
    found = path.stat()
    own = os.geteuid()
    if found.st_uid not in {own, 0}:
        text = f"{str(path)!r} belongs to user {found.st_uid}: use a state directory that belongs to user {own}"
        raise PermissionError(errno.EPERM, text)
    if found.st_mode & stat.S_IWOTH:
        raise PermissionError(errno.EPERM, f"{str(path)!r} may be written by anyone: run chmod o-w on it")


def sync_directory(directory: Path) -> None:
    """Have the names in a directory outlast a power cut.

    :raises OSError: the system cannot.
    """
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
