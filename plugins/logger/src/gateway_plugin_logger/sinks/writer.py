"""Writes lines from a thread of its own, so that a slow disk or a full pipe never holds up a request.

Event loops append batches under a lock; the thread takes them from the front, several at once, and writes them. A batch
is settled when it is written or lost, whichever it was is counted, and `flush` waits for that. Nothing that the target
raises ends the thread: what was under way is counted as lost, and the thread begins again after a delay. If it ends all
the same (``SystemExit``, no memory), the next lines start another one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from random import Random
from typing import Final, Protocol

from gateway_plugin_sdk import Backoff

from gateway_plugin_logger.sinks.stats import SinkStats

_PIECE: Final = 256 * 1024
"""Characters that are put together at once; joining and encoding hold the interpreter's lock."""

_Batch = tuple[str, int]
"""Lines as one text, and how many they are."""


class Target(Protocol):
    """What a writer writes to; only its thread calls it."""

    def write(self, data: bytes) -> None:
        """Write all of the data.

        :raises OSError: some of it could not be written.
        """

    def reopen(self) -> None:
        """Let go of what is open, and open it anew before the next line."""

    def close(self) -> None:
        """Let go of everything."""


class LineWriter:
    """Takes lines from the event loop, gathers them for a while, and writes them from its thread."""

    def __init__(self, target: Target, stats: SinkStats, *, flush_interval: float, max_pending: int, name: str) -> None:
        self.target = target
        self._stats = stats
        self._flush_interval = flush_interval
        self._max_pending = max_pending
        self._batches: list[_Batch] = []
        self._lines_under_way = self._size_under_way = 0
        """Lines, and characters of them, that the thread has taken and not yet settled."""
        self._appended = 0
        self._settled = 0
        """Characters that came in, and those that are written or lost; the lock is for several event loops."""
        self._lock = threading.Lock()
        self._is_awake = False
        self._is_closing = False
        self._must_reopen = False
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._progress = threading.Condition()
        self._name = name
        self._backoff = Backoff(Random(), longest=5.0)  # noqa: S311 - a delay, no secret
        self._thread = self._start()

    def _start(self) -> threading.Thread:
        thread = threading.Thread(target=self._supervise, name=f"access-log {self._name}", daemon=True)
        thread.start()
        return thread

    def configure(self, *, flush_interval: float, max_pending: int) -> None:
        """Change the options while lines come in."""
        self._flush_interval = flush_interval
        self._max_pending = max_pending

    def extend(self, lines: Sequence[str]) -> None:
        """Take lines; never waits, and drops them if too much is waiting already."""
        text = "".join(lines)
        with self._lock:
            has_room = self._appended - self._settled <= self._max_pending
            if has_room:
                self._appended += len(text)
                self._batches.append((text, len(lines)))
        if not has_room:
            self._stats.dropped(len(lines), "overflow", "the sink takes lines more slowly than they come")
            return
        self._revive()
        if not self._is_awake:
            self._is_awake = True
            self._wake.set()

    def _revive(self) -> None:
        """Start another thread if there is none that would write what waits."""
        if self._thread.is_alive() or self._is_closing:
            return
        with self._lock:
            if not self._thread.is_alive():  # not started by another event loop meanwhile
                self._thread_failed("the thread has ended")
                self._thread = self._start()
                self._wake.set()

    def reopen(self) -> None:
        """Open the target anew before the next line; safe in a signal handler."""
        self._must_reopen = True
        self._wake_up()

    def flush(self, timeout: float) -> bool:
        """Wait until the lines taken so far are written or lost; return whether that was in time."""
        goal, deadline = self._appended, time.monotonic() + timeout
        self._revive()
        self._wake_up()
        with self._progress:
            return self._progress.wait_for(lambda: self._settled >= goal, max(0.0, deadline - time.monotonic()))

    def close(self, timeout: float) -> None:
        """Write what is left, let go of the target and end the thread; lines that are not out in time are lost."""
        self._revive()
        self._is_closing = True
        self._wake_up()
        self._thread.join(timeout)
        lost = self._lines_under_way + sum(count for _, count in self._batches)
        self._stats.dropped(lost, "stop", "the sink did not take them in time")
        self._stats.report()

    def _wake_up(self) -> None:
        self._hurry.set()
        self._wake.set()

    def _supervise(self) -> None:
        while True:
            try:
                self._run()
            except Exception as error:  # noqa: BLE001 - the thread's top: nothing that a target does ends it
                self._thread_failed(repr(error))
                if not self._is_closing:
                    self._hurry.wait(self._backoff.next_delay())
                self._wake.set()  # for what is waiting
            else:
                break
        try:
            self.target.close()
        except Exception as error:  # noqa: BLE001 - the thread's top
            self._stats.failed(repr(error))

    def _thread_failed(self, why: str) -> None:
        """Count a failure of the thread, and what it had taken as lost."""
        lines, self._lines_under_way = self._lines_under_way, 0
        size, self._size_under_way = self._size_under_way, 0
        self._stats.failed(why)
        self._stats.dropped(lines, "writer-failed", why)
        self._settle(size)

    def _settle(self, size: int) -> None:
        self._settled += size
        with self._progress:
            self._progress.notify_all()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            if not self._is_closing:
                self._hurry.wait(self._flush_interval)
            # Before the lines are taken: whoever appends after this wakes us again.
            self._wake.clear()
            self._hurry.clear()
            self._is_awake = False
            is_last = self._is_closing
            if self._must_reopen:
                self._must_reopen = False
                self.target.reopen()
            while self._batches:
                self._write_some()
            if is_last and not self._batches:
                return

    def _write_some(self) -> None:
        batches = size = count = 0
        for text, lines in self._batches:  # the list only grows meanwhile, at its end
            batches += 1
            size += len(text)
            count += lines
            if size >= _PIECE:
                break
        texts = [text for text, _ in self._batches[:batches]]
        self._lines_under_way, self._size_under_way = count, size
        del self._batches[:batches]
        try:
            self.target.write("".join(texts).encode("utf-8", "backslashreplace"))
        except OSError as error:
            self._stats.dropped(count, "write-error", str(error))
        else:
            self._stats.wrote(count)
            self._backoff.reset()
        self._lines_under_way = self._size_under_way = 0
        self._settle(size)
