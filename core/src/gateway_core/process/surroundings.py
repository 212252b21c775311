"""What of a process plugins could take away without meaning to: directory, variables, and standard error.

Names of files in configurations are relative to where the gateway was started, the next reload reads the variables
again, and operators read standard error; so all are as before once plugins were imported and started. Variables that
plugins set for themselves stay.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gateway_core.events import PLUGIN_SURROUNDINGS, emit

_STDERR: Final = 2


@contextmanager
def kept() -> Iterator[None]:
    """Undo what plugins change of directory and standard error, and bring back variables that they remove."""
    directory, variables = _directory(), dict(os.environ)
    stream, descriptor = sys.stderr, _copy_of(_STDERR)
    try:
        yield
    finally:
        is_other = sys.stderr is not stream
        sys.stderr = stream
        if descriptor is not None:
            if not _is_same(descriptor, _STDERR):
                os.dup2(descriptor, _STDERR)
                is_other = True
            os.close(descriptor)
        if is_other:
            text = "a plugin closed or replaced standard error, which is as before"
            emit(PLUGIN_SURROUNDINGS, text, reason=text)
        removed = {name: value for name, value in variables.items() if name not in os.environ}
        if removed:
            os.environ.update(removed)
            shown = ", ".join(sorted(removed)[:5]) + (f" and {len(removed) - 5} more" if len(removed) > 5 else "")
            text = f"a plugin removed variables of the environment, which are back: {shown}"
            emit(PLUGIN_SURROUNDINGS, text, reason=text)
        if directory is not None and _directory() != directory:
            os.chdir(directory)
            text = f"a plugin changed the working directory: it is {directory} again"
            emit(PLUGIN_SURROUNDINGS, text, reason=text)


def _directory() -> str | None:
    try:
        return str(Path.cwd())
    except FileNotFoundError:  # it was removed since the start
        return None


def _copy_of(descriptor: int) -> int | None:
    try:
        return os.dup(descriptor)
    except OSError:  # it was closed when the gateway was started, or there are no more descriptors
        return None


def _is_same(one: int, other: int) -> bool:
    try:
        return os.path.sameopenfile(one, other)
    except OSError:
        return False
