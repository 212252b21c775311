"""Programs of Debian that tests run as peers; each is installed where it is missing (as root, by apt-get).

The only place where tests install anything. Several test processes may ask at once: a lock lets one install.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

_QUIET: Final = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
"""No questions, and no service is started: invoke-rc.d starts nothing in runlevel 1."""


def program(name: str, package: str) -> str:
    """Return the path of a program, from this Debian package if it has to be installed first."""
    with (Path(tempfile.gettempdir()) / "gateway-tests-apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _found(name) is None:
            _apt("update")
            _apt("install", "--yes", "--no-install-recommends", package)
    path = _found(name)
    assert path is not None, f"{package} has no {name}"
    return path


def package_file(path: str, package: str) -> Path:
    """Return a file of this Debian package, which is installed first if it is missing."""
    found = Path(path)
    with (Path(tempfile.gettempdir()) / "gateway-tests-apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not found.exists():
            _apt("update")
            _apt("install", "--yes", "--no-install-recommends", package)
    assert found.exists(), f"{package} has no {path}"
    return found


def _found(name: str) -> str | None:
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def _apt(*arguments: str) -> None:
    subprocess.run(["apt-get", "--quiet", *arguments], check=True, capture_output=True, env={**os.environ, **_QUIET})
