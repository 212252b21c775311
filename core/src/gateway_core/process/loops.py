"""The event loop of a process: how it is run to its end whatever plugins do to it, and the signals that it is sent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import FrameType
from typing import Any, Final, NoReturn, TypeVar

from gateway_core.events import LOOP_STOPPED, SERVER_NOT_ENDING, emit
from gateway_core.hooks.failure_log import describe
from gateway_core.process.log_writer import stop_all
from gateway_core.process.plugin_guard import (
    HANDLED,
    HandlerGuard,
    end_children,
    exit_now,
    restore_signal_module,
    set_handler,
    set_wakeup_fd,
)
from gateway_core.tasks import hide, hide_from_plugins, spawn, spawned

T = TypeVar("T")

_WIND_UP: Final = 2.0
"""Seconds for which what plugins left behind may go on."""

SWITCH_INTERVAL: Final = 0.001
"""Seconds after which a thread that computes lets the loop go on; requests would wait for the default of 5 ms."""


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's if it is installed; None is asyncio's own."""
    try:
        import uvloop  # noqa: PLC0415  # an extra
    except ImportError:
        return None
    return uvloop.new_event_loop


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a program in a loop of its own, and return its result.

    The loop goes on where a plugin's own task raises SystemExit or KeyboardInterrupt, or stops it: neither is kept in a
    task by asyncio. Signals are not meant here, the program has handlers for those. Nor does a plugin that cancels all
    tasks of the loop meet the gateway's.
    """
    hide_from_plugins()
    sys.setswitchinterval(SWITCH_INTERVAL)
    loop = (loop_factory() or asyncio.new_event_loop)()
    asyncio.set_event_loop(loop)
    threads = ThreadPoolExecutor(thread_name_prefix="gateway")
    loop.set_default_executor(threads)
    try:
        task = asyncio.Task(main, loop=loop, name="the program")
        hide(task)
        while True:
            turned: list[bool] = []
            loop.call_soon(turned.append, True)
            try:
                return loop.run_until_complete(task)
            except BaseException as error:
                if task.done() or not turned:  # a loop that cannot even begin will not the next time
                    raise
                reason = describe(error)
                emit(LOOP_STOPPED, f"the event loop was stopped by {reason}, and goes on", reason=reason)
    finally:
        try:
            _wind_up(loop)
        finally:
            # Not the loop's own way to do this, which waits for threads that may never end.
            threads.shutdown(wait=False, cancel_futures=True)
            asyncio.set_event_loop(None)
            loop.close()


def _wind_up(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop) | spawned(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        _, left = loop.run_until_complete(asyncio.wait(tasks, timeout=_WIND_UP))
        for task in left:
            emit(SERVER_NOT_ENDING, f"a task does not end and is left behind: {task!r}", reason=task.get_name())
    loop.run_until_complete(_end_generators(loop))


async def _end_generators(loop: asyncio.AbstractEventLoop) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_WIND_UP):
            await loop.shutdown_asyncgens()


def end_within(seconds: float, status: int) -> None:
    """End the process with this exit status after so many seconds, whatever the event loop and plugins do then."""
    threading.Thread(target=_end_after, args=(seconds, status), name="gateway-end", daemon=True).start()


def _end_after(seconds: float, status: int) -> None:
    time.sleep(seconds)
    with contextlib.suppress(Exception):  # a handler of a plugin may do anything
        emit(SERVER_NOT_ENDING, "the process did not end in time, and is ended", reason="time")
        stop_all()
    end_children(os.getpid())
    exit_now(status)


def leave(status: int) -> NoReturn:
    """End the process with this exit status, even if plugins left threads that do not end."""
    # The interpreter gives up handlers that are functions before it ends: one more signal would change the exit status.
    for number in HANDLED:
        set_handler(number, signal.SIG_IGN)
    end_within(_WIND_UP, status)  # before handlers of plugins are asked to flush
    logging.shutdown()
    end_children(os.getpid())
    sys.stdout.flush()
    sys.stderr.flush()
    raise SystemExit(status)


HURRIED: Final = 5.0
"""Seconds in which the process ends that is to stop at once, or has not begun to serve."""


_MOST_KEPT: Final = 65536
"""Bytes that a pipe holds, each of which is a signal."""


class StoppedError(Exception):
    """A signal to stop came before something was done."""


held: Final[list[signal.Signals]] = []
"""Signals that wait for the next program, see `Signals.hold`."""


def keep_signals() -> int:
    """Have signals wait for the next program in this process; return the descriptor that it passes to `resend_signals`.

    Blocked, they wait by themselves. A thread that is not over yet has not blocked them, and a signal that it takes
    would be lost with this program; so each is written to a pipe as it comes.
    """
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    _send_to_this_thread(held)
    return reader


def resend_signals(reader: int) -> None:
    """Send this thread, in which they are blocked, the signals that other threads of the last program were sent."""
    with contextlib.suppress(BlockingIOError), os.fdopen(reader, "rb", buffering=0) as pipe:
        _send_to_this_thread(HANDLED.intersection(pipe.read(_MOST_KEPT) or b""))


def _send_to_this_thread(numbers: Iterable[int]) -> None:
    for number in numbers:
        signal.pthread_kill(threading.get_ident(), number)


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
        self._is_stopping = False
        """Whether a signal to stop has come, of which the loop may not know yet."""
        loop = asyncio.get_running_loop()
        restore_signal_module()
        add = partial(type(loop).add_signal_handler, loop)  # never what a guard has put in its place
        for number in (signal.SIGTERM, signal.SIGINT):
            add(number, self._on_stop, number)
            if limit is not None:
                self._end_in_time(number, limit)
        add(signal.SIGHUP, on_reload)
        # Who has such files in this process puts a handler of its own before this one.
        add(signal.SIGUSR1, on_reopen)
        add(signal.SIGUSR2, on_restart)
        self._guard = HandlerGuard(loop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)

    def _on_stop(self, number: signal.Signals) -> None:
        self._is_stopping = True
        if self.stop.is_set():
            self.hurry.set()
        self.stopped_by = self.stopped_by or number.name
        self.stop.set()

    def _end_in_time(self, number: signal.Signals, limit: Callable[[], float]) -> None:
        """Begin to count down when a signal comes, which a loop that a hook holds up takes no notice of."""
        loops_own: Any = signal.getsignal(number)
        count = 0

        def handle(sent: int, frame: FrameType | None) -> None:
            nonlocal count
            count += 1
            self._is_stopping = True
            seconds = limit() if count == 1 else HURRIED
            end_within(seconds, 0)
            # A thread gets no turn while C code of a hook keeps the interpreter, which may still look for signals.
            set_handler(signal.SIGALRM, _end_at_once)
            signal.setitimer(signal.ITIMER_REAL, seconds + 0.5)
            if callable(loops_own):
                loops_own(sent, frame)

        set_handler(number, handle)

    def hold(self) -> None:
        """From now on keep signals for the program that takes this one's place; those to stop that came already too."""
        loop = asyncio.get_running_loop()
        self._guard.release()
        if self._is_stopping:
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


def _end_at_once(_sent: int, _frame: FrameType | None) -> None:
    end_children(os.getpid())
    exit_now(0)
