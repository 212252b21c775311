"""Several workers: started, sent configurations, replaced one by one, and restarted when they crash.

The supervisor binds the sockets, imports no plugin, and serves nothing but the admin listener.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from gateway_core.clock import Clock, SystemClock
from gateway_core.config import ConfigError, GatewayConfig, LoadedConfig
from gateway_core.config.sources import WatchSet
from gateway_core.errors import GatewayError
from gateway_core.events import SERVER_NOT_RESTARTED, SHARED_FOLDER_MISSING, emit
from gateway_core.hooks import SharedStores
from gateway_core.metrics.catalogue import WORKER_CRASHES, WORKERS, WORKERS_SILENT, WORKERS_WANTED
from gateway_core.metrics.ledger import Ledger
from gateway_core.metrics.samples import Samples
from gateway_core.observe.live_feed import LiveFeed
from gateway_core.process import sockets
from gateway_core.process.certificates import files_of
from gateway_core.process.channel import ChannelClosedError
from gateway_core.process.machine import available_cpus
from gateway_core.process.model import Handover, RestartNeededError
from gateway_core.process.override_table import OverrideTable
from gateway_core.process.overview import PROGRAM, in_force_of, status_of
from gateway_core.process.plugin_services import CommandReport, from_plain, provide_folder, remove_folder, to_plain
from gateway_core.process.process_metrics import ProcessMetrics
from gateway_core.process.socket_table import SocketTable, bind_listeners, by_address
from gateway_core.process.template import Template
from gateway_core.process.watcher import WatcherProcess, WatcherRefusedError
from gateway_core.process.worker_handle import (
    WorkerEndedError,
    WorkerHandle,
    WorkerRefusedError,
    WorkerServices,
    as_config_error,
    start_in_sandbox,
)
from gateway_core.process.worker_pool import QUERY_TIMEOUT, WorkerPool
from gateway_core.reload.bundle import ConfigBundle
from gateway_core.reload.overrides import Overrides
from gateway_core.reload.pipeline import Change
from gateway_core.tasks import Tasks, Yielder

_LAUNCHED_AT_ONCE: Final = 4
"""Workers that get ready at the same time."""


@dataclass(slots=True)
class _Plan:
    """A configuration on its way into the workers."""

    bundle: ConfigBundle
    config: GatewayConfig
    reasons: list[str] = field(default_factory=list)
    """Why the running workers are replaced instead of taking it."""
    sockets: Sequence[str] = ()
    """Addresses that were bound for it."""
    ready: dict[int, WorkerHandle] = field(default_factory=dict)
    """Workers that have prepared it and do not serve yet."""
    is_together: bool = False
    """Whether the running workers take it, all at once."""
    is_takeover: bool = False
    """Whether the running workers are those of an earlier program."""
    is_refused: bool = False
    """Whether those serve on, as new ones cannot."""


class Supervisor:
    """A model of workers."""

    def __init__(
        self,
        handover: Handover | None = None,
        template: Template | None = None,
        *,
        clock: Clock | None = None,
        feed: LiveFeed | None = None,
        endpoints: Path | None = None,
    ) -> None:
        """Begin with nothing, or with what an earlier program left.

        :param template: what workers are forked from; without it each has an interpreter of its own.
        :param feed: takes the live events of all processes.
        :param endpoints: the file that keeps what discoveries find.
        """
        self.config = GatewayConfig()
        self._parts: Mapping[bytes, Any] = {}  # of the last configuration, for reading the next one
        self._inherited = handover
        left = {} if handover is None else handover.listeners
        self._sockets = SocketTable({address: sockets.adopt(number) for address, number in left.items()})
        self._clock, self._stores = clock or SystemClock(), SharedStores()
        if handover is not None:
            from_plain(handover.shared, self._stores, self._clock.monotonic())
        self.ledger = Ledger(None if handover is None else Samples.load(handover.counts.encode()))
        self.ledger.open(self)
        self.ledger.open(PROGRAM)
        self._process_metrics = ProcessMetrics("supervisor", self._clock, goes_on=handover is not None)
        self._tasks, self._overrides = Tasks(), OverrideTable()
        self._tasks.supervise(self._process_metrics.watch_loop, name="watch the event loop")
        self._watcher = WatcherProcess(self._clock, template, self.ledger, feed, self._overrides, endpoints)
        findings = self._watcher.findings.restored(() if handover is None else handover.findings)
        services = WorkerServices(self._clock, self._stores, self.run_command, findings, feed, self._overrides)
        pool = self._pool = WorkerPool(self._sockets, services, template, self.ledger)
        self.traffic, self.watch_requests, self.used_routes = pool.traffic, pool.watch_requests, pool.used_routes

    # -- configurations

    async def prepare(self, bundle: ConfigBundle) -> Change:
        """Have every worker build a configuration, or the first of those that are to replace them.

        Nothing else changes the workers until it is committed or discarded.

        :raises ConfigError: something in it cannot be made or started.
        :raises GatewayError: a worker or the watcher does not take it for another reason.
        """
        loaded = await LoadedConfig.from_lines(bundle.lines, Yielder(self._clock), self._parts)
        self._parts, plan = loaded.parts, _Plan(bundle, loaded.config)
        await self._pool.changing.acquire()
        try:
            if self._pool.bundle is None:
                await self._begin(plan)
            try:
                plan.sockets = await asyncio.to_thread(bind_listeners, self._sockets, loaded)
                await self._watcher.use(bundle, loaded.config)
                await self._prepare(plan)
            except (ConfigError, GatewayError, OSError) as error:
                self._go_on_with_old_workers(plan, error)
        except BaseException as error:
            await self._discard(plan)
            raise as_config_error(error) from error
        return Change(partial(self._commit, plan), partial(self._discard, plan))

    async def _begin(self, plan: _Plan) -> None:
        """Make what workers share, and take over those of the program that was here before."""
        try:
            await asyncio.to_thread(provide_folder)
        except OSError as error:
            text = f"there is no folder for what workers share, such as counters of rate limits: {error}"
            emit(SHARED_FOLDER_MISSING, text, reason=str(error))
        left, self._inherited = self._inherited, None
        if left is not None:
            self._take(plan)
            plan.is_takeover = True
            plan.reasons.append("the program is new")
            for number, worker in enumerate(left.workers):
                await self._pool.adopt(number, worker)

    async def _prepare(self, plan: _Plan) -> None:
        """Have the running workers prepare, or successors of all of them before any of them serves.

        A successor that fails then costs nothing. A worker that has ended for its successor could not come back: the
        code of before may be installed no more.
        """
        if self._pool.bundle is not None and not plan.is_takeover:
            plan.reasons += self._reasons_to_roll(plan)
            if not plan.reasons and await self._prepare_together(plan, self._pool.bundle):
                return
        if plan.reasons:
            await self._launch([0], plan)  # which shows whether the others are worth starting
        await self._launch(range(len(plan.ready), count_of(plan.config)), plan)

    async def _prepare_together(self, plan: _Plan, running: ConfigBundle) -> bool:
        """Have all workers prepare; return False, and say why in the plan, if they have to be replaced instead."""
        new = plan.bundle.plugins.keys() - running.plugins.keys()
        if new:
            await start_in_sandbox(plan.bundle, new, self._sockets.descriptors(), self._clock)
        workers = list(self._pool.serving.values())  # one that ended is replaced with what is in force then
        if not workers:
            plan.reasons.append("none is left")
            return False
        plan.is_together = True
        replies = await asyncio.gather(*(each.prepare(plan.bundle) for each in workers), return_exceptions=True)
        refused = [each for each in replies if isinstance(each, BaseException)]
        if not refused:
            return True
        plan.is_together = False
        await asyncio.gather(*(worker.discard() for worker in workers))
        if isinstance(refused[0], RestartNeededError):
            plan.reasons.append(f"they lack {refused[0]}")
        elif isinstance(refused[0], WorkerRefusedError) and new:
            # A plugin that is new may need what was upgraded along with it, and is imported there as it was.
            plan.reasons.append(f"they refused a plugin that is new: {refused[0]}")
        else:
            raise refused[0]
        return False

    def _reasons_to_roll(self, plan: _Plan) -> list[str]:
        """Say why running workers cannot take the configuration as they are."""
        assert self._pool.bundle is not None
        running = self._pool.bundle.plugins
        reasons = [
            f"{name} is {version} now"
            for name, version in plan.bundle.plugins.items()
            if name in running and running[name] != version
        ]
        if plan.sockets:
            reasons.append("there is a new listener")
        if count_of(plan.config) != len(self._pool):
            reasons.append(f"their number is {count_of(plan.config)} now")
        return reasons

    async def _commit(self, plan: _Plan) -> str:
        """Have every worker serve what is prepared.

        :raises GatewayError: none does, and those that served go on.
        """
        try:
            changes = await self._commit_together(plan) if plan.is_together else await self._roll(plan)
        except (ChannelClosedError, TimeoutError) as error:
            self._go_on_with_old_workers(plan, WorkerEndedError(f"a worker ended before it served: {error}"))
            changes = "the workers are those of before"
        await self._end_unused(plan)
        self._take(plan)
        if not plan.is_refused:
            self._sockets.keep_only(plan.config.listen)
        self._stores.keep_only({owner for worker in self._pool for owner in worker.shared_owners})
        self._pool.changing.release()
        why = f" replaced one by one, since {' and '.join(plan.reasons)}" if plan.reasons else ""
        return f"{changes}; {len(self._pool)} workers{why}"

    async def _commit_together(self, plan: _Plan) -> str:
        workers = list(self._pool.serving.values())
        # Before the workers close their copies: the last process to close a listener socket accepts what is queued.
        self._sockets.keep_only(plan.config.listen)
        replies = await asyncio.gather(*(each.commit(plan.bundle.version) for each in workers), return_exceptions=True)
        # A worker that died in between is replaced by one that starts with the new configuration.
        return next((each for each in replies if isinstance(each, str)), "no worker is left that knows what changed")

    async def _roll(self, plan: _Plan) -> str:
        """Replace the workers one by one by those that are prepared; the first new one is the canary.

        :raises ChannelClosedError: the canary is gone; all that served go on.
        """
        if plan.is_refused:
            return "the workers are those of before"
        for number, worker in sorted(plan.ready.items()):
            try:
                await worker.commit(plan.bundle.version)
            except (ChannelClosedError, TimeoutError):
                if number == 0:
                    raise
                # What was put in force stays: this one is replaced like any that crashes.
                worker.child.kill()
            self._pool.keep(number, plan.ready.pop(number))
        self._pool.shrink(count_of(plan.config))
        return "all workers are new"

    def _go_on_with_old_workers(self, plan: _Plan, error: Exception) -> None:
        """Have the workers of the program that was here before serve; if there are none, that is an error."""
        if not plan.is_takeover or not len(self._pool):
            raise error
        plan.is_refused = True
        text = f"the workers of the new program cannot serve, the old ones go on: {error}"
        emit(SERVER_NOT_RESTARTED, text, reason=str(error))

    async def _launch(self, numbers: Iterable[int], plan: _Plan) -> None:
        """Start workers that prepare the configuration.

        :raises GatewayError: one of them does not; the others are in the plan.
        """
        turns = asyncio.Semaphore(_LAUNCHED_AT_ONCE)

        async def launch(number: int) -> None:
            async with turns:
                plan.ready[number] = await self._pool.launch(number, plan.bundle)

        for result in await asyncio.gather(*map(launch, numbers), return_exceptions=True):
            if result is not None:
                raise result

    async def _end_unused(self, plan: _Plan) -> None:
        for worker in plan.ready.values():
            await worker.child.end()
        plan.ready.clear()

    def _take(self, plan: _Plan) -> None:
        self.config = plan.config
        self._pool.bundle, self._pool.shutdown_timeout = plan.bundle, plan.config.shutdown_timeout

    async def _discard(self, plan: _Plan) -> None:
        """Give up what was prepared; the running workers serve what they served before."""
        try:
            await self._end_unused(plan)
            if plan.is_together:
                await asyncio.gather(*(worker.discard() for worker in self._pool))
            # Not waited for: the program may be about to end, and this may take long.
            self._tasks.spawn(self._watch_as_before(), name="watch what was watched before")
            self._sockets.close(plan.sockets)
        finally:
            self._pool.changing.release()

    async def _watch_as_before(self) -> None:
        if self._pool.bundle is not None:
            with contextlib.suppress(WatcherRefusedError, OSError):
                await self._watcher.use(self._pool.bundle, self.config)

    # -- the program

    async def restart(self, bundle: ConfigBundle) -> Handover:
        """Return what a new program takes over; it replaces the workers, which serve until then."""
        await self._pool.changing.acquire()
        try:
            listeners = self._sockets.duplicates()
        except BaseException:
            self._pool.changing.release()
            raise
        # There is no way back from here, and it is never released: nothing is to change any more.
        await self._report()
        await self._watcher.aclose()  # and no worker changes a shared value any more before they are written down
        left = await self._pool.leave()
        counts = self.ledger.lasting(but=list(self._pool)).dump().decode()
        shared = to_plain(self._stores, self._clock.monotonic())
        return Handover(listeners, left, bundle, counts, shared, self._watcher.findings.everything())

    async def stop(self, deadline: float) -> None:
        """Drain all workers at once."""
        # The workers have copies, and close them once they have taken in who has connected already.
        self._sockets.keep_only(())
        await self._pool.stop(deadline)
        await self._watcher.aclose()
        await self._tasks.aclose()
        await asyncio.to_thread(remove_folder)

    def reopen_files(self) -> None:
        """Pass SIGUSR1 on: plugins, and so their files, live in the workers."""
        self._pool.reopen_files()

    def urls(self) -> Sequence[str]:
        """Return where it listens."""
        return [
            sockets.url_of(self._sockets[address], "http" if configs[0].tls is None else "https")
            for address, configs in by_address(self.config.listen).items()
            if address in self._sockets  # a take-over that was refused may name others
        ]

    def files(self) -> WatchSet:
        """Return the certificate files, of listeners and of upstreams."""
        listen = self.config.listen
        listeners = [file for each in listen if each.tls is not None for file in files_of(each.tls)]
        return WatchSet.of([*listeners, *(file for each in self.config.upstreams for file in each.tls.files)])

    # -- what the admin listener shows

    async def status(self, timeout: float = QUERY_TIMEOUT) -> Mapping[str, Any]:  # noqa: ASYNC109 - the workers'
        """Return the version in force, each worker's state, and why others are missing."""
        serving = list(self._pool.serving)
        replies, watcher = await asyncio.gather(
            self._pool.query("status", timeout=timeout), self._watcher.status(timeout)
        )
        version = None if self._pool.bundle is None else self._pool.bundle.version
        states = [(each.number, each.child.pid, reply["status"]) for each, reply in replies]
        status = status_of(version, states, serving, self._pool.replacements.missing())
        own = self._process_metrics.status()
        both = {name: [*own[name], *watcher[name]] for name in ("shortages", "recent_events")}
        return {**status, "watcher": self._watcher.pid, "failing_tasks": watcher["failing_tasks"], **both}

    async def run_command(self, binding: str, command: str, arguments: Mapping[str, Any]) -> CommandReport:
        """Run a command of a binding in every worker."""
        return await self._pool.run_command(binding, command, arguments)

    async def override(self, overrides: Overrides) -> Sequence[int]:
        """Have these overrides in force in every process, and no others."""
        return await self._overrides.put(overrides)

    async def plugins(self) -> Mapping[str, Any]:
        """Return what the admin listener shows of plugins, by worker."""
        replies = await self._pool.query("plugins")
        return {"workers": [{"number": n.number, "pid": n.child.pid, **reply["plugins"]} for n, reply in replies]}

    async def samples(self) -> Samples:
        """Return the sum of all processes' metrics, those that are gone included."""
        responded = await self._report()
        silent = len([each for each in self._pool.all if each not in responded])
        total = await asyncio.to_thread(self.ledger.summing({*responded, self, PROGRAM}, in_force_of(self.config)))
        total.one(WORKERS_SILENT, silent)
        return total

    async def _report(self) -> set[Hashable]:
        """Have the ledger know what all processes have counted; return which have responded."""
        watcher, workers = await asyncio.gather(self._watcher.report(), self._pool.report())
        own = Samples()
        await asyncio.to_thread(self._process_metrics.put, own)
        own.one(WORKERS, len(self._pool.serving))
        own.one(WORKERS_WANTED, count_of(self.config))
        own.one(WORKER_CRASHES, self._pool.replacements.total)
        self.ledger.report(self, own)
        return watcher | workers


def count_of(config: GatewayConfig) -> int:
    """Return the number of workers that a configuration asks for."""
    return config.workers or available_cpus()
