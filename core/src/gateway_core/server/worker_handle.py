"""A worker process as the supervisor sees it: started, told things, waited for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from gateway_core.clock import Clock
from gateway_core.config import ConfigProblem, problem_from_json
from gateway_core.errors import GatewayError
from gateway_core.server.channel import Channel, ChannelClosedError, Message
from gateway_core.server.handover import RestartNeededError
from gateway_core.server.validation import Canonical
from gateway_core.tasks import spawn

if TYPE_CHECKING:
    from gateway_core.server.spares import Spare

_logger = logging.getLogger("gateway.supervisor")

READY_TIMEOUT: Final = 120.0
_KILL_AFTER: Final = 5.0
_PART_BYTES: Final = 1 << 16


class WorkerRefusedError(GatewayError):
    """A worker did not take a configuration; it says why in words or in problems."""

    def __init__(self, message: str, problems: Sequence[ConfigProblem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


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


class WorkerHandle:
    """One worker."""

    def __init__(self, number: int, process: Waitable, sock: socket.socket, channel: Channel, clock: Clock) -> None:
        self.number = number
        self.pid = process.pid
        self.version = ""
        """Version of the configuration that it runs."""
        self.is_leaving = False
        """Whether it was told to end."""
        self.started_at = clock.monotonic()
        self.samples: Sequence[Any] = ()
        """What its metrics were when it was last asked."""
        self.exit_status: int | None = None
        self.gone = asyncio.Event()
        self._process = process
        self._socket = sock
        self._channel = channel
        self._answers: dict[str, asyncio.Future[Message]] = {}
        self._reading = spawn(self._read(), name=f"worker {number} channel")

    @classmethod
    async def start(cls, number: int, listeners: Mapping[str, int], clock: Clock) -> WorkerHandle:
        """Start a process that inherits these listening sockets. It waits to be told what to do."""
        ours, theirs = socket.socketpair()
        with theirs:
            descriptors = (theirs.fileno(), *listeners.values())
            command = [sys.executable, "-m", "gateway_core.server.worker", str(theirs.fileno()), str(number)]
            process = await asyncio.to_thread(subprocess.Popen, command, pass_fds=descriptors, stdin=subprocess.DEVNULL)
        worker = cls(number, process, ours, await Channel.over(ours), clock)
        await worker._channel.send("hello", listeners=dict(listeners))
        return worker

    @classmethod
    async def fill(cls, number: int, spare: Spare, listeners: Mapping[str, int], clock: Clock) -> WorkerHandle:
        """Tell a process that waits for it which listening sockets it has inherited."""
        worker = cls(number, AdoptedProcess(spare.pid), spare.sock, await Channel.over(spare.sock), clock)
        await worker._channel.send("hello", listeners=dict(listeners))
        return worker

    @classmethod
    async def adopt(cls, number: int, pid: int, descriptor: int, version: str, clock: Clock) -> WorkerHandle:
        """Take over a worker that an earlier program in this very process had started."""
        sock = socket.socket(fileno=descriptor)
        os.set_inheritable(descriptor, False)
        sock.setblocking(False)
        worker = cls(number, AdoptedProcess(pid), sock, await Channel.over(sock), clock)
        worker.version = version
        return worker

    def descriptor(self) -> int:
        """Return the channel's file descriptor, to hand the worker over to the next program."""
        return self._socket.fileno()

    async def _read(self) -> None:
        try:
            while True:
                message = await self._channel.receive()
                waiting = self._answers.pop(message.kind, None)
                if message.kind == "samples":
                    self.samples = message["samples"]
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
        except ChannelClosedError:
            self._channel.close()
        self.exit_status = await self._reap()
        self.gone.set()
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_exception(ChannelClosedError(f"worker {self.number} is gone"))

    async def _reap(self) -> int:
        """Wait for the process, whose channel is closed: it is gone or about to be."""
        killer = asyncio.get_running_loop().call_later(_KILL_AFTER, self.kill)
        try:
            return await asyncio.to_thread(self._process.wait)
        finally:
            killer.cancel()

    async def ask(self, kind: str, answer: str, *, timeout: float = READY_TIMEOUT, **fields: Any) -> Message:  # noqa: ASYNC109  # the worker's, not ours
        """Send a message and wait for its answer.

        :raises ChannelClosedError: the worker is gone.
        :raises TimeoutError: it did not answer.
        """
        waiting = self._answers[answer] = asyncio.get_running_loop().create_future()
        try:
            if self.gone.is_set():
                raise ChannelClosedError(f"worker {self.number} is gone")
            await self._channel.send(kind, **fields)
            async with asyncio.timeout(timeout):
                answered: Message = await waiting
                return answered
        finally:
            self._answers.pop(answer, None)
            if waiting.done() and not waiting.cancelled():
                waiting.exception()

    async def prepare(self, canonical: Canonical, *, timeout: float = READY_TIMEOUT) -> Message:  # noqa: ASYNC109  # the worker's
        """Have the worker build a configuration beside the one it runs.

        :raises WorkerRefusedError: it cannot.
        :raises RestartNeededError: it runs other versions of plugins than the configuration was checked with.
        """
        try:
            for part in parts(canonical.lines):
                await self._channel.send("part", body=part)
            message = await self.ask(
                "prepare", "prepared", timeout=timeout, version=canonical.version, plugins=dict(canonical.plugins)
            )
        except ChannelClosedError:
            raise WorkerRefusedError(f"worker {self.number} ended while it prepared the configuration") from None
        except TimeoutError:
            raise WorkerRefusedError(
                f"worker {self.number} did not prepare the configuration within {timeout:g}s"
            ) from None
        if message["outdated"]:
            raise RestartNeededError(f"new code of {', '.join(message['outdated'])}")
        if message["refusal"] is not None:
            problems = [problem_from_json(entry) for entry in message["problems"]]
            raise WorkerRefusedError(f"worker {self.number}: {message['refusal']}", problems)
        return message

    async def commit(self, version: str) -> Message:
        """Have the worker put in force what it prepared.

        :raises ChannelClosedError: it is gone; its successor starts with the new configuration.
        """
        message = await self.ask("commit", "committed", version=version)
        self.version = version
        return message

    async def discard(self) -> None:
        """Have the worker forget what it prepared."""
        with contextlib.suppress(ChannelClosedError):
            await self._channel.send("discard")

    async def drain(self, deadline: float) -> None:
        """Have the worker finish and end, and wait for it; it is killed if it takes much longer than it may."""
        self.is_leaving = True
        with contextlib.suppress(ChannelClosedError):
            await self._channel.send("drain", deadline=deadline)
        try:
            async with asyncio.timeout(deadline + _KILL_AFTER):
                await self.gone.wait()
        except TimeoutError:
            _logger.warning("worker %d (pid %d) did not end in time and is killed", self.number, self.pid)
            self.kill()
            await self.gone.wait()

    def reopen_files(self) -> None:
        """Have the process open its files anew."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGUSR1)

    def kill(self) -> None:
        """End the process at once."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def __str__(self) -> str:
        return f"worker {self.number} (pid {self.pid})"


def parts(lines: Sequence[bytes]) -> list[bytes]:
    """Pack lines into pieces that a worker takes in without holding up its requests."""
    packed: list[bytes] = []
    piece: list[bytes] = []
    size = 0
    for line in lines:
        piece.append(line)
        size += len(line)
        if size >= _PART_BYTES:
            packed.append(b"\n".join(piece))
            piece, size = [], 0
    if piece:
        packed.append(b"\n".join(piece))
    return packed
