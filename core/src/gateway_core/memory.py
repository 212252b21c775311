"""Memory of a process: glibc's own means to stay small, and the garbage collector around a reload.

A snapshot is some hundred thousand objects that live long. The collector would look through all of them again and
again while they are made, each time for tens of milliseconds in which no request is served. So it rests meanwhile
(`pause_collector`), and what was made is left to reference counting for good (`freeze`); when a snapshot is dropped,
its objects go by that.
"""

from __future__ import annotations

import ctypes
import gc
import linecache
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
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


_switch: Final = threading.Lock()
"""Held while the collector is switched on or off, or must not be."""


def pause_collector() -> None:
    """Collect nothing until `freeze` or `resume_collector`."""
    with _switch:
        gc.disable()


def resume_collector() -> None:
    """Collect again."""
    with _switch:
        gc.enable()


@contextmanager
def collector_paused() -> Iterator[None]:
    """Collect nothing in the block, and then as before.

    Nothing that a configuration is made of is garbage, but every object counts towards the next full collection: with
    10,000 routes these were more than half of the time that loading took.
    """
    was_enabled = gc.isenabled()
    pause_collector()
    try:
        yield
    finally:
        if was_enabled:
            resume_collector()


def frame_of(thread: int) -> FrameType | None:
    """Return the frame that another thread is in; None if there is no such thread.

    :param thread: its identifier, as `threading.get_ident` gives it.

    The collector is off while the frames are read: CPython 3.11 holds a lock of its runtime then, and a collection may
    release the interpreter's lock. A thread that begins at that moment takes the second and waits for the first, and
    the whole process is deadlocked (python/cpython#106883).
    """
    with _switch:
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            return sys._current_frames().get(thread)  # noqa: SLF001 - the documented way to another thread's stack
        finally:
            if was_enabled:
                gc.enable()


_FEW: Final = 20_000
"""Objects that the collector looks through in about two milliseconds."""


_NEW: Final = 5_000
"""Objects beyond those that were freed for which the collector looks at what is new. Some hundred requests in progress
are more than the 700 of CPython, and none of them is garbage."""


def freeze() -> None:
    """Leave everything that there is now to reference counting, and collect again, less often than by default.

    What libraries leave behind in cycles would stay for ever then, some for each reload. So it is collected first, as
    long as what is new is little.
    """
    if gc.get_count()[0] < _FEW:
        gc.collect(0)  # all that was made since the collector rests
    gc.freeze()
    gc.set_threshold(_NEW, *gc.get_threshold()[1:])
    resume_collector()


def tidy() -> None:
    """Free what starting left behind, while nothing is served yet.

    That is one half of each class that was made twice (a dataclass with slots), the sources that models took their
    descriptions from, and memory that is free again.
    """
    linecache.clearcache()
    gc.collect()
    trim()
