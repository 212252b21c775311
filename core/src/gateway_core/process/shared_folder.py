"""A folder in memory through which the workers of one gateway share what belongs to all of them.

Plugins find it by the environment variable ``GATEWAY_SHARED_DIR``, as with the counters of a rate limit. It outlives
workers and, as the variable is inherited and the process stays, programs that SIGUSR2 replaces.

A gateway that was killed leaves its folder behind, and the next one removes it. Whether its owner lives is shown by a
lock on a file in it, not by a process id: containers that share ``/dev/shm`` do not see each other's processes, and
what looks like a dead one may be serving. The kernel drops the lock with the last process that holds it; workers and
programs that replace this one inherit it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Final

VARIABLE: Final = "GATEWAY_SHARED_DIR"

_IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108  # a folder of our own is made in it, for us alone
_OURS: Final = re.compile(r"gateway-([0-9]+)-[a-z0-9_]+")
_LOCK: Final = ".lock"


def provide() -> Path:
    """Make the folder unless there is one already, and name it in the environment.

    :raises OSError: it cannot be made.
    """
    named = os.environ.get(VARIABLE)
    if named and Path(named).is_dir():
        return Path(named)
    parent = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    _remove_orphans(parent)
    folder = _make(parent)
    os.environ[VARIABLE] = str(folder)
    return folder


def remove() -> None:
    """Remove the folder if this process made it, rather than the one that started it."""
    folder = Path(os.environ.get(VARIABLE, ""))
    owner = _OURS.fullmatch(folder.name)
    if owner is not None and int(owner[1]) == os.getpid():
        del os.environ[VARIABLE]
        shutil.rmtree(folder, ignore_errors=True)


def _make(parent: Path) -> Path:
    """Make a locked folder; it gets the name by which others look for it only once the lock is held."""
    hidden = Path(tempfile.mkdtemp(prefix=f".gateway-{os.getpid()}-", dir=parent))
    descriptor = os.open(hidden / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.set_inheritable(descriptor, True)  # held for as long as this process or one that it became
    return hidden.rename(parent / hidden.name.removeprefix("."))


def _remove_orphans(parent: Path) -> None:
    """Remove what gateways left that were killed."""
    for folder in parent.glob("gateway-*"):
        if _OURS.fullmatch(folder.name) is not None:
            with contextlib.suppress(OSError):
                _remove_orphan(folder)


def _remove_orphan(folder: Path) -> None:
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        return
    # A folder without a lock file is another version's, whose owner may be alive: it stays.
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)
