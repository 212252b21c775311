"""The watcher: discoveries and health checks of the configuration run once for all workers, in one process.

`Watcher` is its role, and sends what is found over the channel. `WatcherProcess` is the process as the supervisor sees
it: started when a configuration needs it, and again when it has ended. What it finds is kept there, for workers that
start later, and stays in force while there is no watcher.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Collection, Hashable, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from gateway_core.clock import Clock, SystemClock
from gateway_core.config import GatewayConfig, LoadedConfig, UpstreamConfig
from gateway_core.errors import GatewayError
from gateway_core.events import WATCHER_ENDED, WATCHER_NOT_STARTED, WORKER_CALL_FAILED, emit, listeners
from gateway_core.metrics import Metrics
from gateway_core.metrics.ledger import Ledger
from gateway_core.metrics.samples import Samples
from gateway_core.observe.live_feed import LiveFeed
from gateway_core.packages import PluginRegistry
from gateway_core.packages.extensions import Extensions
from gateway_core.packages.lock_file import is_locked
from gateway_core.process import logs
from gateway_core.process.channel import Channel, ChannelClosedError, Message, parts
from gateway_core.process.child import WATCHER, Child
from gateway_core.process.live_link import LIVE, Outbox, take
from gateway_core.process.override_table import OVERRIDES, OverrideTable, from_plain, level_of
from gateway_core.process.patience import patiently
from gateway_core.process.process_metrics import ProcessMetrics
from gateway_core.process.replacement import Replacements, exit_text
from gateway_core.process.template import Template
from gateway_core.reload.bundle import ConfigBundle
from gateway_core.tasks import Tasks, Yielder
from gateway_core.upstreams.checker import HealthCall
from gateway_core.upstreams.discovery import BUILT_IN
from gateway_core.upstreams.discovery.kept_endpoints import KeptEndpoints
from gateway_core.upstreams.finding_store import Finding, FindingStore
from gateway_core.upstreams.findings import Publisher
from gateway_core.upstreams.monitor import LocalMonitor, is_checked
from gateway_core.upstreams.registry_session import RegistrySession
from gateway_core.upstreams.resolver import Resolver


async def _check_grpc(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, call: HealthCall) -> None:
    # A watcher needs HTTP/2 for this alone: it is loaded before the first such check (`Watcher._load_extensions`).
    from gateway_core.proxy.upstream.grpc_health import check_health  # noqa: PLC0415

    await check_health(reader, writer, call)


class Watcher:
    """Watches what the supervisor says, until it is gone."""

    deadline: Final = 0.0
    """Seconds: nothing is under way that has to be finished."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._clock = SystemClock()
        self._metrics = Metrics()
        self._process_metrics = ProcessMetrics("watcher", self._clock)
        self._metrics.register(self._process_metrics.put)
        self._registry = PluginRegistry(describes=False)
        resolver = Resolver(self._clock)
        self._session = RegistrySession(resolver)
        self._monitor = LocalMonitor(
            self._clock, resolver=resolver, session=self._session, metrics=self._metrics, grpc=_check_grpc
        )
        self._findings: asyncio.Queue[Finding] = asyncio.Queue()
        self._publisher = Publisher(self._monitor, self._findings.put_nowait)
        self._kept: KeptEndpoints | None = None
        self._parts: list[bytes] = []
        self._tasks = Tasks()
        self._outbox = Outbox(channel, self._clock)
        listeners[:] = [self._outbox.note]  # in place of what the process had that this one was forked from

    async def run(self) -> None:
        """Watch until the supervisor is gone."""
        self._tasks.supervise(self._send_findings, name="send what is found")
        self._tasks.supervise(self._outbox.run, name="send live events")
        self._tasks.supervise(self._process_metrics.watch_loop, name="watch the event loop")
        with contextlib.suppress(ChannelClosedError):
            while True:
                message = await self._channel.receive()
                if message.kind == "part":
                    self._parts.append(message.body)
                elif message.kind == "use":
                    await self._use(message)
                elif message.kind == OVERRIDES:
                    logs.override_level(level_of(from_plain(message["overrides"])))
                    if "call" in message.fields:  # what a watcher begins with has no reply
                        await self._channel.reply(message)
                elif message.kind == "status":
                    await self._channel.reply(message, **self._process_metrics.status())
                elif message.kind == "metrics":
                    samples = await asyncio.to_thread(lambda: self._metrics.collect().dump())
                    await self._channel.reply(message, samples)
        if self._kept is not None:
            await self._kept.aclose()
        await self._tasks.aclose()
        await self._publisher.aclose()
        await self._session.aclose()

    async def _send_findings(self) -> None:
        with contextlib.suppress(ChannelClosedError):
            while True:
                finding = await self._findings.get()
                await self._channel.send("finding", finding=finding)

    async def _use(self, message: Message) -> None:
        lines = tuple(line for part in self._parts for line in part.split(b"\n"))
        self._parts.clear()
        running = self._registry.codes()
        outdated = [
            name for name, version in message["plugins"].items() if name in running and running[name] != version
        ]
        refusal = None
        if not outdated:
            config = (await LoadedConfig.from_lines(lines, Yielder(self._clock))).config
            logs.configure(config.log, process="watcher")
            kept = message.fields.get("endpoints")  # a supervisor of before an installation does not name it
            if kept is not None and self._kept is None:
                self._kept = KeptEndpoints(Path(kept))
                await self._kept.load()
                self._monitor.keep(self._kept)
            try:
                await self._load_extensions(config, message["plugins"].keys())
                await self._publisher.use(config.upstreams)
            except (ValueError, OSError, ssl.SSLError) as error:
                refusal = str(error)
            except Exception as error:  # noqa: BLE001 - a defect must not end the watcher
                emit(WORKER_CALL_FAILED, "preparing to watch failed", error=error, call="use")
                refusal = repr(error)
        await self._channel.reply(message, refusal=refusal, outdated=outdated)

    async def _load_extensions(self, config: GatewayConfig, checked: Collection[str]) -> None:
        if any(each.health_check is not None and each.health_check.type == "grpc" for each in config.upstreams):
            # It takes longer than a check may.
            await asyncio.to_thread(import_module, "gateway_core.proxy.upstream.grpc_health")
        wanted = {upstream.discovery.name for upstream in config.upstreams if upstream.discovery is not None}
        if not wanted - BUILT_IN.keys():
            return
        await asyncio.to_thread(self._registry.scan)
        # What is installed may be more than what was locked.
        usable = checked if is_locked() else None
        extensions = await asyncio.to_thread(lambda: Extensions(self._registry.loaded(usable)))
        self._monitor.extend(extensions.discoveries)


USE_TIMEOUT: Final = 60.0
METRICS_TIMEOUT: Final = 2.0
_END_TIME: Final = 1.0
"""Seconds in which the process writes down what it has found; it may be at something that takes longer."""
_NO_STATUS: Final[Mapping[str, Any]] = {"failing_tasks": {}, "shortages": [], "recent_events": []}
_PLACE: Final = 0
"""The number of the only watcher among `Replacements`."""


class WatcherRefusedError(GatewayError):
    """The watcher cannot watch what a configuration asks for."""


class WatcherSilentError(WatcherRefusedError):
    """The watcher has ended, or does not respond."""


class WatcherProcess:
    """Discovers and checks for all workers, in a process of its own."""

    def __init__(
        self,
        clock: Clock,
        template: Template | None = None,
        ledger: Ledger | None = None,
        feed: LiveFeed | None = None,
        overrides: OverrideTable | None = None,
        endpoints: Path | None = None,
    ) -> None:
        """Begin without a process: most configurations need none.

        :param template: what it is forked from; without it there is an interpreter of its own.
        :param ledger: where its metrics are added to those of workers.
        :param feed: takes what it has for the live events.
        :param overrides: what operators override, which the process is sent.
        :param endpoints: the file in which the process keeps what discoveries find.
        """
        self._clock = clock
        self._template = template
        self._feed = feed
        self.ledger = Ledger() if ledger is None else ledger
        """Where its metrics are."""
        self.findings = FindingStore()
        """What it has found, which workers subscribe to."""
        self._overrides = overrides or OverrideTable()
        self._endpoints = None if endpoints is None else str(endpoints)
        self._child: Child | None = None
        self._bundle: ConfigBundle | None = None
        self._watched: tuple[UpstreamConfig, ...] = ()
        self._replacements = Replacements()
        self._changing = asyncio.Lock()
        self._tasks = Tasks()

    @property
    def pid(self) -> int | None:
        """The process; None if there is none at present."""
        return None if self._child is None else self._child.pid

    async def use(self, bundle: ConfigBundle, config: GatewayConfig) -> None:
        """Watch what a configuration needs, from now on and whatever happens to the process.

        :raises WatcherRefusedError: that is not possible; what was watched before goes on.
        """
        watched = tuple(each for each in config.upstreams if each.discovery is not None or is_checked(each))
        async with self._changing:
            is_same = watched == self._watched and not any(each.tls.files for each in watched)
            if is_same and self._bundle is not None and self._bundle.plugins == bundle.plugins:
                return
            if watched or self._child is not None:
                await self._have_watched(bundle)
            self._bundle, self._watched = bundle, watched

    async def report(self) -> set[Hashable]:
        """Have the ledger know what the process has counted; return it if it has responded."""
        child = self._child
        if child is not None:
            with contextlib.suppress(ChannelClosedError, TimeoutError):
                reply = await child.call("metrics", timeout=METRICS_TIMEOUT)
                self.ledger.report(child, await asyncio.to_thread(Samples.load, reply.body))
                return {child}
        return set()

    async def status(self, timeout: float) -> Mapping[str, Any]:  # noqa: ASYNC109 - of the process's reply
        """Return why its endless tasks fail, by their names, what it lacks and what it logged lately.

        One of no reply at all is the process itself.
        """
        child = self._child
        if child is None or child.gone.is_set():
            return _NO_STATUS
        try:
            reply = await child.call("status", timeout=timeout)
        except ChannelClosedError:
            return _NO_STATUS  # it has ended, and is started again
        except TimeoutError:
            return {**_NO_STATUS, "failing_tasks": {"watch for all workers": "the watcher does not respond"}}
        return {name: reply[name] for name in _NO_STATUS}

    async def aclose(self) -> None:
        """End the process; workers keep what they have."""
        child, self._child = self._child, None
        await self._tasks.aclose()
        if child is not None:
            child.is_leaving = True
            child.channel.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END_TIME):
                    await child.gone.wait()
            await child.end()
            self.ledger.end(child)

    async def _have_watched(self, bundle: ConfigBundle) -> None:
        child = self._child
        if child is not None and not child.gone.is_set():
            try:
                if not await self._tell(child, bundle):
                    return
            except WatcherSilentError:
                child.kill()  # what keeps this one from it need not be the configuration
        # There is none, or it runs other versions of plugins than the configuration was checked with.
        forked = None if self._template is None else await self._template.fork(WATCHER, 0, {})
        if forked is None:
            fresh = await Child.spawn(WATCHER, "the watcher")
        else:
            fresh = await Child.take("the watcher", forked[0])
        fresh.listen(partial(self._receive, fresh))
        try:
            with contextlib.suppress(ChannelClosedError):  # which the next line reports
                await self._overrides.begin(fresh)
            await self._tell(fresh, bundle)
        except BaseException:
            await fresh.end()
            raise
        self._child = fresh
        self.ledger.open(fresh)
        self._replacements.note_start(_PLACE)
        self._tasks.supervise(partial(self._mind, fresh), name="replace the watcher")
        if child is not None:
            await child.end()

    async def _receive(self, child: Child, message: Message) -> None:
        if message.kind == LIVE:
            take(self._feed, message, process="watcher")
        elif not child.is_leaving:
            self.findings.apply(message["finding"])

    async def _mind(self, child: Child) -> None:
        """Wait for the end of the process, and start another one unless it was stopped on purpose."""
        started_at = self._clock.monotonic()
        await child.gone.wait()
        self.ledger.end(child)
        if child.is_leaving or self._child is not child:
            return
        how = exit_text(child.exit_status)
        reason = f"the watcher has ended unexpectedly ({how})"
        emit(WATCHER_ENDED, f"{reason} and is started again; workers keep what it has found", reason=reason)
        self.findings.apply({"kind": "lost", "reason": reason})
        self._replacements.note_end(_PLACE, self._clock.monotonic() - started_at, how)
        await self._replacements.replace(
            _PLACE,
            self._changing,
            is_wanted=lambda: self._child is child and self._bundle is not None,
            start=self._start_again,
            on_refusal=lambda text, _: emit(
                WATCHER_NOT_STARTED, f"the watcher cannot be started again yet: {text}", reason=text
            ),
        )

    async def _start_again(self) -> None:
        assert self._bundle is not None
        await self._have_watched(self._bundle)

    async def _tell(self, child: Child, bundle: ConfigBundle) -> Sequence[str]:
        """Have a process watch what a configuration needs.

        :returns: plugins of which it runs another version.
        :raises WatcherRefusedError: it cannot.
        """
        try:
            using = self._send_and_use(child, bundle)
            reply = await patiently(using, child.pid, USE_TIMEOUT, what=f"{child}, which takes a configuration")
        except ChannelClosedError:
            why = await child.end_reason()
            raise WatcherSilentError(f"the watcher ended while it took the configuration{why}") from None
        except TimeoutError:
            raise WatcherSilentError(f"the watcher did not take the configuration within {USE_TIMEOUT:g}s") from None
        if reply["refusal"] is not None:
            raise WatcherRefusedError(f"discovery and health checks cannot be started: {reply['refusal']}")
        outdated: Sequence[str] = reply["outdated"]
        return outdated

    async def _send_and_use(self, child: Child, bundle: ConfigBundle) -> Message:
        for part in parts(bundle.lines):
            await child.channel.send("part", body=part)
        plugins, endpoints = dict(bundle.plugins), self._endpoints
        return await child.channel.call("use", version=bundle.version, plugins=plugins, endpoints=endpoints)
