"""One serving process: the snapshot in force, the proxy over it, and the listeners in front of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from gateway_core import memory
from gateway_core.clock import Clock, SystemClock
from gateway_core.config import ConfigError, ConfigProblem, GatewayConfig, ListenConfig, LoadedConfig, MetricsConfig
from gateway_core.config.sources import WatchSet
from gateway_core.descriptors import EXHAUSTED
from gateway_core.errors import GatewayError
from gateway_core.events import PLUGINS_WARNING, emit
from gateway_core.hooks import (
    BlockingGuard,
    CommandOutcome,
    LocalShared,
    PluginServices,
    SharedStores,
    as_json,
    describe_binding,
    run_in_instances,
    shared_owner,
)
from gateway_core.metrics import Metrics
from gateway_core.metrics.catalogue import (
    CLIENT_CONNECTIONS,
    CLIENT_CONNECTIONS_OPENED,
    CLIENT_CONNECTIONS_REFUSED,
    REQUESTS_IN_FLIGHT,
)
from gateway_core.metrics.samples import Samples
from gateway_core.observe import Timings
from gateway_core.observe.tracing import Tracing
from gateway_core.packages import Extensions, InstanceLeases, PluginRegistry
from gateway_core.packages.lock_file import is_locked
from gateway_core.process import logs
from gateway_core.process.certificate_feeds import CertificateFeeds
from gateway_core.process.certificate_status import describe_certificates, put_issuance
from gateway_core.process.certificates import CertificateError, Certificates, files_of
from gateway_core.process.listeners import Listeners
from gateway_core.process.machine import certificate_problems
from gateway_core.process.override_table import ServingOverrides
from gateway_core.process.plugin_guard import keep_surroundings
from gateway_core.process.plugin_services import CommandReport
from gateway_core.process.process_metrics import ProcessMetrics
from gateway_core.process.socket_table import SocketTable
from gateway_core.process.tls import BaseContexts
from gateway_core.proxy import Proxy
from gateway_core.proxy.upstream.grpc_health import check_health
from gateway_core.reload.bundle import ConfigBundle
from gateway_core.snapshot import (
    Changes,
    Compiled,
    Environment,
    Snapshot,
    SnapshotHolder,
    changes_between,
    compile_snapshot,
)
from gateway_core.snapshot.served_hosts import hosts_by
from gateway_core.tasks import Tasks, Yielder
from gateway_core.upstreams.discovery import BUILT_IN as BUILT_IN_DISCOVERIES
from gateway_core.upstreams.monitor import Monitor
from gateway_core.upstreams.runtime import UpstreamRuntime
from gateway_core.upstreams.samples import put_upstream_counts, put_upstream_states
from gateway_core.upstreams.status import describe_upstream
from gateway_core.upstreams.strategies import BUILT_IN as BUILT_IN_STRATEGIES

_KEEP_LOG_EVERY: Final = 1.0
"""Seconds; a look takes some microseconds."""


class DriftError(GatewayError):
    """Plugins are not as they were locked."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A configuration that is built and started beside the one in force."""

    loaded: LoadedConfig
    compiled: Compiled
    certificates: Mapping[str, Sequence[Certificates]]
    """Of each listener, by address."""
    changes: Changes
    """What is different from the configuration in force."""

    @property
    def config(self) -> GatewayConfig:
        """The configuration."""
        return self.compiled.snapshot.config


class Engine:
    """Serves requests; takes configurations in two steps, so that several processes can take one together."""

    def __init__(
        self,
        sockets: SocketTable,
        *,
        clock: Clock | None = None,
        metrics: Metrics | None = None,
        registry: PluginRegistry | None = None,
        timings: Timings | None = None,
        services: PluginServices | None = None,
        base_contexts: BaseContexts | None = None,
        monitor: Monitor | None = None,
        owns_process: bool = False,
    ) -> None:
        """Begin without a configuration; needs a running event loop.

        :param timings: what measures or records every hook; None costs nothing.
        :param services: what plugins share values and reach other workers by; unless given this is the only process.
        :param base_contexts: what TLS begins with in all workers; contexts of its own unless given.
        :param monitor: where endpoints are discovered and checked; here unless given.
        :param owns_process: the process is for this alone, so that the garbage collector can follow reloads.
        """
        self.clock = clock or SystemClock()
        self.metrics = metrics or Metrics()
        self.registry = registry or PluginRegistry(describes=False)
        self.holder = SnapshotHolder()
        self.upstreams = UpstreamRuntime(self.clock, metrics=self.metrics, monitor=monitor, grpc=check_health)
        self.overrides = ServingOverrides(self.upstreams, self.holder)
        self.proxy = Proxy(self.holder, clock=self.clock, metrics=self.metrics)
        feeds = CertificateFeeds(self.clock, self.upstreams.session, self._refresh_certificates, self.metrics)
        self._certificates = feeds
        self.listeners = Listeners(sockets, self.proxy.server_for, feeds.certificates_of, base_contexts, feeds)
        self._tasks, self.is_draining = Tasks(), False
        self._process_metrics = ProcessMetrics("worker", self.clock)
        self.metrics.register(self._collect)
        self._owns_process, self._keeps_log = owns_process, False
        self._guard = BlockingGuard(metrics=self.metrics)
        self.stores = SharedStores()
        """What plugins share, if this is the only process."""
        self._tracing, self.times = Tracing(self.clock, self.metrics), timings or Timings(self.metrics)
        self._environment = Environment(
            self.registry,
            InstanceLeases(),
            self.upstreams,
            self.clock,
            self.metrics,
            timings,
            self.times,
            replace(
                services or PluginServices(LocalShared(self.stores, self.clock), self._everywhere),
                fetch=self.proxy.fetches.open,
            ),
            self._tracing,
        )

    async def prepare(self, bundle: ConfigBundle) -> Prepared:
        """Build a configuration that was found valid, while requests go on.

        :raises ConfigError: something in it cannot be made or started.
        :raises CertificateError: a certificate file cannot be used.
        """
        if not self._owns_process:
            return await self._build(bundle)
        memory.pause_collector()
        try:
            prepared = await self._build(bundle)
        except BaseException:
            memory.resume_collector()
            raise
        if not self.is_serving:
            memory.tidy()
        return prepared

    async def _build(self, bundle: ConfigBundle) -> Prepared:
        current: Snapshot | None = self.holder.current
        known = {} if current is None else current.parts
        loaded = await LoadedConfig.from_lines(bundle.lines, Yielder(self.clock), known)
        if current is None:
            self._guard.follow(loaded.config.blocking_threshold)
            self._measure(loaded.config.metrics)
        if is_locked():
            await asyncio.to_thread(self._refuse_drift, bundle.plugins)
        with keep_surroundings():
            await self._look_for_plugins(loaded.config, bundle.plugins)
            await self._certificates.open(loaded.config.listen, hosts_by(loaded))
            certificates = await self._load_certificates(loaded)
            try:
                compiled = await compile_snapshot(loaded, self._environment)
            finally:
                logs.restore()
        changes = await changes_between(None if current is None else current.config, compiled, Yielder(self.clock))
        return Prepared(loaded, compiled, certificates, changes)

    async def _load_certificates(self, loaded: LoadedConfig) -> dict[str, list[Certificates]]:
        try:
            return await self.listeners.load(loaded.config.listen)
        except CertificateError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in EXHAUSTED:
                raise
            found = await asyncio.to_thread(lambda: [each for each in certificate_problems(loaded) if each.is_error])
            index = next((n for n, each in enumerate(loaded.config.listen) if each is error.listener), None)
            key_path = "listen" if index is None else f"listen[{index}].tls"
            place, code = loaded.place_of(key_path), "tls.unusable"
            # Files that can be used now could not a moment ago, or an extension has yielded what cannot be used.
            problem = ConfigProblem(place, key_path, error.reason, code=code, remedy=error.remedy)
            raise ConfigError(found or [problem]) from error

    def _refuse_drift(self, locked: Mapping[str, str]) -> None:
        """Look at what would be imported, before it is: it may have changed since it was compared with the lock file.

        :raises DriftError: some of it is not as it was then.
        """
        self.registry.scan()
        found = {name: self.registry.code(name) for name in locked}
        drift = [
            f"{name} is {found[name] or 'gone'}, not {locked[name]}" for name in locked if found[name] != locked[name]
        ]
        if drift:
            raise DriftError(
                f"plugins are not as they were locked: {', '.join(drift)}: install what was, or lock again"
            )

    async def _look_for_plugins(self, config: GatewayConfig, checked: Collection[str]) -> None:
        """Load plugins, and extensions if the configuration asks for what the core has not; find what is new."""
        names = {binding.name for binding in config.plugins if binding.enabled}
        async for part in Yielder(self.clock).parts(config.routes):
            names |= {binding.name for route in part for binding in route.plugins if binding.enabled}
        await asyncio.to_thread(self._load, sorted(names))  # importing a plugin takes a while
        logs.restore()
        wanted = {upstream.strategy for upstream in config.upstreams} - BUILT_IN_STRATEGIES.keys()
        found = {upstream.discovery.name for upstream in config.upstreams if upstream.discovery is not None}
        provides = any(entry.name for each in config.listen if each.tls is not None for entry in each.tls.certificates)
        if wanted or provides or found - BUILT_IN_DISCOVERIES.keys():
            await asyncio.to_thread(self.registry.scan)
            # What is installed may be more than what was locked.
            usable = checked if is_locked() else None
            extensions = await asyncio.to_thread(lambda: Extensions(self.registry.loaded(usable)))
            for problem in extensions.problems:
                emit(PLUGINS_WARNING, str(problem), reason=str(problem))
            self.upstreams.extend(extensions.strategies, extensions.discoveries)
            self._certificates.extend(extensions.certificates)

    def _load(self, names: Sequence[str]) -> None:
        known = {info.name: info.state for info in self.registry.states()} if names else {}
        if any(known.get(name, "broken") in {"found", "broken"} for name in names):
            # Something may have been installed since, and what is not loaded is not in use.
            self.registry.scan()
        for name in names:
            self.registry.info(name)

    async def commit(self, prepared: Prepared) -> Changes:
        """Put a prepared configuration in force: for requests to come, in one assignment."""
        self.holder.swap(prepared.compiled.snapshot)
        self.overrides.hold()
        await self.listeners.apply(prepared.config.listen, prepared.certificates)
        await self._certificates.put_in_force(prepared.config.listen, hosts_by(prepared.loaded))
        self.proxy.challenges = self._certificates.challenge_hook
        self._guard.follow(prepared.config.blocking_threshold)
        self._measure(prepared.config.metrics)
        if self._owns_process:
            memory.freeze()
            if not self._keeps_log:
                self._keeps_log = True
                self._tasks.supervise(self._keep_log, name="keep the log")
                self._tasks.supervise(self._process_metrics.watch_loop, name="watch the event loop")
        return prepared.changes

    def _measure(self, config: MetricsConfig) -> None:
        self.metrics.use(bounds=config.buckets, max_endpoints=config.max_endpoints)

    def _collect(self, samples: Samples) -> None:
        """Add what this process alone knows; called in a thread."""
        connections = self.proxy.connections
        samples.one(REQUESTS_IN_FLIGHT, self.proxy.in_flight)
        samples.one(CLIENT_CONNECTIONS, len(connections))
        samples.one(CLIENT_CONNECTIONS_OPENED, connections.opened)
        samples.one(CLIENT_CONNECTIONS_REFUSED, connections.refused)
        current: Snapshot | None = self.holder.current
        upstreams = () if current is None else list(current.upstreams.values())
        named = self.metrics.named_endpoints()
        put_upstream_states(samples, upstreams, self.clock.monotonic(), named)
        put_upstream_counts(samples, self.metrics, named)
        self.listeners.put_certificates(samples)
        put_issuance(samples, self._certificates.issuance())
        if self._owns_process:
            self._process_metrics.put(samples)

    async def _keep_log(self) -> None:
        """Undo what hooks do to the log of a process that serves."""
        while True:
            await asyncio.sleep(_KEEP_LOG_EVERY)
            logs.restore()

    @property
    def is_serving(self) -> bool:
        """Whether a configuration is in force."""
        current: Snapshot | None = self.holder.current
        return current is not None

    async def discard(self, prepared: Prepared) -> None:
        """Give up a prepared configuration; nothing happens to one that is in force."""
        if self._owns_process:
            memory.resume_collector()
        if prepared.compiled.snapshot is self.holder.current:
            return
        await prepared.compiled.snapshot.aclose()
        current: Snapshot | None = self.holder.current
        await self._certificates.keep_only(() if current is None else current.config.listen)

    def _refresh_certificates(self, address: str) -> None:
        if not self.is_draining:
            self._tasks.spawn(self.listeners.refresh(address), name=f"new certificates of {address}")

    def files(self) -> WatchSet:
        """Return the files beside the configuration's own that a reload has to look at."""
        current: Snapshot | None = self.holder.current
        if current is None:
            return WatchSet()
        listen: Sequence[ListenConfig] = current.config.listen
        listeners = [file for config in listen if config.tls is not None for file in files_of(config.tls)]
        return WatchSet.of([*listeners, *(file for each in current.config.upstreams for file in each.tls.files)])

    def changed_plugins(self, plugins: Mapping[str, str]) -> list[str]:
        """Name the plugins whose code here is another than the one that a configuration was checked with."""
        running = self.registry.codes()
        return sorted(
            f"{name} {running[name]} -> {version}"
            for name, version in plugins.items()
            if name in running and running[name] != version
        )

    async def stop(self, deadline: float, release: Callable[[], None] | None = None) -> None:
        """Stop accepting, let requests finish for at most ``deadline`` seconds, stop plugins, close everything.

        :param release: closes this process's listening sockets, before requests are waited for: the system would go on
            to accept connections, whose requests get no response.
        """
        self.is_draining = True
        self._tracing.ends_at = self.clock.monotonic() + deadline
        await self.listeners.stop_accepting()
        if release is not None:
            self.listeners.take_waiting()
            release()
        await self.proxy.drain(deadline)
        await self._certificates.aclose()
        await self._tasks.aclose()
        await self.listeners.aclose()
        await self.holder.aclose()
        await self.proxy.aclose()
        await self.upstreams.aclose()
        self._guard.stop()

    async def shared_owners(self) -> list[str]:
        """Return whose shared values are to be kept: those of the bindings in force."""
        current: Snapshot | None = self.holder.current
        owners: list[str] = []
        async for part in Yielder(self.clock).parts([] if current is None else current.bindings):
            owners += [shared_owner(each.plugin, each.path) for each in part]
        return owners

    async def run_command(self, binding: str, command: str, arguments: Mapping[str, Any]) -> list[CommandOutcome]:
        """Run a command in each instance of a binding in force; whatever they do becomes an outcome."""
        current: Snapshot | None = self.holder.current
        return await run_in_instances([] if current is None else current.bindings, binding, command, arguments)

    async def _everywhere(self, binding: str, command: str, arguments: Mapping[str, Any]) -> list[Any]:
        # As over a channel, so that plugins behave alike with one worker and with several.
        outcomes = await self.run_command(binding, command, as_json(arguments))
        return CommandReport([(0, outcome) for outcome in outcomes]).results()

    def status(self) -> dict[str, Any]:
        """Return what the admin listener shows of this process."""
        current: Snapshot | None = self.holder.current
        now = self.clock.monotonic()
        upstreams = [] if current is None else [describe_upstream(each, now) for each in current.upstreams.values()]
        return {
            "version": None if current is None else current.version,
            "draining": self.is_draining,
            **self._process_metrics.status(),
            "in_flight": self.proxy.in_flight,
            "connections": len(self.proxy.connections),
            "retiring_snapshots": len(self.holder.retirement),
            "routes": 0 if current is None else len(current.routes),
            "upstreams": upstreams,
            "certificates": describe_certificates(self.listeners.validities(), self._certificates.issuance()),
            "failing_bindings": [
                {"path": each.path, "plugin": each.plugin, "place": each.place, "failures": each.faults.count}
                for each in ([] if current is None else current.bindings)
                if each.is_failing(now)
            ],
        }

    async def plugins(self) -> dict[str, Any]:
        """Return what the admin listener shows of plugins: what is known, where it is bound, what it took."""
        await asyncio.to_thread(self.registry.scan)  # what was installed or removed since is reported as such
        current: Snapshot | None = self.holder.current
        now = self.clock.monotonic()
        installed = [info.describe() for info in self.registry.states()]
        bindings = [] if current is None else [describe_binding(each, now) for each in current.bindings]
        return {"installed": installed, "bindings": bindings, "times": [each.describe() for each in self.times.all()]}
