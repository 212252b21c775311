"""The garbage collector around a reload.

A snapshot is some hundred thousand objects that live long. The collector would look through all of them again and
again while they are made, each time for tens of milliseconds in which no request is served. So it rests meanwhile, and
what was made is set aside for good; when a snapshot is dropped, its objects go by reference counting.
"""

from __future__ import annotations

import gc
import linecache

from gateway_core import memory


def disable() -> None:
    """Collect nothing until `freeze` or `enable`."""
    gc.disable()


def tidy() -> None:
    """Let go of what starting left behind, while nothing is served yet.

    That is one half of each class that was made twice (a dataclass with slots), the sources that models took their
    descriptions from, and memory that is free again.
    """
    linecache.clearcache()
    gc.collect()
    memory.trim()


def freeze() -> None:
    """Leave everything that there is now to reference counting, and collect again."""
    gc.freeze()
    gc.enable()


def enable() -> None:
    """Collect again."""
    gc.enable()
