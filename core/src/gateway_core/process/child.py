"""Child processes: waited for by the process itself, never by the end of a pipe or a socket.

What a child has open may be open in children of its own (a plugin that forks), so that no end-of-file ever comes. Linux
tells the end of a process by a descriptor (pidfd_open); elsewhere, or without a descriptor, a thread waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol


class Waitable(Protocol):
    """A child process."""

    pid: int

    def wait(self) -> int:
        """Block until it has ended and return its exit status."""
        ...


class AdoptedProcess:
    """A child that was forked, or that an earlier program in this very process had started."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def wait(self) -> int:
        """Block until it has ended and return its exit status."""
        try:
            return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        except ChildProcessError:
            return 0


async def wait_for_exit(process: Waitable) -> int:
    """Wait until a child has ended, reap it, and return its exit status; negative is the number of a signal."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return process.wait()  # reaped elsewhere
    except (AttributeError, OSError):
        return await _wait_in_thread(process)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    try:
        loop.add_reader(descriptor, ended.set)
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return process.wait()


async def _wait_in_thread(process: Waitable) -> int:
    # A thread of its own: those that the loop shares are few, and other work would wait behind a child that lives long.
    threads = ThreadPoolExecutor(1, thread_name_prefix=f"wait for {process.pid}")
    try:
        return await asyncio.get_running_loop().run_in_executor(threads, process.wait)
    finally:
        threads.shutdown(wait=False)


def kill(pid: int) -> None:
    """End a child at once; nothing happens if it has ended already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
