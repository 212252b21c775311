"""Whether this gateway runs only plugins that are as they were locked.

The path of the lock file travels in the environment, so that it holds for every process that validates or serves.
"""

from __future__ import annotations

import os
from typing import Final

LOCK_VARIABLE: Final = "GATEWAY_LOCK"
"""The environment variable with the path of the lock file; unset or empty if plugins are not locked."""


def is_locked() -> bool:
    """Tell whether this process was started with ``--locked``, or by one that was."""
    return bool(os.environ.get(LOCK_VARIABLE))
