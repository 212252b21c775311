"""Write the gateway's log without ever making the event loop wait.

How it works: `put` appends a line to a bounded queue; a thread takes the lines out and writes them. A reader of stderr
that does not read (a stopped terminal, a full pipe) makes only this thread wait. Lines that find the queue full are
dropped and counted, and the first line that is written afterwards says how many.

All processes of the gateway write to one stderr. A write to a pipe is atomic up to 4 KiB only, so the thread holds a
POSIX lock on the descriptor while it writes: the lines of several processes never interleave. The system releases the
lock of a process that ends.

A process that forks must have one thread only at that moment: the thread ends before a fork, and begins again with the
next line, in the parent as in the child.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import select
import stat
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from gateway_core.clock import SystemClock
from gateway_core.shortages import note_shortage

MOST_BYTES: Final = 4 << 20
"""Bytes that wait to be written at most."""
_BATCH: Final = 64 << 10
"""Bytes that are written while the lock is held once."""
_STOP_WITHIN: Final = 0.2
"""Seconds that a fork waits for the thread: one that cannot write does not end sooner."""


class LogWriter:
    """Writes lines to a descriptor, in a thread of its own."""

    def __init__(self, descriptor: int, *, most_bytes: int = MOST_BYTES) -> None:
        """Write nothing yet; the thread begins with the first line."""
        self._descriptor = descriptor
        self.dropped_line: Callable[[int], str] = "{} lines were dropped\n".format
        """Makes the line that says how many others were dropped."""
        self._most_bytes = most_bytes
        self.dropped = 0
        """Lines that were dropped since the beginning."""
        self._unsaid = 0  # of these, those that no line has named yet
        self._reset()
        _writers.add(self)

    def _reset(self) -> None:
        self._lines: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._state = threading.Condition(threading.Lock())
        self._thread: threading.Thread | None = None
        self._is_stopping = False
        self._is_writing = False

    def put(self, line: str) -> None:
        """Write a line soon, or drop it if too much is waiting already."""
        data = line.encode(errors="backslashreplace")
        with self._state:
            if self._waiting_bytes and self._waiting_bytes + len(data) > self._most_bytes:
                self._lose(1, "stderr is not read")
                return
            self._lines.append(data)
            self._waiting_bytes += len(data)
            if self._thread is None:
                self._is_stopping = False
                self._begin()
            self._state.notify_all()

    def _begin(self) -> None:
        thread = threading.Thread(target=self._run, name="gateway-log", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system has no more threads: the next line begins it
            return
        self._thread = thread

    def _lose(self, lines: int, reason: str) -> None:
        self.dropped += lines
        self._unsaid += lines
        note_shortage("log", "lines of the gateway's log are lost", reason.lower(), SystemClock().monotonic())

    def flush(self, seconds: float) -> bool:
        """Wait until every line is written, at most so long; return whether it is."""
        with self._state:
            return self._state.wait_for(lambda: not self._lines and not self._is_writing, seconds)

    def stop(self, seconds: float) -> bool:
        """Write what waits and end the thread, if that takes no longer; it begins again with the next line."""
        with self._state:
            thread, self._is_stopping = self._thread, True
            self._state.notify_all()
        if thread is not None:
            thread.join(seconds)
        return thread is None or not thread.is_alive()

    def _run(self) -> None:
        while (taken := self._take()) is not None:
            batch, unsaid = taken
            data = batch + (self.dropped_line(unsaid).encode() if unsaid else b"")
            written = 0
            try:
                for size in self._write(data):
                    written += size
            except OSError as error:  # the reader is gone, or the disk is full
                with self._state:
                    self._unsaid += unsaid
                    self._lose(batch[written:].count(b"\n"), error.strerror or str(error))
            with self._state:
                self._is_writing = False
                self._state.notify_all()

    def _take(self) -> tuple[bytes, int] | None:
        """Wait for lines, and return the next ones, with the number of those that were dropped; None is the end."""
        with self._state:
            self._state.wait_for(lambda: self._lines or self._is_stopping)
            if not self._lines:
                self._thread = None
                return None
            batch = bytearray()
            while self._lines and len(batch) < _BATCH:
                batch += self._lines.popleft()
            self._waiting_bytes -= len(batch)
            unsaid, self._unsaid = self._unsaid, 0
            self._is_writing = True
        return bytes(batch), unsaid

    def _write(self, data: bytes) -> Iterator[int]:
        """Write data, and yield the number of bytes that were written each time."""
        rest = memoryview(data)
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):  # what cannot be locked is no pipe and no file of several writers
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
                stack.callback(fcntl.lockf, self._descriptor, fcntl.LOCK_UN)
            while rest:
                try:
                    size = os.write(self._descriptor, rest)
                except BlockingIOError:  # another program has set O_NONBLOCK on the terminal or pipe that it shares
                    _wait_writable(self._descriptor)
                    continue
                except OSError:
                    _cut_to_line(self._descriptor, data[: len(data) - len(rest)])
                    raise
                rest = rest[size:]
                yield size

    def after_fork(self) -> None:
        """Start with an empty queue in a child: the parent writes what waits."""
        self._unsaid = 0
        self._reset()


def _cut_to_line(descriptor: int, written: bytes) -> None:
    """Take the beginning of a line out of a file that has no room for the rest of it: every line is whole."""
    begun = len(written) - (written.rfind(b"\n") + 1)
    status = os.fstat(descriptor)
    if begun and stat.S_ISREG(status.st_mode) and status.st_size >= begun:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, status.st_size - begun)
            if not fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND:
                os.lseek(descriptor, 0, os.SEEK_END)


def _wait_writable(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    poll.poll()


_writers: weakref.WeakSet[LogWriter] = weakref.WeakSet()


def stop_all(seconds: float = _STOP_WITHIN) -> None:
    """Write what waits in this process, at most so long."""
    for writer in list(_writers):
        writer.stop(seconds)


def _after_fork() -> None:
    for writer in list(_writers):
        writer.after_fork()


os.register_at_fork(before=stop_all, after_in_child=_after_fork)
atexit.register(stop_all, 1.0)
