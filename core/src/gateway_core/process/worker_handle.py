"""A worker as the supervisor sees it: started, sent configurations, waited for."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from gateway_core.clock import Clock
from gateway_core.config import ConfigError, ConfigProblem, problem_from_json
from gateway_core.errors import GatewayError, ProcessEndedError
from gateway_core.events import WORKER_KILLED, emit
from gateway_core.hooks import CommandError, SharedStores
from gateway_core.observe.live_feed import LiveFeed
from gateway_core.observe.tail_filter import TailFilter
from gateway_core.process.channel import ChannelClosedError, Message, parts
from gateway_core.process.child import KILL_AFTER, WORKER, Child, Forked
from gateway_core.process.live_link import LIVE, WATCH, take
from gateway_core.process.model import RestartNeededError, WorkerLeft
from gateway_core.process.override_table import OverrideTable
from gateway_core.process.patience import patiently
from gateway_core.process.plugin_services import COMMAND, EVERYWHERE, SHARED, CommandReport, RunsCommands, apply_message
from gateway_core.reload.bundle import ConfigBundle
from gateway_core.tasks import Tasks
from gateway_core.upstreams.finding_store import FindingStore

READY_TIMEOUT: Final = 120.0
_WATCH_TIMEOUT: Final = 2.0
TRIAL_TIMEOUT: Final = 45.0
"""Seconds; a plugin that awaits has thirty of them to start."""

_RESPONSE_TIMEOUT: Final = 5.0
"""Seconds after which a worker that does not even reply or read what it is sent cannot serve either."""


class WorkerRefusedError(GatewayError):
    """A worker did not take a configuration; it says why in words or in problems."""

    def __init__(self, message: str, problems: Sequence[ConfigProblem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class WorkerEndedError(WorkerRefusedError, ProcessEndedError):
    """A worker ended while it prepared a configuration."""


def as_config_error(error: BaseException) -> BaseException:
    """Return what is raised in place of an error of a worker."""
    if isinstance(error, WorkerRefusedError):
        return ConfigError(error.problems) if error.problems else error
    return GatewayError(str(error)) if isinstance(error, ChannelClosedError) else error


async def _in_no_worker(binding: str, command: str, arguments: Mapping[str, Any]) -> CommandReport:  # noqa: ARG001
    return CommandReport(())


@dataclass(frozen=True, slots=True)
class WorkerServices:
    """What a worker may ask for over its channel; what is on trial gets values of its own and no other workers."""

    clock: Clock
    stores: SharedStores = field(default_factory=SharedStores)
    run_command: RunsCommands = _in_no_worker
    findings: FindingStore | None = None
    """What another process discovers and checks for it; None has the worker do that itself."""
    feed: LiveFeed | None = None
    """Takes what it has for the live events."""
    overrides: OverrideTable = field(default_factory=OverrideTable)
    """What operators override."""


class WorkerHandle:
    """One worker."""

    def __init__(self, number: int, child: Child, services: WorkerServices) -> None:
        self.number = number
        self.child = child
        self.version = ""
        """Version of the configuration that it runs."""
        self.shared_owners: Sequence[str] = ()
        """Whose shared values the configuration that it runs has to keep."""
        self.started_at = services.clock.monotonic()
        self.last_samples = b""
        """What it said of its metrics at its end (`Samples.dump`)."""
        self._services = services
        self._running: dict[int, Message] = {}
        """The worker's calls that run commands everywhere, by their numbers."""
        self._tasks = Tasks()
        child.listen(self._handle)
        if services.findings is not None:
            self._tasks.supervise(
                partial(self._pass_findings, services.findings), name=f"pass findings to {child.name}"
            )
        self._tasks.spawn(self._end_with_child(), name=f"end with {child}")

    @classmethod
    async def start(
        cls, number: int, listeners: Mapping[str, int], services: WorkerServices, *, forked: Forked | None = None
    ) -> WorkerHandle:
        """Start a process that inherits these listening sockets. It waits to be sent its first message.

        :param forked: one that waits already, and has the sockets.
        :raises OSError: the system has no process, memory or descriptors for it.
        :raises ChannelClosedError: it ended at once.
        """
        name = f"worker {number}"
        if forked is None:
            child = await Child.spawn(WORKER, name, number=number, inherited=listeners.values())
        else:
            child = await Child.take(name, forked)
        is_watched = services.findings is not None
        try:
            await child.channel.send("hello", listeners=dict(listeners), number=number, is_watched=is_watched)
            await services.overrides.begin(child, number)
        except BaseException:
            await child.end()
            raise
        return cls(number, child, services)

    @classmethod
    async def adopt(cls, number: int, left: WorkerLeft, services: WorkerServices) -> WorkerHandle:
        """Take over a worker that an earlier program in this very process had started."""
        worker = cls(number, await Child.adopt(f"worker {number}", left.pid, left.channel, left.unread), services)
        worker.version = left.version
        services.overrides.adopt(worker.child, number)
        return worker

    async def leave(self) -> WorkerLeft | None:
        """Return what the next program takes the worker over with; nothing is read from it here any more.

        :returns: None if it has ended, or does not read what it is still sent; then it is ended.
        """
        if self.child.gone.is_set():
            return None
        await self._tasks.aclose()
        leaving = self._reply_and_leave()
        try:
            descriptor, unread = await patiently(
                leaving, self.child.pid, _RESPONSE_TIMEOUT, what=f"{self}, which is handed over"
            )
        except (TimeoutError, OSError):
            self._give_up("cannot be handed over")
            return None
        return WorkerLeft(self.child.pid, descriptor, self.version, unread)

    async def _reply_and_leave(self) -> tuple[int, bytes]:
        for call in self._running.values():
            with contextlib.suppress(ChannelClosedError):
                await self.child.channel.reply(call, results=[], failure="the gateway is being restarted")
        return await self.child.leave()

    # -- what it sends

    async def _handle(self, message: Message) -> None:
        if message.kind == SHARED:
            fields, body = apply_message(self._services.stores, message, self._services.clock.monotonic())
            await self.child.channel.reply(message, body, **fields)
        elif message.kind == EVERYWHERE:
            self._running[message["call"]] = message
            self._tasks.spawn(self._run_everywhere(message), name=f"command for {self}")
        elif message.kind == LIVE:
            take(self._services.feed, message, process=self.child.name, worker=self.number)
        elif message.kind == "samples":
            self.last_samples = message.body

    async def _run_everywhere(self, message: Message) -> None:
        """Run a command in all workers for one of them, and send it the results."""
        results, failure = [], None
        report = await self._services.run_command(message["binding"], message["command"], message["arguments"])
        try:
            results = report.results()
        except CommandError as error:
            failure = str(error)
        del self._running[message["call"]]
        with contextlib.suppress(ChannelClosedError):
            await self.child.channel.reply(message, results=results, failure=failure)

    async def _pass_findings(self, findings: FindingStore) -> None:
        queue = findings.subscribe()
        try:
            with contextlib.suppress(ChannelClosedError):
                while True:
                    await self.child.channel.send("finding", finding=await queue.get())
        finally:
            findings.unsubscribe(queue)

    async def _end_with_child(self) -> None:
        await self.child.gone.wait()
        await self._tasks.aclose()

    # -- what is sent to it

    async def prepare(self, bundle: ConfigBundle, *, timeout: float = READY_TIMEOUT) -> None:  # noqa: ASYNC109  # the worker's
        """Have the worker build a configuration beside the one it runs.

        :raises WorkerRefusedError: it cannot.
        :raises RestartNeededError: it runs other versions of plugins than the configuration was checked with.
        """
        preparing, what = self._send_and_prepare(bundle), f"{self}, which prepares a configuration"
        try:
            message = await patiently(preparing, self.child.pid, timeout, what=what)
        except ChannelClosedError:
            why = await self.child.end_reason()
            raise WorkerEndedError(f"worker {self.number} ended while it prepared the configuration{why}") from None
        except TimeoutError:
            text = f"worker {self.number} did not prepare the configuration within {timeout:g}s"
            if await self._responds():
                raise WorkerRefusedError(text) from None
            self._give_up("does not respond")  # else no further edit would be in force either
            raise WorkerEndedError(f"{text}; it does not respond, and is replaced") from None
        if message["outdated"]:
            raise RestartNeededError(f"new code of {', '.join(message['outdated'])}")
        if message["refusal"] is not None:
            problems = [problem_from_json(entry) for entry in message["problems"]]
            raise WorkerRefusedError(f"worker {self.number}: {message['refusal']}", problems)

    async def _send_and_prepare(self, bundle: ConfigBundle) -> Message:
        for part in parts(bundle.lines):
            await self.child.channel.send("part", body=part)
        return await self.child.channel.call("prepare", version=bundle.version, plugins=dict(bundle.plugins))

    async def _responds(self) -> bool:
        asking = self.child.channel.call("status")
        try:
            await patiently(asking, self.child.pid, _RESPONSE_TIMEOUT, what=f"{self}, which may be held up")
        except (ChannelClosedError, TimeoutError):
            return False
        except GatewayError:  # which is a reply
            pass
        return True

    def _give_up(self, why: str) -> None:
        """End a worker that cannot serve; it is replaced like one that crashes."""
        emit(WORKER_KILLED, f"{self} {why} and is killed", worker=self.number, pid=self.child.pid)
        self.child.kill()

    async def commit(self, version: str) -> str:
        """Have the worker put in force what it prepared; return what that changed.

        :raises ChannelClosedError: it is gone; its successor starts with the new configuration.
        :raises TimeoutError: it did not reply, and is ended: it would go on with the configuration of before.
        """
        committing = self._commit(version)
        try:
            message = await patiently(committing, self.child.pid, READY_TIMEOUT, what=f"{self}, which begins to serve")
        except TimeoutError:
            self._give_up("does not put its configuration in force")
            raise
        self.version, self.shared_owners = version, message["shared_owners"]
        return str(message["changes"])

    async def _commit(self, version: str) -> Message:
        if self._services.feed is not None:
            # Before it serves the first request.
            filters = [each.to_plain() for each in self._services.feed.filters]
            await self.child.channel.send(WATCH, filters=filters)
        return await self.child.channel.call("commit", version=version)

    async def discard(self) -> None:
        """Have the worker forget what it prepared."""
        sending = self.child.channel.send("discard")
        try:
            await patiently(sending, self.child.pid, _RESPONSE_TIMEOUT, what=f"{self}, which reads nothing")
        except ChannelClosedError:
            pass
        except TimeoutError:
            self._give_up("does not read what it is sent")

    async def ask(self, kind: str, *, timeout: float = READY_TIMEOUT) -> Message:  # noqa: ASYNC109  # the worker's, not ours
        """Ask for its ``status``, ``plugins``, ``metrics``, ``traffic`` or ``used_routes``.

        :raises ChannelClosedError: the worker is gone.
        :raises TimeoutError: it did not reply.
        """
        return await self.child.call(kind, timeout=timeout)

    async def run_command(self, binding: str, command: str, arguments: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Have the worker run a command, and return what `gateway_core.process.plugin_services` makes outcomes of.

        :raises ChannelClosedError: it is gone, perhaps while it ran the command.
        """
        message = await self.child.channel.call(COMMAND, binding=binding, command=command, arguments=dict(arguments))
        outcomes: list[Mapping[str, Any]] = message["outcomes"]
        return outcomes

    async def watch(self, filters: Sequence[TailFilter]) -> None:
        """Have the worker send the requests that match a filter.

        :raises ChannelClosedError: the worker is gone.
        :raises TimeoutError: it did not reply.
        """
        await self.child.call(WATCH, timeout=_WATCH_TIMEOUT, filters=[each.to_plain() for each in filters])

    async def drain(self, deadline: float) -> None:
        """Have the worker finish and end, and wait for it; it is killed if it takes much longer than it may."""
        self.child.is_leaving = True
        try:
            async with asyncio.timeout(deadline + KILL_AFTER):
                with contextlib.suppress(ChannelClosedError):
                    await self.child.channel.send("drain", deadline=deadline)
                await self.child.gone.wait()
        except TimeoutError:
            self._give_up("did not end in time")
            await self.child.gone.wait()

    def reopen_files(self) -> None:
        """Have the process reopen its files."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.child.pid, signal.SIGUSR1)

    def __str__(self) -> str:
        return str(self.child)


async def start_in_sandbox(
    bundle: ConfigBundle,
    names: Collection[str],
    listeners: Mapping[str, int],
    clock: Clock,
    *,
    seconds: float = TRIAL_TIMEOUT,
) -> None:
    """Have a worker that never serves load plugins that no process has run yet, and start their bindings.

    There a hang or an end does no harm.

    :raises ConfigError: a binding cannot be made or started.
    :raises GatewayError: the process ended, or did not come to an end.
    """
    worker = await WorkerHandle.start(0, listeners, WorkerServices(clock))
    try:
        await worker.prepare(bundle, timeout=seconds)
    except (WorkerRefusedError, ChannelClosedError) as error:
        if isinstance(error, WorkerRefusedError) and error.problems:
            raise ConfigError(error.problems) from error
        raise GatewayError(
            f"{', '.join(sorted(names))} was tried in a process of its own, which failed: {error}"
        ) from error
    finally:
        await worker.child.end()
