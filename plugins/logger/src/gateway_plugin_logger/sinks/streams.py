"""Writing to descriptors: standard output and error, and the bytes of files."""

from __future__ import annotations

import errno
import os
import select
import stat
from typing import Final

_ATOMIC: Final = select.PIPE_BUF
"""Bytes that a pipe takes as one (POSIX ``write``): lines of several processes must not be mixed."""


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of the data, waiting if need be; the caller has a thread to wait in.

    :raises OSError: some of it could not be written.
    """
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:  # somebody we share the pipe with made it non-blocking
            select.select([], [descriptor], [], 1.0)


def line_pieces(data: bytes, most: int) -> list[bytes]:
    """Return lines joined to pieces of at most ``most`` bytes; a longer line is a piece of its own."""
    pieces: list[bytes] = []
    start = 0
    while len(data) - start > most:
        end = data.rfind(b"\n", start, start + most) + 1
        if end <= start:
            end = data.find(b"\n", start) + 1 or len(data)
        pieces.append(data[start:end])
        start = end
    if start < len(data):
        pieces.append(data[start:])
    return pieces


class StreamTarget:
    """An open descriptor, such as standard output; it is not ours to close."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, data: bytes) -> None:
        """Write lines; on a pipe in pieces that stay whole beside those of other processes."""
        try:
            is_pipe = stat.S_ISFIFO(os.fstat(self._descriptor).st_mode)
            for piece in line_pieces(data, _ATOMIC) if is_pipe else [data]:
                write_all(self._descriptor, piece)
        except BrokenPipeError:
            raise BrokenPipeError(errno.EPIPE, "nobody reads the pipe any more") from None

    def reopen(self) -> None:
        """Do nothing: there is no path to open."""

    def close(self) -> None:
        """Do nothing: the process owns the descriptor."""
