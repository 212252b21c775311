"""Which files a process has open."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def open_below(directory: Path) -> list[str]:
    """Return the files and directories at or below a directory that this process has open."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # another thread closed it
            target = str(descriptor.readlink())
            if f"{target}/".startswith(f"{os.path.realpath(directory)}/"):
                found.append(target)
    return found
