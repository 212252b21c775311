"""What plugins share with the gateway in one process, and could take away without meaning to.

* *The end of the process*: `os._exit` leaves no trace, so the log names the code that calls it (`name_exits`).
* *Signals*: without its handler a SIGHUP would end the process (`HandlerGuard`).
* *Surroundings*: names of files in configurations are relative to where the gateway was started, the next reload reads
  the environment's variables again, and operators read standard error. So all are as before once plugins were imported
  and started (`keep_surroundings`). Variables that plugins set for themselves stay.
* *Sockets*: descriptors are closed by ``exec``, but a child that a plugin forks (`os.fork`, `multiprocessing`) has them
  all. One that lives on with a listening socket keeps its address taken, and the system goes on to give it connections
  that it never accepts. So a fork closes the sockets of `keep_from_children`. They are known by their inode, which
  every duplicate of a descriptor shares.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn

from gateway_core.events import PLUGIN_CALL_REFUSED, PLUGIN_EXITED, PLUGIN_SURROUNDINGS, emit
from gateway_core.process import logs
from gateway_core.process.log_writer import stop_all

# -- the end of the process

exit_now: Final = os._exit
"""End the process without a trace, see `name_exits`."""


def end_children(pid: int) -> None:
    """End the processes that a process has started and left behind, as plugins do, and those that these have."""
    for child in list(_children_of(pid)):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            os.kill(child, signal.SIGKILL)


def _children_of(pid: int) -> Iterator[int]:
    """Yield the descendants of a process, as Linux lists them; one that ends meanwhile has none."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return
    for thread in threads:
        found = ""
        with contextlib.suppress(OSError):
            found = (thread / "children").read_text()
        for child in map(int, found.split()):
            yield from _children_of(child)
            yield child


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


# -- signals

HANDLED: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2})

set_handler: Final = signal.signal
"""Set a handler, whatever a guard has put in the module's place."""
set_wakeup_fd: Final = signal.set_wakeup_fd
"""Set the descriptor that signals are written to, likewise."""

_HANDLER_TIMEOUT: Final = 10.0
"""Seconds for the main thread to set a handler, which may itself wait for what the plugin's thread holds."""


class HandlerGuard:
    """Keeps plugins from replacing or removing the handlers of this process's signals.

    Without its handler a SIGHUP would end the process, and a SIGTERM would end it without draining. Guarded are both
    ways to a handler, the loop's and the module `signal`'s, and the descriptor by which the loop learns of signals.

    SIGUSR1 is for everything that has files to reopen. The loop learns of it by that descriptor, so a function that a
    plugin has called as well, by `signal.signal`, takes nothing away.

    Other signals are for plugins to handle. Python sets handlers in the main thread only, and plugins are imported in
    another one while requests are served (`gateway check` imports them in its main thread). So there the main thread
    sets it for them.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to guard; needs the main thread, in which alone handlers can be set."""
        self._loop = loop
        self._wakeup_fd = set_wakeup_fd(-1)
        set_wakeup_fd(self._wakeup_fd, warn_on_full_buffer=False)
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
        if threading.current_thread() is threading.main_thread() or not self._loop.is_running():
            return set_handler(signalnum, handler)
        before: Future[Any] = Future()
        self._loop.call_soon_threadsafe(_resolve, before, signalnum, handler)
        return before.result(_HANDLER_TIMEOUT)

    def _wake_up(self, fd: int, /, *, warn_on_full_buffer: bool = True) -> int:
        if self._loop.is_running() and fd != self._wakeup_fd:
            text = "the descriptor that signals are written to is not changed: it is the event loop's own"
            emit(PLUGIN_CALL_REFUSED, text, reason=text)
            return self._wakeup_fd
        return set_wakeup_fd(fd, warn_on_full_buffer=warn_on_full_buffer)


def _resolve(before: Future[Any], signalnum: int, handler: Any) -> None:
    try:
        before.set_result(set_handler(signalnum, handler))
    except Exception as error:  # noqa: BLE001 - the caller's, in its thread
        before.set_exception(error)


def restore_signal_module() -> None:
    """Undo what a guard, perhaps of a loop that is no more, did to the module `signal`."""
    signal.signal, signal.set_wakeup_fd = set_handler, set_wakeup_fd


# -- surroundings

_STDERR: Final = 2


@contextmanager
def keep_surroundings() -> Iterator[None]:
    """Undo what plugins change of directory and standard error, and bring back variables that they remove."""
    directory, variables = _directory(), dict(os.environ)
    stream, descriptor = sys.stderr, _copy_of(_STDERR)
    try:
        yield
    finally:
        is_other = sys.stderr is not stream
        sys.stderr = stream
        if descriptor is not None:
            if not _is_same(descriptor, _STDERR):
                os.dup2(descriptor, _STDERR)
                is_other = True
            os.close(descriptor)
        if is_other:
            text = "a plugin closed or replaced standard error, which is as before"
            emit(PLUGIN_SURROUNDINGS, text, reason=text)
        removed = {name: value for name, value in variables.items() if name not in os.environ}
        if removed:
            os.environ.update(removed)
            shown = ", ".join(sorted(removed)[:5]) + (f" and {len(removed) - 5} more" if len(removed) > 5 else "")
            text = f"a plugin removed variables of the environment, which are back: {shown}"
            emit(PLUGIN_SURROUNDINGS, text, reason=text)
        if directory is not None and _directory() != directory:
            os.chdir(directory)
            text = f"a plugin changed the working directory: it is {directory} again"
            emit(PLUGIN_SURROUNDINGS, text, reason=text)


def _directory() -> str | None:
    try:
        return str(Path.cwd())
    except FileNotFoundError:  # it was removed since the start
        return None


def _copy_of(descriptor: int) -> int | None:
    try:
        return os.dup(descriptor)
    except OSError:  # it was closed when the gateway was started, or there are no more descriptors
        return None


def _is_same(one: int, other: int) -> bool:
    try:
        return os.path.sameopenfile(one, other)
    except OSError:
        return False


# -- sockets

_DESCRIPTORS: Final = "/dev/fd"

_kept: Final[set[int]] = set()
"""Inodes of the sockets that only this process is to have."""


class _Forking(threading.local):
    is_ours: bool = False


_forking: Final = _Forking()


def keep_from_children(sock: socket.socket) -> None:
    """Close a socket in every child that is forked from now on."""
    if not _kept:
        os.register_at_fork(after_in_child=_close_kept)
    _kept.add(os.fstat(sock.fileno()).st_ino)


def release(sock: socket.socket) -> None:
    """Forget a socket that is about to be closed: its inode will be another's."""
    with contextlib.suppress(OSError):
        _kept.discard(os.fstat(sock.fileno()).st_ino)


@contextmanager
def handing_on() -> Iterator[None]:
    """Let the children that this thread starts meanwhile inherit what they are given."""
    _forking.is_ours = True
    try:
        yield
    finally:
        _forking.is_ours = False


def _close_kept() -> None:
    if _forking.is_ours:
        return
    try:
        names = os.listdir(_DESCRIPTORS)  # noqa: PTH208 - numbers, not paths
    except OSError:
        return
    for name in names:
        with contextlib.suppress(OSError, ValueError):
            if os.fstat(int(name)).st_ino in _kept:
                os.close(int(name))
