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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from gateway_core.clock import Clock
from gateway_core.config import ConfigProblem, problem_from_json
from gateway_core.errors import GatewayError
from gateway_core.hooks import CommandError, SharedStores
from gateway_core.process.channel import Channel, ChannelClosedError, Message, parts
from gateway_core.process.channel_calls import REPLY, ChannelCalls
from gateway_core.process.child import AdoptedProcess, Waitable, kill, wait_for_exit
from gateway_core.process.commands import COMMAND, EVERYWHERE, CommandReport, RunsCommands
from gateway_core.process.forks import handing_on
from gateway_core.process.handover import RestartNeededError, WorkerLeft
from gateway_core.process.shared_values import SHARED, apply_message
from gateway_core.process.watcher_handle import Watcher
from gateway_core.reload.bundle import ConfigBundle
from gateway_core.tasks import Tasks, spawn

if TYPE_CHECKING:
    from gateway_core.process.preforked import PreforkedWorker

_logger = logging.getLogger("gateway.supervisor")

READY_TIMEOUT: Final = 120.0
_KILL_AFTER: Final = 3.0
"""Seconds beyond its deadline in which a worker has to end; less than what the whole program has."""
_LAST_WORDS: Final = 0.5
"""Seconds in which what a worker sent before its end is read."""


class WorkerRefusedError(GatewayError):
    """A worker did not take a configuration; it says why in words or in problems."""

    def __init__(self, message: str, problems: Sequence[ConfigProblem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


async def _in_no_worker(binding: str, command: str, arguments: Mapping[str, Any]) -> CommandReport:  # noqa: ARG001
    return CommandReport(())


@dataclass(frozen=True, slots=True)
class WorkerServices:
    """What a worker may ask for over its channel; what is on trial gets values of its own and no other workers."""

    clock: Clock
    stores: SharedStores = field(default_factory=SharedStores)
    run_command: RunsCommands = _in_no_worker
    ticket_secret: str = field(default="", repr=False)
    """What all workers derive the keys of TLS session tickets from, in hexadecimal."""
    watcher: Watcher | None = None
    """What discovers and checks for it; None has the worker do that itself."""


class WorkerHandle:
    """One worker."""

    def __init__(
        self, number: int, process: Waitable, sock: socket.socket, channel: Channel, services: WorkerServices
    ) -> None:
        self.number = number
        self.pid = process.pid
        self.version = ""
        """Version of the configuration that it runs."""
        self.shared_owners: Sequence[str] = ()
        """Whose shared values the configuration that it runs has to keep."""
        self.is_leaving = False
        """Whether it was told to end."""
        self.started_at = services.clock.monotonic()
        self.samples: Sequence[Any] = ()
        """What its metrics were when it was last asked."""
        self.exit_status: int | None = None
        self.gone = asyncio.Event()
        self._process = process
        self._socket = sock
        self._channel = channel
        self._services = services
        self._calls = ChannelCalls(channel)
        self._running: set[int] = set()
        """Numbers of the worker's calls that run commands everywhere."""
        self._tasks = Tasks()
        self._answers: dict[str, asyncio.Future[Message]] = {}
        self._passing: asyncio.Task[None] | None = None
        """Passes on what the watcher finds."""
        self._reading = spawn(self._read(), name=f"worker {number} channel")
        self._watching = spawn(self._watch(), name=f"worker {number} process")

    @classmethod
    async def start(cls, number: int, listeners: Mapping[str, int], services: WorkerServices) -> WorkerHandle:
        """Start a process that inherits these listening sockets. It waits to be told what to do."""
        ours, theirs = socket.socketpair()
        with theirs:
            descriptors = (theirs.fileno(), *listeners.values())
            command = [sys.executable, "-m", "gateway_core.process.worker", str(theirs.fileno()), str(number)]
            process = await asyncio.to_thread(_popen, command, descriptors)
        worker = cls(number, process, ours, await Channel.over(ours), services)
        await worker._greet(listeners)
        return worker

    @classmethod
    async def fill(
        cls, number: int, spare: PreforkedWorker, listeners: Mapping[str, int], services: WorkerServices
    ) -> WorkerHandle:
        """Tell a process that waits for it which listening sockets it has inherited."""
        worker = cls(number, AdoptedProcess(spare.pid), spare.sock, await Channel.over(spare.sock), services)
        await worker._greet(listeners)
        return worker

    @classmethod
    async def adopt(cls, number: int, left: WorkerLeft, services: WorkerServices) -> WorkerHandle:
        """Take over a worker that an earlier program in this very process had started."""
        sock = socket.socket(fileno=left.channel)
        os.set_inheritable(left.channel, False)
        sock.setblocking(False)
        worker = cls(number, AdoptedProcess(left.pid), sock, await Channel.over(sock, left.unread), services)
        worker.version = left.version
        worker._pass_findings()
        return worker

    async def _greet(self, listeners: Mapping[str, int]) -> None:
        services = self._services
        is_watched = services.watcher is not None
        await self._channel.send(
            "hello", listeners=dict(listeners), ticket_secret=services.ticket_secret, is_watched=is_watched
        )
        self._pass_findings()

    def _pass_findings(self) -> None:
        if self._services.watcher is not None:
            self._passing = self._tasks.spawn(
                self._send_findings(self._services.watcher), name=f"pass findings to {self}"
            )

    def _pass_no_more(self) -> None:
        if self._passing is not None:
            self._passing.cancel()

    async def _send_findings(self, watcher: Watcher) -> None:
        queue = watcher.subscribe()
        try:
            with contextlib.suppress(ChannelClosedError):
                while True:
                    await self._channel.send("finding", finding=await queue.get())
        finally:
            watcher.unsubscribe(queue)

    async def leave(self) -> WorkerLeft:
        """Return what the next program takes the worker over with; nothing is read from it here any more."""
        self._pass_no_more()
        for number in self._running:
            with contextlib.suppress(ChannelClosedError):
                await self._channel.send(REPLY, call=number, results=[], failure="the gateway is being restarted")
        self._running.clear()
        unread = await self._channel.release()
        return WorkerLeft(self.pid, os.dup(self._socket.fileno()), self.version, unread)

    async def _read(self) -> None:
        try:
            while True:
                message = await self._channel.receive()
                if message.kind == REPLY:
                    self._calls.resolve(message)
                    continue
                if message.kind == SHARED:
                    fields, body = apply_message(self._services.stores, message, self._services.clock.monotonic())
                    await self._channel.send(REPLY, body, call=message["call"], **fields)
                    continue
                if message.kind == EVERYWHERE:
                    self._running.add(message["call"])
                    self._tasks.spawn(self._run_everywhere(message), name=f"command for {self}")
                    continue
                waiting = self._answers.pop(message.kind, None)
                if message.kind == "samples":
                    self.samples = message["samples"]
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
        except ChannelClosedError:
            pass
        except Exception:
            _logger.exception("%s sent what is not understood, and is ended", self)
            self.kill()
        self._channel.close()
        self._pass_no_more()
        self._calls.close(f"worker {self.number} is gone")
        # It is gone or about to be; if it is neither, nothing can be asked of it any more.
        asyncio.get_running_loop().call_later(_KILL_AFTER, self.kill)

    async def _watch(self) -> None:
        """Wait for the end of the process, and take in what it said last."""
        self.exit_status = await wait_for_exit(self._process)
        # A child of a plugin may hold the other end of the channel open, so that its end never shows.
        await asyncio.wait({self._reading}, timeout=_LAST_WORDS)
        self._reading.cancel()
        self._channel.close()
        self._pass_no_more()
        self._calls.close(f"worker {self.number} is gone")
        self.gone.set()
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_exception(ChannelClosedError(f"worker {self.number} is gone"))

    async def _run_everywhere(self, message: Message) -> None:
        """Run a command in all workers for one of them, and tell it the results."""
        number, results, failure = message["call"], [], None
        report = await self._services.run_command(message["binding"], message["command"], message["arguments"])
        try:
            results = report.results()
        except CommandError as error:
            failure = str(error)
        if number in self._running:
            self._running.discard(number)
            with contextlib.suppress(ChannelClosedError):
                await self._channel.send(REPLY, call=number, results=results, failure=failure)

    async def run_command(self, binding: str, command: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Have the worker run a command, and return what `gateway_core.process.commands` makes an outcome of.

        :raises ChannelClosedError: it is gone, perhaps while it ran the command.
        """
        message = await self._calls.call(COMMAND, binding=binding, command=command, arguments=dict(arguments))
        outcome: Mapping[str, Any] = message["outcome"]
        return outcome

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

    async def prepare(self, bundle: ConfigBundle, *, timeout: float = READY_TIMEOUT) -> Message:  # noqa: ASYNC109  # the worker's
        """Have the worker build a configuration beside the one it runs.

        :raises WorkerRefusedError: it cannot.
        :raises RestartNeededError: it runs other versions of plugins than the configuration was checked with.
        """
        try:
            for part in parts(bundle.lines):
                await self._channel.send("part", body=part)
            message = await self.ask(
                "prepare", "prepared", timeout=timeout, version=bundle.version, plugins=dict(bundle.plugins)
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
        self.shared_owners = message["shared_owners"]
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
        if not self.gone.is_set() and self.exit_status is None:
            kill(self.pid)

    def __str__(self) -> str:
        return f"worker {self.number} (pid {self.pid})"


def _popen(command: Sequence[str], descriptors: Sequence[int]) -> subprocess.Popen[bytes]:
    with handing_on():
        return subprocess.Popen(  # noqa: S603 - ourselves
            command, pass_fds=descriptors, stdin=subprocess.DEVNULL
        )
