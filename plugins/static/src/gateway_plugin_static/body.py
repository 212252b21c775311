"""The body of a response out of a file: read without blocking, held to the version of the file that the head speaks of.

What the page cache has is read at once, by a call that never waits for a disk (``preadv2`` with ``RWF_NOWAIT``); the
rest is read by a thread, and so is everything where the system or the file system has no such call, as those of
networks have none. A thread costs as much as copying 128 KiB. `sendfile` would spare less than that: measured over
loopback it takes the time of reading and sending.

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

from gateway_plugin_sdk.ranges import Range

PIECE: Final = 128 * 1024
"""Bytes that are read at once; a client holds this much of the gateway's memory, and what its connection buffers."""


_NOWAIT: Final[int | None] = getattr(os, "RWF_NOWAIT", None) if hasattr(os, "preadv") else None


def can_read_cached(descriptor: int) -> bool:
    """Return whether a file's system says what it has in memory: tmpfs and those of networks do not. May block."""
    if _NOWAIT is None:
        return False
    try:
        os.preadv(descriptor, [bytearray(1)], 0, _NOWAIT)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True


class ChangedError(Exception):
    """The file is not what it was when it was opened."""


class OpenFile:
    """A file that is open, and the version that it was opened in. Closed once, also while a thread reads it."""

    __slots__ = ("_can_hurry", "_descriptor", "_job", "_modified", "_size")

    def __init__(self, descriptor: int, info: os.stat_result) -> None:
        self._descriptor = descriptor
        self._modified, self._size = info.st_mtime_ns, info.st_size
        self._job: Future[bytes] | None = None
        self._can_hurry = _NOWAIT is not None

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
        self._check()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def read_cached(self, start: int, end: int) -> bytes:
        """Return the first of these bytes as far as they are in memory, or nothing. Does not block.

        :raises ChangedError: the file was changed.
        """
        if not self._can_hurry:
            return b""
        assert _NOWAIT is not None
        buffer = bytearray(end - start)
        try:
            length = os.preadv(self._descriptor, [buffer], start, _NOWAIT)
        except BlockingIOError:
            return b""
        except OSError:  # not on this file system
            self._can_hurry = False
            return b""
        if not length:
            return b""  # the end, or nothing yet: the thread finds out
        self._check()
        return bytes(memoryview(buffer)[:length])

    async def read(self, start: int, end: int, threads: Executor) -> bytes:
        """Return the first of these bytes, and all of them if a thread has to read; one call at a time."""
        if found := self.read_cached(start, end):
            return found
        self._job = threads.submit(self.read_now, start, end)
        return await asyncio.wrap_future(self._job)

    def _check(self) -> None:
        info = os.fstat(self._descriptor)
        if (info.st_mtime_ns, info.st_size) != (self._modified, self._size):
            raise ChangedError

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

        :param file: None for the body of a response to HEAD, which is never sent.
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
        try:
            data = await self._file.read(start, min(end, start + PIECE), self._threads)
        except ChangedError:
            self._on_change()
            await asyncio.sleep(0)  # the cut ends this task, if there is a gateway around it
            raise
        if start + len(data) < end:
            self._parts.appendleft((start + len(data), end))
        return data

    async def aclose(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            file.close()


def length_of(parts: Sequence[bytes | Range]) -> int:
    """Return the bytes that a body of these parts has."""
    return sum(len(part) if isinstance(part, bytes) else part[1] - part[0] for part in parts)
