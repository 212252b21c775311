"""Files and streams of the process: one writer each, however many bindings write there."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway_plugin_sdk import Clock

from gateway_plugin_logger.config.sinks import FileSink, StderrSink, StdoutSink
from gateway_plugin_logger.sinks.files import FileTarget
from gateway_plugin_logger.sinks.signals import ReopenSignal
from gateway_plugin_logger.sinks.stats import SinkStats
from gateway_plugin_logger.sinks.streams import StreamTarget
from gateway_plugin_logger.sinks.writer import LineWriter

WriterSink = FileSink | StdoutSink | StderrSink

_DESCRIPTORS: Final = {"stdout": 1, "stderr": 2}
_SECONDS_AT_EXIT: Final = 2.0


@dataclass(slots=True)
class _Shared:
    writer: LineWriter
    users: int = 1


class Destinations:
    """The writers that are open, by what they write to. Only two writers of one file could tread on each other."""

    def __init__(self) -> None:
        self._open: dict[str, _Shared] = {}
        self._before_exit: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._signal = ReopenSignal(self.reopen_all)
        atexit.register(self.flush_all)

    def acquire(self, sink: WriterSink, make_stats: Callable[[], SinkStats], clock: Clock) -> LineWriter:
        """Return the writer of a sink, which is opened if nobody uses it yet; the latest options count.

        :raises OSError: the file cannot be opened.
        """
        key = _key(sink)
        with self._lock:
            shared = self._open.get(key)
            if shared is None:
                writer = _open_writer(sink, make_stats(), clock)
                self._open[key] = _Shared(writer)
                self._signal.install()
                return writer
            shared.users += 1
            shared.writer.configure(flush_interval=sink.flush_interval, max_pending=sink.max_pending)
            if isinstance(sink, FileSink) and isinstance(shared.writer.target, FileTarget):
                shared.writer.target.rotation = sink.rotate
            return shared.writer

    def release(self, writer: LineWriter, timeout: float) -> None:
        """Give a writer back: its lines are written, and the last user closes it. Waits, so call it in a thread."""
        with self._lock:
            key = next(key for key, shared in self._open.items() if shared.writer is writer)
            shared = self._open[key]
            shared.users -= 1
            is_last = not shared.users
            if is_last:
                del self._open[key]
        if is_last:
            writer.close(timeout)
        else:
            writer.flush(timeout)

    async def release_soon(self, writer: LineWriter, timeout: float) -> None:  # noqa: ASYNC109 - the lines' deadline
        """Give a writer back without holding up the event loop."""
        await asyncio.to_thread(self.release, writer, timeout)

    def reopen_all(self) -> None:
        """Open every file anew. Called from a signal handler: takes no lock."""
        for shared in list(self._open.values()):
            shared.writer.reopen()

    def before_exit(self, make_lines: Callable[[], None]) -> None:
        """Have a function called before the last flush, if the process ends without stopping its plugins."""
        self._before_exit.append(make_lines)

    def no_more_before_exit(self, make_lines: Callable[[], None]) -> None:
        """Take back what `before_exit` was given, if it was."""
        if make_lines in self._before_exit:
            self._before_exit.remove(make_lines)

    def flush_all(self) -> None:
        """Write what is left when the process ends without stopping its plugins."""
        for make_lines in list(self._before_exit):
            make_lines()
        for shared in list(self._open.values()):
            shared.writer.flush(_SECONDS_AT_EXIT)


def describe(sink: WriterSink) -> str:
    """Return what metrics and logs call a sink."""
    return f"file:{sink.path}" if isinstance(sink, FileSink) else sink.type


def _key(sink: WriterSink) -> str:
    return f"file:{os.path.realpath(sink.path)}" if isinstance(sink, FileSink) else sink.type


def _open_writer(sink: WriterSink, stats: SinkStats, clock: Clock) -> LineWriter:
    target = (
        FileTarget(Path(sink.path).absolute(), int(sink.mode, 8), sink.rotate, clock, count_trouble=stats.troubled)
        if isinstance(sink, FileSink)
        else StreamTarget(_DESCRIPTORS[sink.type])
    )
    return LineWriter(
        target, stats, flush_interval=sink.flush_interval, max_pending=sink.max_pending, name=describe(sink)
    )


OPEN: Final = Destinations()
"""Those of this process."""
