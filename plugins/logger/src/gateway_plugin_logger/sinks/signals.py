"""SIGUSR1: open the log files anew, as logrotate and people expect."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType


class ReopenSignal:
    """Calls a function on SIGUSR1, and then whatever handled the signal before."""

    __slots__ = ("_is_installed", "_previous", "_reopen")

    def __init__(self, reopen: Callable[[], None]) -> None:
        self._reopen = reopen
        self._previous: object = None
        self._is_installed = False

    def install(self) -> None:
        """Handle the signal from now on. Only the main thread can; elsewhere somebody else runs the process."""
        if self._is_installed or threading.current_thread() is not threading.main_thread():
            return
        self._previous = signal.signal(signal.SIGUSR1, self._handle)
        self._is_installed = True

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._reopen()
        if callable(self._previous):
            self._previous(number, frame)
