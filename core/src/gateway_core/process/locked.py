"""Whether this gateway runs only plugins that are as they were locked (`gateway_core.packages.lock_file`)."""

from __future__ import annotations

import os

from gateway_core.packages.lock_file import LOCK_VARIABLE


def is_locked() -> bool:
    """Tell whether this process was started with ``--locked``, or by one that was."""
    return bool(os.environ.get(LOCK_VARIABLE))


__all__ = ["LOCK_VARIABLE", "is_locked"]
