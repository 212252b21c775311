"""Files for their owner alone, written all or nothing: what they hold may be secrets, or decide what is served."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


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
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    sync_directory(path.parent)


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
