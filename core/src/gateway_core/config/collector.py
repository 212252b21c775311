"""Building many long-lived objects without the cyclic garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Switch the collector off for a while, for the whole process.

    Nothing that is built here is garbage, but every object counts towards the next full collection: with 10,000 routes
    these were more than half of the time that loading took.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
