"""Serving in this very process: ``workers: 1``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Mapping, Sequence, Set
from functools import partial
from pathlib import Path
from typing import Any

from gateway_core.config import ConfigError, GatewayConfig
from gateway_core.config.sources import WatchSet
from gateway_core.errors import GatewayError
from gateway_core.metrics.ledger import Ledger
from gateway_core.metrics.samples import Samples
from gateway_core.observe.live_feed import LiveFeed
from gateway_core.observe.tail_filter import TailFilter
from gateway_core.process.channel import ChannelClosedError
from gateway_core.process.engine import Engine, Prepared
from gateway_core.process.live_link import watch_requests
from gateway_core.process.model import Handover, RestartNeededError
from gateway_core.process.override_table import OverrideTable
from gateway_core.process.overview import PROGRAM, in_force_of
from gateway_core.process.plugin_services import CommandReport, to_plain
from gateway_core.process.route_use import RouteUse
from gateway_core.process.socket_table import SocketTable, bind_listeners
from gateway_core.process.traffic_meter import TrafficMeter
from gateway_core.process.worker_handle import WorkerHandle, WorkerRefusedError, WorkerServices, start_in_sandbox
from gateway_core.reload.bundle import ConfigBundle
from gateway_core.reload.overrides import Overrides
from gateway_core.reload.pipeline import Change
from gateway_core.upstreams.discovery.kept_endpoints import KeptEndpoints
from gateway_core.upstreams.finding_store import FindingStore
from gateway_core.upstreams.findings import found_by


class InProcessServer:
    """A model of one."""

    def __init__(self, feed: LiveFeed | None = None, endpoints: Path | None = None) -> None:
        """Begin with nothing; needs a running event loop.

        :param feed: takes the live events.
        :param endpoints: the file that keeps what discoveries find.
        """
        self._feed = feed
        self.config = GatewayConfig()
        self._sockets = SocketTable()
        self._engine = Engine(self._sockets, owns_process=True)
        self._kept = None if endpoints is None else KeptEndpoints(endpoints)
        if self._kept is not None:
            self._engine.upstreams.monitor.keep(self._kept)
        self._overrides = OverrideTable()
        """Of the worker that takes over (`restart`)."""
        self._successor: WorkerHandle | None = None
        """The worker that takes over (`restart`), until it is left to the next program."""
        self.ledger = Ledger()
        for process in (self._engine, PROGRAM):
            self.ledger.open(process)
        self._meter = TrafficMeter(self._engine)
        self._route_use = RouteUse(self._engine.metrics)
        self._plugins: Set[str] = frozenset()
        """Names of the plugins that the configuration in force uses."""

    async def prepare(self, bundle: ConfigBundle) -> Change:
        """Build and start a configuration beside the one in force.

        :raises ConfigError: something in it cannot be made or started.
        :raises RestartNeededError: it was checked with other versions of plugins than run here.
        """
        outdated = self._engine.changed_plugins(bundle.plugins)
        if outdated:
            raise RestartNeededError(f"new code of {', '.join(outdated)}")
        new = bundle.plugins.keys() - self._plugins if self._engine.is_serving else frozenset()
        if new:
            await start_in_sandbox(bundle, new, self._sockets.descriptors(), self._engine.clock)
        if self._kept is not None:
            await self._kept.load()
        try:
            prepared = await self._engine.prepare(bundle)
        except ConfigError as error:
            if not new:
                raise
            # It may need what was upgraded along with it, and is imported here as it was.
            raise RestartNeededError(f"what a plugin that is new may need: {error}") from error
        try:
            await asyncio.to_thread(bind_listeners, self._sockets, prepared.loaded)
        except BaseException:
            await self._engine.discard(prepared)
            raise
        return Change(partial(self._commit, bundle, prepared), partial(self._discard, prepared))

    async def _commit(self, bundle: ConfigBundle, prepared: Prepared) -> str:
        changes = [str(await self._engine.commit(prepared))]
        self._sockets.drop_new(but=prepared.config.listen)
        self._engine.listeners.take_waiting()
        self._sockets.keep_only(prepared.config.listen)
        self.config, self._plugins = prepared.config, bundle.plugins.keys()
        self._engine.stores.keep_only(await self._engine.shared_owners())
        if bundle.workers != 1:
            changes.append(f"still one process although workers is {bundle.workers}: send SIGUSR2 to restart")
        return "; ".join(changes)

    async def _discard(self, prepared: Prepared) -> None:
        await self._engine.discard(prepared)
        self._sockets.keep_only(self.config.listen if self._engine.is_serving else ())

    async def restart(self, bundle: ConfigBundle) -> Handover:
        """Let a worker take over, finish what is under way here, and return what a supervisor goes on with.

        So the process id stays, and a service manager notices nothing.
        """
        # Its values are ours until this process is another program, and its endpoints those that were found last: it
        # looks for none itself, and the registry may be away.
        findings = FindingStore()
        with contextlib.suppress(ValueError, OSError):  # files of a client certificate may be gone by now
            findings.restored(await found_by(self._engine.upstreams.monitor, self.config.upstreams))
        services = WorkerServices(
            self._engine.clock, self._engine.stores, self.run_command, findings, overrides=self._overrides
        )
        worker = await WorkerHandle.start(0, self._sockets.descriptors(), services)
        self._successor = worker
        try:
            await worker.prepare(bundle)
            await worker.commit(bundle.version)
        except (WorkerRefusedError, ChannelClosedError, TimeoutError) as error:
            self._successor = None
            await worker.child.end()
            if isinstance(error, WorkerRefusedError) and error.problems:
                raise ConfigError(error.problems) from error
            raise GatewayError(f"the new program cannot serve: {error}") from error
        await self._engine.stop(self.config.shutdown_timeout)
        if self._kept is not None:
            await self._kept.aclose()
        await self._report()
        counts = self.ledger.lasting().dump().decode()
        self._successor = None
        left = await worker.leave()
        workers = [] if left is None else [left]  # one that has ended meanwhile is replaced by the new program
        shared = to_plain(self._engine.stores, self._engine.clock.monotonic())
        return Handover(self._sockets.duplicates(), workers, bundle, counts, shared, findings.everything())

    async def stop(self, deadline: float) -> None:
        """Let requests finish, then end."""
        successor = self._successor
        await asyncio.gather(
            self._engine.stop(deadline, lambda: self._sockets.keep_only(())),
            *(() if successor is None else (successor.drain(deadline),)),
            *(() if self._kept is None else (self._kept.aclose(),)),
        )

    def reopen_files(self) -> None:
        """Do nothing: plugins with files have had the signal themselves."""

    def urls(self) -> list[str]:
        """Return where it listens."""
        return self._engine.listeners.urls()

    def files(self) -> WatchSet:
        """Return the certificate files."""
        return self._engine.files()

    async def status(self, timeout: float) -> Mapping[str, Any]:  # noqa: ARG002, ASYNC109 - of workers, of which there are none
        """Return what the admin listener shows."""
        return {**self._engine.status(), "serving": int(self._engine.is_serving)}

    async def run_command(self, binding: str, command: str, arguments: Mapping[str, Any]) -> CommandReport:
        """Run a command of a binding here."""
        outcomes = await self._engine.run_command(binding, command, arguments)
        return CommandReport([(0, outcome) for outcome in outcomes])

    async def plugins(self) -> Mapping[str, Any]:
        """Return what the admin listener shows of plugins."""
        return {"workers": [{"number": 0, "pid": os.getpid(), **(await self._engine.plugins())}]}

    async def watch_requests(self, filters: Sequence[TailFilter]) -> None:
        """Have the feed take the requests that match a filter."""
        watch_requests(self._engine.proxy, filters, self._show, self._lose)

    def _lose(self) -> None:
        if self._feed is not None:
            self._feed.lose("tail", 1, "failed", process="program", worker=0)

    def _show(self, entry: Mapping[str, Any]) -> None:
        if self._feed is not None:
            self._feed.publish("tail", {**entry, "process": "program", "worker": 0})

    async def traffic(self) -> tuple[list[tuple[int, Mapping[str, Any]]], list[int]]:
        """Return what was counted since the last call."""
        began = time.thread_time()
        part = self._meter.read()
        return [(0, {**part, "spent": time.thread_time() - began})], []

    async def used_routes(self) -> list[str]:
        """Return the routes that had a request since the last call."""
        return self._route_use.moved()

    async def override(self, overrides: Overrides) -> Sequence[int]:
        """Have these overrides in force, and no others."""
        self._engine.overrides.put(overrides)
        return await self._overrides.put(overrides)

    async def samples(self) -> Samples:
        """Return the metrics, those of the program included that it has reported."""
        await self._report()
        return await asyncio.to_thread(self.ledger.summing([self._engine, PROGRAM], in_force_of(self.config)))

    async def _report(self) -> None:
        self.ledger.report(self._engine, await asyncio.to_thread(self._engine.metrics.collect))
