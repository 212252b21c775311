"""Reading files that a configuration names: never a pipe or a device, which may have no end or never begin."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

LARGEST: Final = 16 << 20
"""Bytes of a certificate, key, authority or revocation list file at most."""


class NotRegularError(OSError):
    """A path that is a pipe, a socket, a device or a directory."""


def read_regular(path: Path | str, limit: int = LARGEST) -> bytes:
    """Return the content of a regular file.

    :param limit: bytes at most.
    :raises NotRegularError: it is something else.
    :raises OSError: it cannot be read, or is larger.
    """
    _check(os.stat(path).st_mode, path)  # noqa: PTH116 - before it is opened, as opening a device may act on it
    # Without O_NONBLOCK a pipe that took the file's place since would wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        _check(os.fstat(descriptor).st_mode, path)
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit} bytes", str(path))
    return data


def _check(mode: int, path: Path | str) -> None:
    if stat.S_ISDIR(mode):
        raise NotRegularError(errno.EISDIR, "a directory, where a file is expected", str(path))
    if not stat.S_ISREG(mode):
        raise NotRegularError(errno.EINVAL, "a pipe, a socket or a device, where a regular file is expected", str(path))
