"""A folder in memory through which the workers of one gateway share what belongs to all of them.

Plugins find it by the environment variable ``GATEWAY_SHARED_DIR``, as with the counters of a rate limit. It outlives
workers and, as the variable is inherited and the process stays, programs that SIGUSR2 replaces.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Final

VARIABLE: Final = "GATEWAY_SHARED_DIR"

_IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108  # a folder of our own is made in it, for us alone
_OURS: Final = re.compile(r"gateway-([0-9]+)-[a-z0-9_]+")


def provide() -> Path:
    """Make the folder unless there is one already, and name it in the environment.

    :raises OSError: it cannot be made.
    """
    named = os.environ.get(VARIABLE)
    if named and Path(named).is_dir():
        return Path(named)
    parent = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    _remove_orphans(parent)
    folder = Path(tempfile.mkdtemp(prefix=f"gateway-{os.getpid()}-", dir=parent))
    os.environ[VARIABLE] = str(folder)
    return folder


def remove() -> None:
    """Remove the folder if this process made it, rather than whoever started it."""
    folder = Path(os.environ.get(VARIABLE, ""))
    owner = _OURS.fullmatch(folder.name)
    if owner is not None and int(owner[1]) == os.getpid():
        del os.environ[VARIABLE]
        shutil.rmtree(folder, ignore_errors=True)


def _remove_orphans(parent: Path) -> None:
    """Remove what gateways left that were killed."""
    for folder in parent.glob("gateway-*"):
        owner = _OURS.fullmatch(folder.name)
        with contextlib.suppress(OSError):
            if owner is not None and folder.stat().st_uid == os.getuid() and not _is_alive(int(owner[1])):
                shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
