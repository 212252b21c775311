"""What a process does to stay small: glibc's own means, where there are any."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Final

_LIBRARY: str | None = None
"""What is linked into the program."""

_ARENA_MAX: Final = -8
"""``M_ARENA_MAX`` of malloc.h."""


def share_one_arena() -> None:
    """Let all threads take their memory from one place, before any thread is there.

    By default each thread gets an arena of its own, which keeps what was freed in it: modules are imported in one
    thread and files are watched in others, and the free space of none of them serves the others.
    """
    mallopt = _function("mallopt")
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)


def trim() -> None:
    """Give memory back to the system that was needed to get started. Takes a millisecond."""
    malloc_trim = _function("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


def _function(name: str) -> Callable[..., Any] | None:
    try:
        found: Callable[..., Any] = getattr(ctypes.CDLL(_LIBRARY), name)
    except (OSError, AttributeError):  # another C library, or another system
        return None
    return found
