"""The body of a response out of a file: read in threads, held to the version of the file that the head speaks of.

A file may change while it is sent. What is read is given on only if the file's size and time of modification are still
those that it was opened with, so that a client never gets parts of two versions under one ETag. Otherwise the response
is cut off. A file that another one takes the place of (by ``rename``) is not changed by that, and is sent to its end.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Final

from gateway_plugin_static.ranges import Range

PIECE: Final = 128 * 1024
"""Bytes that are read at once; a client holds this much of the gateway's memory, and what its connection buffers."""


class ChangedError(Exception):
    """The file is not what it was when it was opened."""


class OpenFile:
    """A file that is open, and the version that it was opened in. Closed once, also while a thread reads it."""

    __slots__ = ("_descriptor", "_job", "_modified", "_size")

    def __init__(self, descriptor: int, info: os.stat_result) -> None:
        self._descriptor = descriptor
        self._modified, self._size = info.st_mtime_ns, info.st_size
        self._job: Future[bytes] | None = None

    def read_now(self, start: int, end: int) -> bytes:
        """Return these bytes. Blocks.

        :raises ChangedError: the file was changed.
        """
        pieces = []
        while start < end:
            piece = os.pread(self._descriptor, end - start, start)
            if not piece:
                raise ChangedError
            pieces.append(piece)
            start += len(piece)
        info = os.fstat(self._descriptor)
        if (info.st_mtime_ns, info.st_size) != (self._modified, self._size):
            raise ChangedError
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def read(self, start: int, end: int, threads: Executor) -> bytes:
        """Return these bytes, read by a thread; one call at a time."""
        self._job = threads.submit(self.read_now, start, end)
        return await asyncio.wrap_future(self._job)

    def close(self) -> None:
        """Close the file, after a thread that still reads it: its descriptor may be another file's by then."""
        if self._descriptor < 0:
            return
        if self._job is None:
            self._end()
        else:
            self._job.add_done_callback(self._end)

    def _end(self, _: object = None) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        self._end()  # whatever became of the response


class FileBody:
    """Parts of a file and texts between them, as the iterator that the body of a response may be."""

    def __init__(
        self,
        file: OpenFile | None,
        parts: Sequence[bytes | Range],
        threads: Executor,
        on_change: Callable[[], None],
    ) -> None:
        """Take a file, which is closed with the body.

        :param file: None for the body of a response to HEAD, which nobody reads.
        :param on_change: cuts off the response, as the file is not what its head says any more.
        """
        self._file = file
        self._parts = deque(parts)
        self._threads = threads
        self._on_change = on_change

    def __aiter__(self) -> FileBody:
        return self

    async def __anext__(self) -> bytes:
        if not self._parts or self._file is None:
            await self.aclose()
            raise StopAsyncIteration
        part = self._parts.popleft()
        if isinstance(part, bytes):
            return part
        start, end = part
        if end - start > PIECE:
            self._parts.appendleft((start + PIECE, end))
            end = start + PIECE
        try:
            return await self._file.read(start, end, self._threads)
        except ChangedError:
            self._on_change()
            await asyncio.sleep(0)  # the cut ends this task, if there is a gateway around it
            raise

    async def aclose(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            file.close()


def length_of(parts: Sequence[bytes | Range]) -> int:
    """Return the bytes that a body of these parts has."""
    return sum(len(part) if isinstance(part, bytes) else part[1] - part[0] for part in parts)
