"""A line on a terminal while something takes longer than a second, and nothing anywhere else."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, TextIO

_AFTER: Final = 1.0
"""Seconds without a sign that people take for a hang."""


def shows_progress(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether a line can be shown and taken back there: on a terminal that understands it."""
    return stream.isatty() and environ.get("TERM", "dumb") != "dumb"


@contextmanager
def progress(text: str, *, after: float = _AFTER) -> Iterator[None]:
    """Show a text on standard error while the block runs, from some seconds on; it is gone afterwards."""
    if not shows_progress(sys.stderr, os.environ):
        yield
        return
    stream, done = sys.stderr, threading.Event()

    def show() -> None:
        if done.wait(after):
            return
        stream.write(f"{text} ...")
        stream.flush()
        done.wait()
        stream.write("\r\x1b[K")
        stream.flush()

    thread = threading.Thread(target=show, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
