"""Child processes: spawned, forked or adopted, sent messages over a channel, and waited for.

Every process that the gateway starts is a `Child` in a role (`gateway_core.process.roles`): a worker, the watcher, or
the one that validates. A child is waited for by its process itself, never by the end of a pipe or a socket: what it has
open may be open in children of its own (a plugin that forks), so that no end-of-file ever comes. Linux reports the end
of a process by a descriptor (pidfd_open); elsewhere a thread waits.

* *Spawned* is a fresh interpreter, which runs what is installed then.
* *Forked* is a copy of a program that has just begun (`gateway_core.process.roles.fork`), before it has threads, an
  event loop or a plugin. It takes milliseconds where an interpreter takes a second. Later on the program has threads,
  and a fork may find their locks taken for ever; so workers are forked by one of its children
  (`gateway_core.process.template`).
* *Adopted* is one that an earlier program in this very process had started.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol, cast

from gateway_core.descriptors import EXHAUSTED
from gateway_core.errors import GatewayError
from gateway_core.events import PROCESS_FAILED, emit
from gateway_core.process.channel import Channel, ChannelClosedError, Message
from gateway_core.process.plugin_guard import end_children, handing_on
from gateway_core.reload.bundle import PROTOCOL
from gateway_core.tasks import spawn

WORKER: Final = "worker"
WATCHER: Final = "watcher"
VALIDATOR: Final = "validator"
TEMPLATE: Final = "template"

KILL_AFTER: Final = 3.0
"""Seconds in which a child has to end whose channel has ended."""

_LAST_WORDS: Final = 0.5
"""Seconds in which what a child sent before its end is read."""

_TRY_AGAIN_AFTER: Final = 0.5
"""Seconds after which a child is watched for which there was no descriptor."""

_MOST_OUTPUT: Final = 2000

_ENTRY: Final = Path(__file__).with_name("roles.py")
"""What a fresh interpreter runs."""

OTHER_PROTOCOL: Final = 3
"""Exit status of a child that does not understand the program that started it."""


Handle = Callable[[Message], Awaitable[None]]
"""Does what a message from a child says; the next one waits until it is done."""


class Waitable(Protocol):
    """A process that can be waited for."""

    @property
    def pid(self) -> int:
        """Its process id."""

    def wait(self) -> int:
        """Block until it has ended and return its exit status."""


@dataclass(frozen=True, slots=True)
class Forked:
    """A process that waits to be sent its first message, of a program that has no event loop yet."""

    pid: int
    sock: socket.socket
    """Our end of its channel; the process ends when this is closed."""
    output: BinaryIO | None = None
    """What it prints, if that is not shown."""
    reap: Callable[[], Awaitable[int | None]] | None = None
    """Returns its exit status once it has ended, if it is no child of this process; None if that is not known."""

    def wait(self) -> int:
        """Block until it has ended and return its exit status; 0 if it was waited for elsewhere."""
        return reap(self.pid)


def reap(pid: int) -> int:
    """Block until a child has ended and return its exit status; 0 if it was waited for elsewhere."""
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return 0


class Child:
    """One child process."""

    def __init__(
        self,
        name: str,
        process: Waitable,
        sock: socket.socket,
        channel: Channel,
        *,
        output: BinaryIO | None = None,
    ) -> None:
        """Watch a process that has begun.

        :param name: what it is called in the log, such as ``worker 2``.
        :param output: the file that it prints to, if it has one; its process group is then its own.
        """
        self.name = name
        self.pid = process.pid
        self.channel = channel
        self.exit_status: int | None = None
        """Negative is the number of a signal; None while it runs, and if it is not known."""
        self.is_leaving = False
        """Whether it was asked to end."""
        self.gone = asyncio.Event()
        """Set once it has ended and what it sent is taken in."""
        self.printed = ""
        """The end of what it printed, once it has ended, if that was captured."""
        self._process = process
        self._socket = sock
        self._output = output
        self._reading: asyncio.Task[None] | None = None
        self._has_ended = False
        self._watching = spawn(self._watch(), name=f"watch {name}")

    @classmethod
    async def spawn(
        cls, role: str, name: str, *, number: int = 0, inherited: Collection[int] = (), captures: bool = False
    ) -> Child:
        """Start a fresh interpreter.

        :param inherited: the descriptors that it has beside its channel.
        :param captures: keep what it prints, and end it with the processes that it starts.
        :raises GatewayError: what is installed now is another release, which has no such process.
        :raises OSError: the system has no process, memory or descriptors for it.
        """
        if not await asyncio.to_thread(_ENTRY.is_file):
            raise GatewayError(
                "the gateway that is installed now is another release, whose processes this one cannot start: stop the "
                "gateway and start it, or install the release that runs"
            )
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                ours.setblocking(False)
                output = scratch_file() if captures else None
                command = [
                    sys.executable,
                    "-m",
                    "gateway_core.process.roles",
                    *arguments_of(role, theirs.fileno(), number),
                ]
                process = await start_process(command, (theirs.fileno(), *inherited), output)
        except BaseException:
            ours.close()
            if output is not None:
                output.close()
            raise
        return cls(name, process, ours, await Channel.over(ours), output=output)

    @classmethod
    async def take(cls, name: str, forked: Forked) -> Child:
        """Have a process that was forked."""
        forked.sock.setblocking(False)
        return cls(name, forked, forked.sock, await Channel.over(forked.sock), output=forked.output)

    @classmethod
    async def adopt(cls, name: str, pid: int, descriptor: int, unread: bytes) -> Child:
        """Take over a process that an earlier program in this very process had started.

        :param descriptor: our end of its channel.
        :param unread: what had come from it and was not taken.
        """
        sock = socket.socket(fileno=descriptor)
        os.set_inheritable(descriptor, False)
        sock.setblocking(False)
        return cls(name, Forked(pid, sock), sock, await Channel.over(sock, unread))

    def listen(self, handle: Handle) -> None:
        """Take in what it sends from now on; a message that cannot be handled ends it."""
        self._reading = spawn(self._read(handle), name=f"read what {self.name} sends")

    async def call(self, kind: str, /, body: bytes = b"", *, timeout: float, **fields: Any) -> Message:  # noqa: ASYNC109  # the child's, not ours
        """Send a message and return its reply.

        :raises ChannelClosedError: the process is gone, before or while it worked on it.
        :raises TimeoutError: it did not reply.
        """
        async with asyncio.timeout(timeout):
            return await self.channel.call(kind, body, **fields)

    async def leave(self) -> tuple[int, bytes]:
        """Return what `adopt` takes it over with; nothing is read from it any more."""
        unread = await self.channel.release()
        return os.dup(self._socket.fileno()), unread

    async def _read(self, handle: Handle) -> None:
        try:
            while True:
                await handle(await self.channel.receive())
        except ChannelClosedError:
            pass
        except Exception as error:  # noqa: BLE001 - what it sent may be anything
            text = f"{self} sent what is not understood, and is ended"
            emit(PROCESS_FAILED, text, error=error, process_name=str(self), reason=repr(error))
            self.kill()
        self.channel.close()
        # It is gone or about to be; if it is neither, nothing can be asked of it any more.
        asyncio.get_running_loop().call_later(KILL_AFTER, self.kill)

    async def _watch(self) -> None:
        """Wait for the end of the process, and take in its last messages."""
        self.exit_status = await wait_for_exit(self._process)
        self._has_ended = True
        self._kill_group()
        if self._reading is not None:
            # A child of a plugin may hold the other end of the channel open, so that its end never shows.
            await asyncio.wait({self._reading}, timeout=_LAST_WORDS)
            self._reading.cancel()
        self.channel.abort()
        if self._output is not None:
            with self._output as output:
                output.seek(0)
                self.printed = output.read().decode(errors="replace").strip()[-_MOST_OUTPUT:]
        self.gone.set()

    def kill(self) -> None:
        """End the process at once; nothing happens if it has ended already."""
        if not self._has_ended:
            if self.name.startswith("worker"):
                end_children(self.pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._kill_group()

    def _kill_group(self) -> None:
        """End the processes that it has started, if it is in a group of its own."""
        if self._output is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    async def end_reason(self) -> str:
        """End a process whose channel has ended; return why it did, as the rest of a sentence, if that is known."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                await self.gone.wait()
        await self.end()
        if self.exit_status == OTHER_PROTOCOL:
            return ": the gateway that is installed now speaks another protocol than the one that runs"
        return ""

    async def end(self) -> None:
        """End the process at once, and wait for its end."""
        self.is_leaving = True
        self.kill()
        await self.gone.wait()

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})"


def arguments_of(role: str, channel: int, number: int) -> list[str]:
    """Return what `gateway_core.process.roles.main` takes."""
    return [role, str(channel), str(number), str(PROTOCOL)]


async def start_process(
    command: Sequence[str],
    descriptors: Collection[int],
    output: BinaryIO | None,
    environ: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process in a thread, as that takes a while; a caller that is cancelled leaves none behind.

    :param descriptors: what it inherits.
    :param output: the file that it prints to, if not ours; its process group is then its own.
    :param environ: its variables, if not ours.
    :raises OSError: the system has no process, memory or descriptors for it.
    """
    popen = asyncio.to_thread(_popen, command, descriptors, output, environ)
    starting = spawn(popen, name="start a process", on_error=lambda _: None)
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with contextlib.suppress(OSError):
            process = await starting
            process.kill()
            await wait_for_exit(process)
        raise


def _popen(
    command: Sequence[str], descriptors: Collection[int], output: BinaryIO | None, environ: Mapping[str, str] | None
) -> subprocess.Popen[bytes]:
    with handing_on():
        return subprocess.Popen(  # noqa: S603 - ourselves
            command,
            pass_fds=tuple(descriptors),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=output is not None,
            env=environ,
        )


def scratch_file() -> BinaryIO:
    """Return a file without a name; no file system is needed for it, where the system has such files."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("gateway"), "w+b")
    return cast("BinaryIO", tempfile.TemporaryFile())


async def wait_for_exit(process: Waitable) -> int | None:
    """Wait until a child has ended, reap it, and return its exit status; negative is the number of a signal.

    It is None if the child is that of another process, which does not say how it ended.
    """
    try:
        descriptor = await _open_pidfd(process.pid)
    except ProcessLookupError:
        return await _status_of(process)  # reaped elsewhere
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
    return await _status_of(process)


async def _open_pidfd(pid: int) -> int:
    while True:
        try:
            return os.pidfd_open(pid)
        except OSError as error:
            if error.errno not in EXHAUSTED:
                raise
            await asyncio.sleep(_TRY_AGAIN_AFTER)  # there is a descriptor again some time


async def _status_of(process: Waitable) -> int | None:
    if isinstance(process, Forked) and process.reap is not None:
        return await process.reap()
    return process.wait()


def sees_ends_of_others() -> bool:
    """Whether the system lets this process wait for processes that are not its children."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError) as error:  # another system, an old kernel, a sandbox
        return isinstance(error, OSError) and error.errno in EXHAUSTED
    return True


async def _wait_in_thread(process: Waitable) -> int:
    # A thread of its own: those that the loop shares are few, and other work would wait behind a child that lives long.
    threads = ThreadPoolExecutor(1, thread_name_prefix=f"wait for {process.pid}")
    try:
        return await asyncio.get_running_loop().run_in_executor(threads, process.wait)
    finally:
        threads.shutdown(wait=False)
