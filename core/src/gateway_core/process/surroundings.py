"""What of a process plugins could take away without meaning to: its directory, and variables of its environment.

Names of files in configurations are relative to where the gateway was started, and the next reload reads the variables
again; so both are as before once plugins were imported and started. What plugins set for themselves stays.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_logger = logging.getLogger("gateway.plugins")


@contextmanager
def kept() -> Iterator[None]:
    """Undo what plugins change of the working directory, and bring back variables that they remove, in the block."""
    directory, variables = _directory(), dict(os.environ)
    try:
        yield
    finally:
        removed = {name: value for name, value in variables.items() if name not in os.environ}
        if removed:
            os.environ.update(removed)
            shown = ", ".join(sorted(removed)[:5]) + (f" and {len(removed) - 5} more" if len(removed) > 5 else "")
            _logger.warning("a plugin removed variables of the environment, which are back: %s", shown)
        if directory is not None and _directory() != directory:
            os.chdir(directory)
            _logger.warning("a plugin changed the working directory: it is %s again", directory)


def _directory() -> str | None:
    try:
        return str(Path.cwd())
    except FileNotFoundError:  # it was removed since the start
        return None
