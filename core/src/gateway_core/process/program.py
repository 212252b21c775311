"""The program behind ``gateway run``: what is the same for one process and for several."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from gateway_core import memory
from gateway_core.config import ConfigError, ConfigProblem, render_problems
from gateway_core.config.api_document_store import DocumentStore
from gateway_core.config.sources import ConfigRoot, WatchSet, names_of, paths_of, urls_of
from gateway_core.config.sources.factories import configured_urls, with_configured
from gateway_core.errors import GatewayError
from gateway_core.events import SERVER_STOPPED_AT_ONCE, emit
from gateway_core.packages.environment import PluginWatch
from gateway_core.process import announcements, logs
from gateway_core.process.admin_listeners import AdminAccess, AdminListeners, files_of
from gateway_core.process.announcements import ServiceManager
from gateway_core.process.config_writer import ConfigWriter, WithApiDocument
from gateway_core.process.control_socket import ControlSocket, control_directory, socket_path
from gateway_core.process.loops import Signals, StoppedError
from gateway_core.process.model import Handover, ProcessModel, RestartNeededError
from gateway_core.process.override_keeper import OverrideKeeper
from gateway_core.process.program_view import ProgramView
from gateway_core.process.trial import program_arguments, try_program
from gateway_core.process.validator import ValidatorProcess
from gateway_core.process.version_keeper import Rollbacks, VersionKeeper
from gateway_core.reload.bundle import ConfigBundle, ValidationFailedError, Verdict, check_protocol
from gateway_core.reload.last_good import LastBundle, endpoints_file
from gateway_core.reload.pipeline import Change, Pipeline, Prepare
from gateway_core.reload.source_feeds import SourceError
from gateway_core.reload.sources import Sources
from gateway_core.reload.versions import VersionStore
from gateway_core.tasks import Tasks

ModelFor = Callable[[ConfigBundle, ProcessModel | None], ProcessModel]
"""Returns what serves a configuration: the given model, whose configuration could not be started, or another one."""

_STOP_MARGIN: Final = 4.5
"""Seconds beside `drain_delay` and `shutdown_timeout` after which the process ends whatever plugins do."""


class Program:
    """Starts a model, keeps its configuration in step with the files, and stops it."""

    def __init__(
        self, roots: Sequence[ConfigRoot], state: Path, validator: ValidatorProcess, *, last_good: bool = False
    ) -> None:
        """Listen to signals; needs a running event loop.

        :param state: the directory for what has to outlast the process.
        :param validator: ended with the program.
        :param last_good: start with the configuration that was in force last if this one cannot be.
        """
        self._last_good = LastBundle(state, roots, is_used=last_good)
        self._manager = ServiceManager(os.environ)
        self._has_followed = False
        """Whether another program was here before this one."""
        self._admin = AdminListeners()
        self._restart_wanted, self._arguments = asyncio.Event(), program_arguments(roots, state, last_good=last_good)
        self._handover: asyncio.Future[Handover] = asyncio.get_running_loop().create_future()
        self._plugins = PluginWatch()
        self._tasks = Tasks()
        self._paths = paths_of(tuple(roots))
        self._configured = configured_urls(self._paths, os.environ)
        urls = with_configured(urls_of(tuple(roots)), self._configured)
        self._validator = validator
        # Gateways that are run with the same name of a file in different directories share the state directory.
        names = names_of(roots)
        self.endpoints = endpoints_file(state, names)
        """What keeps the endpoints that discoveries find."""
        store, self._versions = DocumentStore(state, names), VersionKeeper(VersionStore(state, names))
        self._checker = WithApiDocument(validator, store)
        self._sources = Sources(urls, state, self._checker) if urls else None
        self.pipeline = Pipeline(
            self._paths,
            validate=self._validate,
            prepare=self._prepare,
            fall_back=self._fall_back,
            hold=self._versions.hold,
            also_watch=self._files,
            during=self._manager.during_reload,
            is_installing=self._plugins.is_installing,
        )
        self.model: ProcessModel | None = None
        # From here on a signal that has waited since the program before this one is handled.
        self.signals = Signals(
            on_reload=lambda: self.pipeline.request("SIGHUP"),
            on_restart=self._restart_wanted.set,
            on_reopen=self._reopen_files,
            limit=self._time_to_stop,
        )
        self.warnings: tuple[ConfigProblem, ...] = ()
        """Of the configuration in force."""
        self._bundle: ConfigBundle | None = None
        """The configuration in force."""
        path = socket_path(control_directory(os.environ), roots, os.getpid())
        model, bundle = (lambda: self.model), (lambda: self._bundle)
        access, overrides = AdminAccess(state), OverrideKeeper(state, names, model)
        writer = ConfigWriter(store, self.pipeline, self._prepare, model, path, lambda: self._versions.pin)
        rollbacks = Rollbacks(self._versions, self.pipeline, self._prepare, bundle, writer.turn)
        self._view = ProgramView(self.pipeline, self._sources, access, writer, rollbacks, overrides, model, bundle)
        self.feed = self._view.live
        self.control = ControlSocket(path, self._view, lambda: self._view.is_draining)

    async def first(self) -> Verdict:
        """Validate the configuration for the first time.

        :raises GatewayError: a source cannot be used, or there is no verdict.
        """
        await self._view.overrides.load()
        if self._sources is not None:
            # A source may be waited for, for long, and what is wrong with it is to be seen meanwhile.
            announcements.use_configured_format(self._paths)
            try:
                await self._sources.start(self.pipeline.request)
            except SourceError:
                # What is wrong with it in a file is reported with its place, like all that is wrong there.
                verdict = await self._checker.validate(self._paths)
                if any(problem.key_path.startswith("sources[") for problem in verdict.problems):
                    return verdict
                raise
            await self.signals.run_until_signal(self._sources.ready(self._manager.waiting, self.control.announce))
        return await self.signals.run_until_signal(self._first_verdict())

    async def _first_verdict(self) -> Verdict:
        # What is installed is read while the validating process starts: whatever it finds cannot be older.
        verdict, noted = await asyncio.gather(self.pipeline.first(), self._plugins.start(), return_exceptions=True)
        if isinstance(noted, BaseException):
            raise noted
        if isinstance(verdict, Verdict) and verdict.bundle is not None:
            return verdict
        if isinstance(verdict, BaseException) or verdict.blames_plugins:
            await self._plugins.doubt()
        if isinstance(verdict, BaseException):
            if not isinstance(verdict, ValidationFailedError) or not self._plugins.is_installing():
                raise verdict
            verdict = await self.pipeline.first()
        return await self.pipeline.until_written(verdict)

    async def _validate(self, paths: Sequence[Path]) -> Verdict:
        if await self._plugins.settle(self.pipeline.history.join):
            # It may have looked around already.
            await self._validator.discard()
        return await (self._checker if self._sources is None else self._sources).validate(paths)

    async def _fall_back(self, problems: Collection[ConfigProblem]) -> Verdict | None:
        return None if self._sources is None else await self._sources.fall_back(problems)

    async def follow(self, left: Handover) -> None:
        """Watch what an earlier program in this process made its configuration of.

        :raises GatewayError: a source cannot be used.
        """
        bundle, self._has_followed = left.bundle, True
        await self._view.overrides.load(left.overrides)
        await self._plugins.start()
        await self.pipeline.follow(left.unfinished)
        if self._sources is not None:
            await self._sources.start(self.pipeline.request)
        elif bundle.has_remote_documents(but=self._view.writer.name):
            self.pipeline.request("sources are no longer configured")

    def given_up(self) -> int:
        """Say that a signal came before it was ready; return the exit status, that of every stop that was asked for."""
        self.not_started(f"gateway: stopped by {self.signals.stopped_by} before it was ready")
        return 0

    def not_started(self, text: str, reason: str = "") -> None:
        """Say why there is no gateway, see `announcements.not_started`."""
        if self.model is None:
            announcements.use_configured_format(self._paths)
        announcements.not_started(text, reason)

    async def aclose(self) -> None:
        """Let go of the sources, and of what validates."""
        if self._sources is not None:
            await self._sources.aclose()
        await self._validator.aclose()

    async def run(self, model_for: ModelFor, verdict: Verdict) -> int | Handover:
        """Serve until a signal ends it; return the exit status, or what a new program takes over."""
        try:
            await self.signals.run_until_signal(self._start(model_for, verdict))
        except ConfigError as error:
            # What only starting it shows is one line, like whatever else keeps a good configuration from starting.
            is_valid = verdict.bundle is not None and len(error.problems) == 1
            problems = str(error.problems[0]) if is_valid else render_problems(error.problems)
            self.not_started(problems, "the configuration has problems")
            return 1
        except (GatewayError, OSError) as error:  # the system may have no process, memory or descriptors for it
            self.not_started(f"gateway: {error}", str(error))
            return 1
        except StoppedError:
            return self.given_up()
        assert self.model is not None
        announcements.has_warnings(self.warnings)
        announcements.listening(self.model.urls(), self.model.config)
        if self._has_followed:
            # Who sent SIGUSR2 waits for this; after a first start the line `listening on` is all that is printed.
            announcements.restarted(self.model.urls(), self.model.config)
        self._manager.ready("serving")
        self._validator.is_superseded = self.pipeline.wanted.is_set
        self._tasks.supervise(self.pipeline.watch, name="watch the configuration")
        self._tasks.supervise(self.pipeline.run, name="reload the configuration")
        self._tasks.supervise(partial(self._plugins.follow, self.pipeline.request), name="watch the installed plugins")
        self._view.supervise(self._tasks)
        self._tasks.supervise(self._restart_when_wanted, name="restart on SIGUSR2")
        self._tasks.supervise(self._manager.keep_alive, name="keep the service manager's watchdog")
        try:
            handover = await self.signals.run_until_signal(self._handed_over())
        except StoppedError:
            return await self._stop()
        self.signals.hold()
        await self._tasks.aclose()
        self.feed.end("restarting")
        await self.control.aclose(keeps_file=True)
        await self._close_admin()
        return replace(handover, unfinished=self.pipeline.leave())

    async def _start(self, model_for: ModelFor, verdict: Verdict) -> None:
        """Serve the configuration, or what is left of it without the documents that cannot be started.

        :raises ConfigError: nothing is left.
        """
        model: ProcessModel | None = None

        async def prepare(bundle: ConfigBundle) -> Change:
            nonlocal model
            logs.configure(bundle.log())  # before a plugin or another process writes something
            before, model = model, model_for(bundle, model)
            if before is not None and before is not model:
                await before.stop(0)
            await self._view.overrides.begin(model)
            change = await model.prepare(bundle)
            self.model = model
            return Change(change.commit, partial(self._discard_first, change), partial(self._conclude_first, bundle))

        try:
            try:
                await self._start_or_fall_back(verdict, prepare)
            except (ConfigError, GatewayError):
                if not self._plugins.is_installing():
                    raise
                # What was validated may have been replaced before it was imported here.
                await self._start_or_fall_back(await self.pipeline.first(), prepare)
        except BaseException:
            self.model = None
            if model is not None:
                await model.stop(0)
            raise
        await self.control.open()
        memory.freeze()

    async def _start_or_fall_back(self, verdict: Verdict, prepare: Prepare) -> None:
        try:
            changes, problems, _ = await self.pipeline.put_in_force(verdict, prepare)
        except ConfigError as error:
            kept = await self._last_good.load_after(error.problems)
            if kept is None:
                raise
            await self.pipeline.put_in_force(Verdict(kept.watch(), kept), prepare)
            self.pipeline.history.fail("the last good configuration was started", error.problems)
        else:
            self.pipeline.history.succeed(changes, problems)

    async def _conclude_first(self, bundle: ConfigBundle, changes: str) -> str:
        """Follow what is in force.

        :raises GatewayError: the admin listener cannot be opened, without which a gateway does not start.
        """
        await self._settle()
        self.warnings, self._bundle = bundle.warnings(), bundle
        await self._keep(bundle, changes)
        return self._versions.noted(changes)

    async def _discard_first(self, change: Change) -> None:
        self.model = None
        await change.discard()

    async def _keep(self, bundle: ConfigBundle, changes: str) -> None:
        if self._sources is not None and self._versions.pin is None:
            await self._sources.keep()
        await self._versions.keep(bundle, self.pipeline.history.trigger, changes)
        await self._last_good.save(bundle)

    async def _follow_other_sources(self, bundle: ConfigBundle) -> None:
        """Have a new program take over if the local files name other sources than this one follows."""
        if await asyncio.to_thread(configured_urls, self._paths, os.environ) == self._configured:
            return
        announcements.restarting("the files name other sources")
        try:
            await self._restart(bundle)
        except GatewayError as error:
            announcements.not_restarted("the sources stay as they were until a restart", str(error))

    async def _settle(self) -> None:
        """Follow what the configuration in force says of this process."""
        assert self.model is not None
        logs.configure(self.model.config.log)
        await self._admin.follow(self.model.config.admin, self._view)

    async def _prepare(self, bundle: ConfigBundle) -> Change:
        assert self.model is not None
        try:
            change = await self.model.prepare(bundle)
        except RestartNeededError as needed:
            return Change(partial(self._exchange, bundle, str(needed)))
        return Change(change.commit, change.discard, partial(self._conclude, bundle))

    async def _conclude(self, bundle: ConfigBundle, changes: str) -> str:
        self.warnings, self._bundle = bundle.warnings(), bundle
        await self._follow_other_sources(bundle)
        announcements.has_warnings(self.warnings)
        await self._keep(bundle, changes)
        changes = self._versions.noted(changes)
        try:
            await self._settle()
        except GatewayError as error:
            return f"{changes}; but the admin listener is not open: {error}"
        return changes

    async def _exchange(self, bundle: ConfigBundle, needed: str) -> str:
        announcements.restarting(needed)
        await self._restart(bundle)
        return f"taken over by a new process with {needed}"

    def _reopen_files(self) -> None:
        if self.model is not None:
            self.model.reopen_files()

    def _files(self) -> WatchSet:
        return WatchSet() if self.model is None else self.model.files() | files_of(self.model.config.admin)

    async def _handed_over(self) -> Handover:
        return await self._handover

    async def _restart(self, bundle: ConfigBundle) -> None:
        """Have a new program take over; raises if it would not work, and this one goes on then."""
        assert self.model is not None
        await try_program(self._arguments)
        self._view.report()
        handover = await self.model.restart(bundle)
        self.pipeline.is_left = True
        if not self._handover.done():
            self._handover.set_result(replace(handover, overrides=self._view.overrides.left()))

    async def _restart_when_wanted(self) -> None:
        while True:
            await self._restart_wanted.wait()
            self._restart_wanted.clear()
            try:
                async with self.pipeline.turn:
                    # By the code that is installed now: if that is broken, it is better found out before the exchange.
                    await self._validator.discard()
                    verdict = await self.pipeline.first()
                    if verdict.bundle is not None:
                        check_protocol(verdict.bundle)
                        announcements.restarting("SIGUSR2")
                        await self._restart(verdict.bundle)
                        return
                announcements.not_restarted("SIGUSR2: not restarted", "configuration rejected", verdict.problems)
            except (GatewayError, OSError) as error:
                announcements.not_restarted("SIGUSR2: not restarted", str(error))

    def _time_to_stop(self) -> float:
        """Return the seconds in which the process ends from a signal on."""
        config = None if self.model is None else self.model.config
        return _STOP_MARGIN if config is None else config.drain_delay + config.shutdown_timeout + _STOP_MARGIN

    async def _stop(self) -> int:
        assert self.model is not None
        delay, deadline = self.model.config.drain_delay, self.model.config.shutdown_timeout
        announcements.stopping(self.signals.stopped_by, self.model.config)
        self._manager.stopping()
        self._view.drain()
        self._admin.drain()
        await self._tasks.aclose()
        try:
            # Load balancers see that /ready fails and send no more, while those that have not looked yet are served.
            await self.signals.run_until_second_signal(asyncio.sleep(delay))
            await self.signals.run_until_second_signal(self.model.stop(deadline))
        except StoppedError:
            emit(SERVER_STOPPED_AT_ONCE, "stopping at once")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await self.model.stop(0)
        await self._close_admin()
        return 0

    async def _close_admin(self) -> None:
        await self.control.aclose()
        await self._admin.aclose()
