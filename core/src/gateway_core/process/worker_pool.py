"""The workers of a gateway, by their places: started, drained, and restarted when they crash."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from gateway_core.events import WORKER_ENDED, WORKER_NOT_REPLACED, WORKER_REPLACED, emit
from gateway_core.metrics.ledger import Ledger
from gateway_core.metrics.samples import Samples
from gateway_core.observe.tail_filter import TailFilter
from gateway_core.process.channel import ChannelClosedError, Message
from gateway_core.process.child import WORKER
from gateway_core.process.model import WorkerLeft
from gateway_core.process.plugin_services import CommandReport, outcomes_of
from gateway_core.process.replacement import Replacements, exit_text
from gateway_core.process.socket_table import SocketTable
from gateway_core.process.template import Template
from gateway_core.process.worker_handle import WorkerHandle, WorkerRefusedError, WorkerServices
from gateway_core.reload.bundle import ConfigBundle
from gateway_core.tasks import Tasks

QUERY_TIMEOUT: Final = 5.0
METRICS_TIMEOUT: Final = 2.0
"""Seconds; less than a scrape may take."""


class WorkerPool:
    """Has a worker in each place, or goes on trying to."""

    def __init__(
        self, sockets: SocketTable, services: WorkerServices, template: Template | None, ledger: Ledger
    ) -> None:
        """Begin without workers.

        :param template: what workers are forked from; without it each has an interpreter of its own.
        :param ledger: where the metrics of workers are added up.
        """
        self.changing = asyncio.Lock()
        """Held by what changes the workers: a configuration on its way, or the replacement of one that crashed."""
        self.bundle: ConfigBundle | None = None
        """What workers that crash are replaced with."""
        self.shutdown_timeout = 0.0
        """Seconds that a worker's requests may take when it is replaced."""
        self.replacements = Replacements()
        self._sockets = sockets
        self._services = services
        self._template = template
        self._workers: dict[int, WorkerHandle] = {}
        self._leaving: set[WorkerHandle] = set()
        self._ledger = ledger
        self._is_stopping = False
        self._tasks = Tasks()

    def __len__(self) -> int:
        return len(self._workers)

    def __iter__(self) -> Iterator[WorkerHandle]:
        return iter(tuple(self._workers.values()))

    @property
    def serving(self) -> dict[int, WorkerHandle]:
        """The workers that are there, by their places."""
        return {number: each for number, each in sorted(self._workers.items()) if not each.child.gone.is_set()}

    # -- one worker

    async def adopt(self, number: int, left: WorkerLeft) -> None:
        """Take over a worker of the program that was here before."""
        worker = await WorkerHandle.adopt(number, left, self._services)
        self._ledger.open(worker, Samples.load(left.metrics.encode()))
        self._keep(number, worker)

    async def launch(self, number: int, bundle: ConfigBundle) -> WorkerHandle:
        """Start a process, and have it prepare a configuration.

        :raises GatewayError: it does not take it.
        :raises OSError: the system has no process, memory or descriptors for it.
        """
        listeners = self._sockets.descriptors()
        forked = None if self._template is None else await self._template.fork(WORKER, number, listeners)
        if forked is None:
            worker = await WorkerHandle.start(number, listeners, self._services)
        else:
            worker = await WorkerHandle.start(number, forked[1], self._services, forked=forked[0])
        try:
            await worker.prepare(bundle)
        except BaseException:
            await worker.child.end()
            raise
        return worker

    async def start(self, number: int, bundle: ConfigBundle) -> None:
        """Have a worker serve in a place.

        :raises GatewayError: it does not take the configuration.
        :raises OSError: the system has no process, memory or descriptors for it.
        """
        worker = await self.launch(number, bundle)
        try:
            await worker.commit(bundle.version)
        except BaseException as error:
            await worker.child.end()
            if isinstance(error, ChannelClosedError | TimeoutError):
                raise WorkerRefusedError(f"worker {number} ended before it was ready") from error
            raise
        self.keep(number, worker)

    def keep(self, number: int, worker: WorkerHandle) -> None:
        """Have a ready worker in this place; the one that was there finishes and ends."""
        self._ledger.open(worker)
        self._keep(number, worker)

    def _keep(self, number: int, worker: WorkerHandle) -> None:
        before = self._workers.get(number)
        self._workers[number] = worker
        self.replacements.note_start(number)
        self._tasks.supervise(partial(self._watch, number, worker), name=f"replace {worker.child.name}")
        if self._services.feed is not None:
            # They may have changed while it was on its way here, and an adopted worker has those of another program.
            self._tasks.spawn(self._watch_requests([worker], self._services.feed.filters), name="watch requests")
        if before is not None:
            self._drain(before)

    def shrink(self, count: int) -> None:
        """Let the workers in further places than these finish and end."""
        for number in [number for number in self._workers if number >= count]:
            self._drain(self._workers.pop(number))

    def _drain(self, worker: WorkerHandle) -> None:
        worker.child.is_leaving = True
        self._leaving.add(worker)
        self._tasks.spawn(worker.drain(self.shutdown_timeout), name=f"drain {worker}")

    async def _watch(self, number: int, worker: WorkerHandle) -> None:
        """Wait for a worker's end, remember its counts, and replace it if it was not asked to end."""
        await worker.child.gone.wait()
        self._leaving.discard(worker)
        if worker.last_samples:
            self._ledger.report(worker, await asyncio.to_thread(Samples.load, worker.last_samples))
        self._ledger.end(worker)
        if worker.child.is_leaving or self._is_stopping:
            return
        status = exit_text(worker.child.exit_status)
        text = f"{worker} ended unexpectedly ({status}) and is replaced"
        emit(WORKER_ENDED, text, worker=number, pid=worker.child.pid, status=status)
        if self._services.feed is not None:
            self._services.feed.lose_with(worker.child.name, number)
        how = f"it ended with {status}"
        self.replacements.note_end(number, self._services.clock.monotonic() - worker.started_at, how)
        await self.replacements.replace(
            number,
            self.changing,
            is_wanted=lambda: self._workers.get(number) is worker and not self._is_stopping,
            start=partial(self._start_again, number),
            on_refusal=lambda text, trace: emit(
                WORKER_NOT_REPLACED,
                f"worker {number} cannot be replaced yet: {text}",
                error=trace,
                worker=number,
                reason=text,
            ),
        )

    async def _start_again(self, number: int) -> None:
        assert self.bundle is not None
        await self.start(number, self.bundle)
        worker = self._workers[number]
        emit(WORKER_REPLACED, f"{worker} serves", worker=number, pid=worker.child.pid)

    # -- all workers

    async def leave(self) -> list[WorkerLeft]:
        """Return what the next program takes the workers over with, which has a template of its own.

        Those that cannot be taken over are in no place any more.
        """
        left: list[WorkerLeft] = []
        for number, worker in list(self._workers.items()):
            taken = await worker.leave()
            if taken is None:
                del self._workers[number]
            else:
                left.append(replace(taken, metrics=self._ledger.last_report(worker).dump().decode()))
        if self._template is not None:
            await self._template.aclose()
        return left

    async def stop(self, deadline: float) -> None:
        """Let requests finish for at most so many seconds, then end all."""
        self._is_stopping = True
        await asyncio.gather(*(worker.drain(deadline) for worker in [*self, *self._leaving]))
        if self._template is not None:
            await self._template.aclose()
        await self._tasks.aclose()

    def reopen_files(self) -> None:
        """Have all processes reopen their files."""
        for worker in [*self, *self._leaving]:
            worker.reopen_files()

    async def query(self, kind: str, *, timeout: float = QUERY_TIMEOUT) -> list[tuple[WorkerHandle, Message]]:  # noqa: ASYNC109 - the workers'
        """Query all workers; return the replies that arrive in time."""
        there = list(self.serving.values())
        replies = await asyncio.gather(*(each.ask(kind, timeout=timeout) for each in there), return_exceptions=True)
        return [(each, reply) for each, reply in zip(there, replies, strict=True) if isinstance(reply, Message)]

    async def run_command(self, binding: str, command: str, arguments: Mapping[str, Any]) -> CommandReport:
        """Run a command of a binding in every worker."""
        workers = self.serving.items()
        running = (outcomes_of(worker.run_command(binding, command, arguments), number) for number, worker in workers)
        return CommandReport([each for outcomes in await asyncio.gather(*running) for each in outcomes])

    async def report(self) -> set[Hashable]:
        """Have the ledger know what every worker has counted, those that drain included; return which have responded.

        A worker that does not respond in time takes part with what it reported last.
        """
        there = self.all
        replies = await asyncio.gather(
            *(each.ask("metrics", timeout=METRICS_TIMEOUT) for each in there), return_exceptions=True
        )
        responded: set[Hashable] = set()
        for worker, reply in zip(there, replies, strict=True):
            if isinstance(reply, Message):
                self._ledger.report(worker, await asyncio.to_thread(Samples.load, reply.body))
                responded.add(worker)
        return responded

    async def watch_requests(self, filters: Sequence[TailFilter]) -> None:
        """Have all workers send the requests that match a filter."""
        await self._watch_requests(self.all, filters)

    @staticmethod
    async def _watch_requests(workers: Iterable[WorkerHandle], filters: Sequence[TailFilter]) -> None:
        # What one that does not reply has not sent is seen by its silence in `traffic`, or as a gap when it ends.
        await asyncio.gather(*(each.watch(filters) for each in workers), return_exceptions=True)

    async def traffic(self) -> tuple[list[tuple[int, Mapping[str, Any]]], list[int]]:
        """Return what every worker has counted since the last call, and the numbers of those that are silent."""
        there = self.all
        replies = await asyncio.gather(
            *(each.ask("traffic", timeout=METRICS_TIMEOUT) for each in there), return_exceptions=True
        )
        parts: list[tuple[int, Mapping[str, Any]]] = []
        silent: list[int] = []
        for worker, reply in zip(there, replies, strict=True):
            if isinstance(reply, Message):
                parts.append((worker.number, {**json.loads(reply.body), "spent": reply["spent"]}))
            else:
                silent.append(worker.number)
        return parts, silent

    async def used_routes(self) -> list[str]:
        """Return the routes that workers which respond have served since the last call."""
        replies = await asyncio.gather(
            *(each.ask("used_routes", timeout=METRICS_TIMEOUT) for each in self.all), return_exceptions=True
        )
        return list({name: None for reply in replies if isinstance(reply, Message) for name in reply["routes"]})

    @property
    def all(self) -> list[WorkerHandle]:
        """The workers that are there, those that drain included."""
        return [each for each in [*self._workers.values(), *self._leaving] if not each.child.gone.is_set()]
