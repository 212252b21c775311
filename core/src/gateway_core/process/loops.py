"""The event loop that serves: which one it is, and how it is run to the end whatever plugins do to it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NoReturn, TypeVar

from gateway_core.events import LOOP_STOPPED, PLUGIN_EXITED, SERVER_NOT_ENDING, emit
from gateway_core.hooks.failure_log import describe
from gateway_core.process import logs
from gateway_core.process.log_writer import stop_all

T = TypeVar("T")

_WIND_UP: Final = 2.0
"""Seconds for which what plugins left behind may go on."""

exit_now: Final = os._exit
"""End the process without a trace, see `name_exits`."""


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
    task by asyncio. Signals are not meant here, the program has handlers for those.
    """
    loop = (loop_factory() or asyncio.new_event_loop)()
    asyncio.set_event_loop(loop)
    threads = ThreadPoolExecutor(thread_name_prefix="gateway")
    loop.set_default_executor(threads)
    try:
        task = asyncio.Task(main, loop=loop, name="the program")
        while True:
            try:
                return loop.run_until_complete(task)
            except BaseException as error:
                if task.done():
                    raise
                reason = describe(error)
                emit(LOOP_STOPPED, f"the event loop was stopped by {reason}, and goes on", reason=reason)
    finally:
        _wind_up(loop)
        # Not the loop's own way to do this, which waits for threads that may never end.
        threads.shutdown(wait=False, cancel_futures=True)
        asyncio.set_event_loop(None)
        loop.close()


def _wind_up(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        _, left = loop.run_until_complete(asyncio.wait(tasks, timeout=_WIND_UP))
        for task in left:
            emit(SERVER_NOT_ENDING, f"a task does not end and is left behind: {task!r}", reason=task.get_name())
    with contextlib.suppress(TimeoutError):
        loop.run_until_complete(asyncio.wait_for(loop.shutdown_asyncgens(), _WIND_UP))


def end_within(seconds: float, status: int) -> None:
    """End the process with this exit status after so many seconds, whatever the event loop and plugins do then."""
    threading.Thread(target=_end_after, args=(seconds, status), name="gateway-end", daemon=True).start()


def _end_after(seconds: float, status: int) -> None:
    time.sleep(seconds)
    with contextlib.suppress(Exception):  # a handler of a plugin may do anything
        emit(SERVER_NOT_ENDING, "the process did not end in time, and is ended", reason="time")
        stop_all()
    exit_now(status)


def name_exits() -> None:
    """From now on say in the log which code ends this process by `os._exit`, which leaves no trace otherwise."""
    process = os.getpid()

    def named(status: int) -> NoReturn:
        if os.getpid() == process:  # a child that a plugin forks ends like this as a matter of course
            caller = sys._getframe(1)  # noqa: SLF001 - as logging finds the caller
            place = f"{caller.f_code.co_filename}:{caller.f_lineno}"
            with contextlib.suppress(Exception):
                logs.restore()
                text = f"the process is ended with status {status} by os._exit at {place}"
                emit(PLUGIN_EXITED, text, status=status, file=place)
                stop_all()
        exit_now(status)

    module: Any = os
    setattr(module, "_exit", named)  # noqa: B010 - a name of the module, though it begins like a private one


def leave(status: int) -> NoReturn:
    """End the process with this exit status, even if plugins left threads that do not end."""
    end_within(_WIND_UP, status)  # before handlers of plugins are asked to flush
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    raise SystemExit(status)
