"""The program that installs packages into this environment.

It is pip, or uv where uv made the environment or where there is no pip. uv takes the options of ``pip install`` as
``uv pip install``, but reads no configuration of pip's. An environment that uv made says so in ``pyvenv.cfg``, and has
no pip unless one was asked for.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Installer:
    """What installs."""

    name: str
    """``pip`` or ``uv``."""
    install: tuple[str, ...]
    """The command, to which options and distributions are added."""
    check: str
    """The command that says whether what is installed fits together, as people type it."""


def find_installer(environ: Mapping[str, str] = os.environ, *, prefix: str = sys.prefix) -> Installer | None:
    """Return what installs into the environment of this interpreter; None if there is neither pip nor uv.

    :param environ: ``UV`` is the path of the uv that runs this process (``uv run``); ``PATH`` is searched otherwise.
    :param prefix: the environment's folder.
    """
    uv = environ.get("UV") or shutil.which("uv", path=environ.get("PATH"))
    has_pip = find_spec("pip") is not None
    if uv and (_is_made_by_uv(Path(prefix)) or not has_pip):
        return Installer("uv", (uv, "pip", "install", "--python", sys.executable), "uv pip check")
    if has_pip:
        return Installer("pip", (sys.executable, "-m", "pip", "install", "--disable-pip-version-check"), "pip check")
    return None


def _is_made_by_uv(prefix: Path) -> bool:
    try:
        lines = (prefix / "pyvenv.cfg").read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    return any(line.partition("=")[0].strip() == "uv" for line in lines)
