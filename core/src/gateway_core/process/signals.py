"""Signals, and waiting for them."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from gateway_core.tasks import spawn

T = TypeVar("T")


HANDLED: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2})


class StoppedError(Exception):
    """A signal to stop came before something was done."""


held: Final[list[signal.Signals]] = []
"""Signals that wait for the next program, see `Signals.hold`."""


def send_held_signals() -> None:
    """Send this thread again what was held; blocked, it waits until the next program can take it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    for number in held:
        signal.pthread_kill(threading.get_ident(), number)


class Signals:
    """What the process was told by signals.

    SIGTERM and SIGINT stop it, gently the first time and at once the second time; SIGHUP reloads the configuration;
    SIGUSR1 has files such as access logs opened anew; SIGUSR2 restarts the program without a gap.
    """

    def __init__(
        self,
        *,
        on_reload: Callable[[], None],
        on_restart: Callable[[], None],
        on_reopen: Callable[[], None] = lambda: None,
    ) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()
        self.stopped_by = ""
        """Name of the first signal to stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop, number)
        loop.add_signal_handler(signal.SIGHUP, on_reload)
        # Who has such files in this process puts a handler of its own before this one.
        loop.add_signal_handler(signal.SIGUSR1, on_reopen)
        loop.add_signal_handler(signal.SIGUSR2, on_restart)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)

    def _on_stop(self, number: signal.Signals) -> None:
        if self.stop.is_set():
            self.hurry.set()
        self.stopped_by = self.stopped_by or number.name
        self.stop.set()

    def hold(self) -> None:
        """From now on keep signals for the program that takes this one's place; those to stop that came already too."""
        loop = asyncio.get_running_loop()
        if self.stop.is_set():
            held.append(signal.SIGTERM)
        for number in HANDLED:
            loop.remove_signal_handler(number)
            signal.signal(number, lambda number, _frame: held.append(signal.Signals(number)))

    async def unless_stopped(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something, and give it up when a signal to stop comes.

        :raises StoppedError: it was given up.
        """
        return await _unless(self.stop, work)

    async def unless_hurried(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something, and give it up when a second signal to stop comes.

        :raises StoppedError: it was given up.
        """
        return await _unless(self.hurry, work)


async def _unless(event: asyncio.Event, work: Coroutine[Any, Any, T]) -> T:
    task = spawn(work, name="work until a signal", on_error=lambda _: None)
    waiting = spawn(event.wait(), name="wait for a signal")
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise StoppedError
    finally:
        for each in (task, waiting):
            if not each.done():
                each.cancel()
        await asyncio.wait({task, waiting})
