"""What the admin listener and the control socket show of a program, and what they do to it."""

from __future__ import annotations

import asyncio
import importlib
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from gateway_core.clock import SystemClock
from gateway_core.config import LoadedConfig, problem_as_json, render_problems
from gateway_core.errors import GatewayError
from gateway_core.events import listeners
from gateway_core.metrics.catalogue import BUILD_INFO, CONFIG_PINNED
from gateway_core.metrics.render import render
from gateway_core.metrics.samples import Samples
from gateway_core.observe.live_feed import LiveFeed, Parts
from gateway_core.observe.tail_filter import TailFilter
from gateway_core.process import logs
from gateway_core.process.admin_listeners import AdminAccess
from gateway_core.process.model import ProcessModel
from gateway_core.process.overview import PROGRAM, put_configuration, put_sources, with_overrides
from gateway_core.process.plugin_descriptions import PluginDescriptions
from gateway_core.process.plugin_services import CommandReport
from gateway_core.process.route_use import LastUsed
from gateway_core.process.version_keeper import compared, plain_of
from gateway_core.reload.bundle import ConfigBundle
from gateway_core.reload.pipeline import Pipeline
from gateway_core.reload.sources import Sources
from gateway_core.tasks import Tasks, Yielder, supervised

if TYPE_CHECKING:
    from gateway_core.admin import Access
    from gateway_core.process.config_writer import ConfigWriter
    from gateway_core.process.override_keeper import OverrideKeeper
    from gateway_core.process.version_keeper import Rollbacks

STATUS_TIMEOUT: Final = 5.0


class ProgramView:
    """`gateway_core.admin.AdminView` of this program; asked for only once something is in force."""

    def __init__(
        self,
        pipeline: Pipeline,
        sources: Sources | None,
        access: AdminAccess,
        writer: ConfigWriter,
        rollbacks: Rollbacks,
        overrides: OverrideKeeper,
        model: Callable[[], ProcessModel | None],
        bundle: Callable[[], ConfigBundle | None],
    ) -> None:
        """Show a program that starts now.

        :param model: returns what serves.
        :param bundle: returns the configuration in force.
        """
        self._pipeline = pipeline
        self._sources = sources
        self._access = access
        self.writer = writer
        self._rollbacks = rollbacks
        self.history, self.kept_version = rollbacks.keeper.history, rollbacks.keeper.version
        self.roll_back, self.unpin = rollbacks.roll_back, rollbacks.unpin
        self.live = LiveFeed(SystemClock())
        """The live events of all processes."""
        self.live.measure, self.live.watch = self._measure, self._watch_requests
        listeners[:] = [self.live.note]
        self.try_reload = writer.try_out
        self.overrides = overrides
        self.last_used = LastUsed(self._used_routes, SystemClock())
        self._descriptions = PluginDescriptions()
        self._loaded: tuple[ConfigBundle, LoadedConfig] | None = None
        self._model_now = model
        self._bundle_now = bundle
        self._started_at = SystemClock().wall()
        self._has_asked_for_access = False
        """Whether files are read for it: a new program has only what is in force."""
        self.is_draining = False
        """Whether the program is about to end."""

    def supervise(self, tasks: Tasks) -> None:
        """Have it follow what changes by itself, as long as the program serves."""
        tasks.supervise(self.overrides.follow, name="end overrides that expire")
        tasks.supervise(self.last_used.follow, name="note which routes are used")

    def drain(self) -> None:
        """Show from now on that the program is about to end."""
        self.is_draining = True
        self.live.end("stopping")

    async def _watch_requests(self, filters: Sequence[TailFilter]) -> None:
        await self._model.watch_requests(filters)

    async def _measure(self) -> tuple[Parts, Sequence[int]]:
        return await self._model.traffic()

    async def _used_routes(self) -> Sequence[str]:
        model = self._model_now()
        return () if model is None else await model.used_routes()

    @property
    def _model(self) -> ProcessModel:
        model = self._model_now()
        if model is None:
            raise GatewayError("no configuration is in force")
        return model

    @property
    def _bundle(self) -> ConfigBundle:
        bundle = self._bundle_now()
        if bundle is None:
            raise GatewayError("no configuration is in force")
        return bundle

    async def access(self) -> Access:
        """Return who is let in at the moment; see `AdminAccess.of`."""
        keeper, config = self._rollbacks.keeper, self._model.config.admin
        if not keeper.is_access_known() and not self._has_asked_for_access:
            self._has_asked_for_access = True
            self._pipeline.request("who may use the admin API is what files say")
        return await self._access.of(config, keeper.access(config), is_known=keeper.is_access_known())

    async def status(self, timeout: float = STATUS_TIMEOUT) -> Mapping[str, Any]:  # noqa: ASYNC109 - the workers'
        """Return the state of everything, ready for JSON, without secrets."""
        history, bundle = self._pipeline.history, self._bundle_now()
        warnings = () if bundle is None else bundle.warnings()
        sources = {} if self._sources is None else {"sources": self._sources.status()}
        status = await self._model.status(timeout)
        return {
            "gateway": self._program(),
            **with_overrides(status, self.overrides.of_endpoints()),
            "overrides": self.overrides.describe(),
            "warnings": [problem_as_json(warning) for warning in warnings],
            "pinned": None if self._rollbacks.keeper.pin is None else asdict(self._rollbacks.keeper.pin),
            "last_reload": history.last and history.last.describe(),
            "last_failed_reload": history.last_failure and history.last_failure.describe(),
            "failing_tasks": {**status.get("failing_tasks", {}), **supervised.failing},
            **sources,
        }

    async def loaded(self) -> LoadedConfig:
        """Return the configuration in force, with its places.

        :raises GatewayError: there is none.
        """
        bundle = self._bundle
        if self._loaded is None or self._loaded[0] is not bundle:
            self._loaded = bundle, await LoadedConfig.from_lines(bundle.lines, Yielder(SystemClock()))
        return self._loaded[1]

    async def diff(self, old: int | None, new: int | None) -> Mapping[str, Any]:
        """Return what differs between two versions, without secrets; None is what is in force.

        :raises RefusedError: there is none of a number.
        :raises GatewayError: one cannot be read.
        """
        before, after = await self._plain(old), await self._plain(new)
        return {"from": old or "running", "to": new or "running", **await compared(before, after)}

    async def try_roll_back(self, number: int) -> Mapping[str, Any]:
        """Return what a rollback would change, or why it cannot be; see `AdminView.try_reload`.

        :raises RefusedError: there is no such version.
        :raises GatewayError: it cannot be read, or not be prepared for another reason than its problems.
        """
        return await self.writer.try_out(await self._rollbacks.version(number))

    async def _plain(self, number: int | None) -> Mapping[str, Any]:
        if number is not None:
            return await self._rollbacks.keeper.config(number)
        return await plain_of((await self.loaded()).config)

    def _program(self) -> dict[str, Any]:
        config = self._model.config
        return {
            "version": version("gateway-core"),
            "pid": os.getpid(),
            "started_at": datetime.fromtimestamp(self._started_at, UTC).isoformat(timespec="milliseconds"),
            "urls": list(self._model.urls()),
            "admin": None if config.admin is None else config.admin.listen,
            "dropped_log_lines": logs.dropped(),
            "log_level": logs.level(),
        }

    async def plugins(self) -> Mapping[str, Any]:
        """Return plugins, bindings and times of each worker."""
        return await self._model.plugins()

    async def describe_plugin(self, name: str) -> Mapping[str, Any]:
        """Return what an installed plugin does, its hooks and the JSON Schema of its options, ready for JSON.

        :raises RefusedError: none of this name is installed.
        :raises GatewayError: it cannot be imported.
        """
        return await self._descriptions.get(name)

    async def exposition(self, content_type: str) -> bytes:
        """Return the metrics in a format of `gateway_core.metrics.render`."""
        self.report()
        samples = await self._model.samples()
        return await asyncio.to_thread(render, samples, content_type)

    def report(self) -> None:
        """Have the ledger of metrics know what became of configurations, and how their sources are."""
        samples, bundle = Samples(), self._bundle
        samples.one(BUILD_INFO, 1, version("gateway-core"), platform.python_version())
        put_configuration(samples, self._pipeline.history, bundle.version, len(bundle.warnings()))
        samples.one(CONFIG_PINNED, self._rollbacks.keeper.pin is not None)
        self.overrides.report(samples)
        put_sources(samples, () if self._sources is None else self._sources.status())
        self._model.ledger.report(PROGRAM, samples)

    async def run_command(self, binding: str, command: str, arguments: Mapping[str, Any]) -> CommandReport:
        """Run a command of a binding in every worker."""
        return await self._model.run_command(binding, command, arguments)

    def request_reload(self) -> None:
        """Reload the configuration soon."""
        self._pipeline.request("gateway reload")

    async def reload(self) -> Mapping[str, Any]:
        """Reload the configuration, and return what became of it, with ``report``: problems as text.

        :raises GatewayError: the program ends, or another one takes over, before there is an outcome.
        """
        if self.is_draining:
            raise GatewayError("the gateway is stopping")
        outcome = await self._pipeline.reload("gateway reload")
        report = render_problems(outcome.problems) if outcome.problems else ""
        return {**outcome.describe(), "version": self._bundle.version, "report": report}

    async def match(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return which route of the configuration in force takes a request, and why.

        :raises ValueError: it is no request, or there is no such listener.
        """
        # A supervisor does without the data path otherwise.
        matching = await asyncio.to_thread(importlib.import_module, "gateway_core.admin.match")
        loaded = await self.loaded()
        result: Mapping[str, Any] = await asyncio.to_thread(matching.explain_request, loaded, request)
        return result
