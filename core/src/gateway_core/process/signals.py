"""Signals, and waiting for them."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from types import FrameType
from typing import Any, Final, TypeVar

from gateway_core.events import PLUGIN_CALL_REFUSED, emit
from gateway_core.process import loops
from gateway_core.tasks import spawn

T = TypeVar("T")


HURRIED: Final = 5.0
"""Seconds in which the process ends that is to stop at once, or has not begun to serve."""

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


_set_handler: Final = signal.signal
_set_wakeup_fd: Final = signal.set_wakeup_fd


class HandlerGuard:
    """Keeps plugins from replacing or removing the handlers of this process's signals.

    Without its handler a SIGHUP would end the process, and a SIGTERM would end it without draining. Guarded are both
    ways to a handler, the loop's and the module `signal`'s, and the descriptor by which the loop learns of signals.

    SIGUSR1 is for everything that has files to reopen. The loop learns of it by that descriptor, so a function that a
    plugin has called as well, by `signal.signal`, takes nothing away.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to guard; needs the main thread, in which alone handlers can be set."""
        self._loop = loop
        self._wakeup_fd = _set_wakeup_fd(-1)
        _set_wakeup_fd(self._wakeup_fd, warn_on_full_buffer=False)
        guarded: Any = loop
        guarded.add_signal_handler, guarded.remove_signal_handler = self._add, self._remove
        module: Any = signal
        module.signal, module.set_wakeup_fd = self._set, self._wake_up

    def release(self) -> None:
        """Guard no longer."""
        guarded: Any = self._loop
        del guarded.add_signal_handler, guarded.remove_signal_handler
        restore_signal_module()

    def _refuses(self, number: int) -> bool:
        if number not in HANDLED or not self._loop.is_running():  # a loop that closes removes them all
            return False
        text = f"the handler for {signal.Signals(number).name} is not changed: it is the gateway's own"
        emit(PLUGIN_CALL_REFUSED, text, reason=text)
        return True

    def _add(self, sig: int, callback: Callable[..., object], *args: Any) -> None:
        if not self._refuses(sig):
            type(self._loop).add_signal_handler(self._loop, sig, callback, *args)

    def _remove(self, sig: int) -> bool:
        return not self._refuses(sig) and type(self._loop).remove_signal_handler(self._loop, sig)

    def _set(self, signalnum: int, handler: Any) -> Any:
        is_beside = signalnum == signal.SIGUSR1 and callable(handler)
        if not is_beside and self._refuses(signalnum):
            return signal.getsignal(signalnum)
        return _set_handler(signalnum, handler)

    def _wake_up(self, fd: int, /, *, warn_on_full_buffer: bool = True) -> int:
        if self._loop.is_running() and fd != self._wakeup_fd:
            text = "the descriptor that signals are written to is not changed: it is the event loop's own"
            emit(PLUGIN_CALL_REFUSED, text, reason=text)
            return self._wakeup_fd
        return _set_wakeup_fd(fd, warn_on_full_buffer=warn_on_full_buffer)


def restore_signal_module() -> None:
    """Undo what a guard, perhaps of a loop that is no more, did to the module `signal`."""
    signal.signal, signal.set_wakeup_fd = _set_handler, _set_wakeup_fd


class Signals:
    """What signals ask of the process.

    SIGTERM and SIGINT stop it, gently the first time and at once the second time; SIGHUP reloads the configuration;
    SIGUSR1 has files such as access logs reopened; SIGUSR2 restarts the program without a gap.
    """

    def __init__(
        self,
        *,
        on_reload: Callable[[], None],
        on_restart: Callable[[], None],
        on_reopen: Callable[[], None] = lambda: None,
        limit: Callable[[], float] | None = None,
    ) -> None:
        """Listen to signals; needs a running event loop in the main thread.

        :param limit: seconds after a signal to stop in which the process ends, whatever plugins do; it is not ended
            unless this is given.
        """
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()
        self.stopped_by = ""
        """Name of the first signal to stop."""
        loop = asyncio.get_running_loop()
        restore_signal_module()
        add = partial(type(loop).add_signal_handler, loop)  # never what a guard has put in its place
        for number in (signal.SIGTERM, signal.SIGINT):
            add(number, self._on_stop, number)
            if limit is not None:
                _end_in_time(number, limit)
        add(signal.SIGHUP, on_reload)
        # Who has such files in this process puts a handler of its own before this one.
        add(signal.SIGUSR1, on_reopen)
        add(signal.SIGUSR2, on_restart)
        self._guard = HandlerGuard(loop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)

    def _on_stop(self, number: signal.Signals) -> None:
        if self.stop.is_set():
            self.hurry.set()
        self.stopped_by = self.stopped_by or number.name
        self.stop.set()

    def hold(self) -> None:
        """From now on keep signals for the program that takes this one's place; those to stop that came already too."""
        loop = asyncio.get_running_loop()
        self._guard.release()
        if self.stop.is_set():
            held.append(signal.SIGTERM)
        for number in HANDLED:
            loop.remove_signal_handler(number)
            signal.signal(number, lambda number, _frame: held.append(signal.Signals(number)))

    async def run_until_signal(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something, and give it up when a signal to stop comes.

        :raises StoppedError: it was given up.
        """
        return await _unless(self.stop, work)

    async def run_until_second_signal(self, work: Coroutine[Any, Any, T]) -> T:
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


def _end_in_time(number: signal.Signals, limit: Callable[[], float]) -> None:
    """Begin to count down when a signal comes, which a loop that a hook holds up takes no notice of."""
    loops_own: Any = signal.getsignal(number)
    count = 0

    def handle(sent: int, frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        seconds = limit() if count == 1 else HURRIED
        loops.end_within(seconds, 0)
        # A thread gets no turn while C code of a hook keeps the interpreter, which may still look for signals.
        _set_handler(signal.SIGALRM, lambda *_: loops.exit_now(0))
        signal.setitimer(signal.ITIMER_REAL, seconds + 0.5)
        if callable(loops_own):
            loops_own(sent, frame)

    _set_handler(number, handle)
