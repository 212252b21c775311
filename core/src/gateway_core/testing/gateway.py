"""A real gateway on a real socket, in a thread of the test's process."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from gateway_core.clock import Clock
from gateway_core.hooks import CommandError, Plugin, as_json
from gateway_core.observe import CallRecorder, HookCall
from gateway_core.packages import PluginRegistry
from gateway_core.process.engine import Engine
from gateway_core.process.socket_table import SocketTable
from gateway_core.reload.bundle import ConfigBundle
from gateway_core.testing.client import TIMEOUT, Answer, Client, Fields
from gateway_core.testing.configuration import INSTALLED, Config, load_text
from gateway_core.testing.log_keeper import LogKeeper
from gateway_core.testing.loop_thread import LoopThread, eventually

_DRAIN: Final = 2.0


class RunningGateway:
    """Serves a configuration from its making until `close`: the engine of ``gateway run``, without its process."""

    def __init__(
        self,
        config: Config,
        *,
        plugins: Iterable[Any] = (),
        clock: Clock | None = None,
        environ: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        """Start; it accepts requests when this returns.

        :param config: YAML text or a mapping; without ``listen`` it listens on a free port of 127.0.0.1.
        :param plugins: plugin classes that need not be installed.
        :param clock: what everything in it reads the time from; sockets and timers go on in real time.
        :param environ: what ``${NAME}`` is looked up in, the process's environment unless given.
        :param directory: where relative file names in the configuration start.
        :raises InvalidConfigError: the gateway refuses the configuration.
        """
        self._registry = PluginRegistry(INSTALLED.find)
        for plugin in plugins:
            self._registry.register(plugin)
        self._environ = os.environ if environ is None else environ
        self._directory = directory
        self._recorder = CallRecorder()
        self._log = LogKeeper()
        bundle = self._check(config)
        self._sockets = SocketTable()
        self._thread = LoopThread("gateway under test")
        self._running: Engine | None = None
        self._log.begin()
        try:
            self._engine = self._running = self._thread.run(self._make(clock))
            self._thread.run(self._take(bundle))
        except BaseException:
            self.close()
            raise
        self.url = self._thread.run(self._url())
        host, _, port = self.url.rpartition("/")[2].rpartition(":")
        self.port = int(port) if port.isdigit() else 0
        self.client = Client(host.strip("[]"), self.port)

    def _check(self, config: Config) -> ConfigBundle:
        loaded = load_text(config, self._registry, environ=self._environ, directory=self._directory)
        return ConfigBundle(loaded.version, tuple(loaded.to_lines()))

    async def _make(self, clock: Clock | None) -> Engine:
        return Engine(self._sockets, clock=clock, registry=self._registry, timings=self._recorder)

    async def _take(self, bundle: ConfigBundle) -> str:
        prepared = await self._engine.prepare(bundle)
        try:
            await asyncio.to_thread(self._sockets.bind, prepared.config.listen)
        except BaseException:
            await self._engine.discard(prepared)
            raise
        changes = await self._engine.commit(prepared)
        self._sockets.keep_only(prepared.config.listen)
        self._engine.stores.keep_only(await self._engine.shared_owners())
        return str(changes)

    async def _url(self) -> str:
        return self._engine.listeners.urls()[0]

    # -- requests

    def request(
        self,
        method: str,
        target: str,
        *,
        headers: Fields = (),
        body: bytes | str | Iterable[bytes] = b"",
        json: Any = None,
        timeout: float = TIMEOUT,
    ) -> Answer:
        """Send a request and return the answer; see `Client.request`."""
        return self.client.request(method, target, headers=headers, body=body, json=json, timeout=timeout)

    def get(self, target: str, *, headers: Fields = (), timeout: float = TIMEOUT) -> Answer:
        """Send a GET request."""
        return self.client.request("GET", target, headers=headers, timeout=timeout)

    def post(
        self,
        target: str,
        body: bytes | str | Iterable[bytes] = b"",
        *,
        headers: Fields = (),
        json: Any = None,
        timeout: float = TIMEOUT,
    ) -> Answer:
        """Send a POST request."""
        return self.client.request("POST", target, headers=headers, body=body, json=json, timeout=timeout)

    def raw(self, data: bytes, *, timeout: float = TIMEOUT) -> bytes:
        """Send bytes as they are and return what comes back; see `Client.raw`."""
        return self.client.raw(data, timeout=timeout)

    # -- configuration

    def reload(self, config: Config) -> str:
        """Put another configuration in force and return what changed; plugins, clock and port stay.

        :raises InvalidConfigError: it is refused, and the one before stays in force.
        """
        return self._thread.run(self._take(self._check(config)))

    def call(self, binding: str, command: str, **arguments: Any) -> Any:
        """Run a command of a binding as ``gateway call`` does, and return its result as JSON has it.

        :param binding: its id, ``route/id`` on a route, ``upstreams/name/id`` on an upstream or a target. Where several
            targets have it, each runs the command, and the result is that of the first.
        :raises CommandError: there is none, it refuses its arguments, or it fails.
        """
        outcomes = self._thread.run(self._engine.run_command(binding, command, as_json(arguments)))
        for outcome in outcomes:
            if outcome.kind != "done":
                raise CommandError(outcome.error)
        return outcomes[0].result

    # -- what happened

    def settle(self) -> None:
        """Wait until no request is under way, so that the log phase of all has run."""
        # Asked for in the loop, where no request is ever seen half finished.
        eventually(lambda: self._thread.run(self._is_idle()))

    async def _is_idle(self) -> bool:
        return self._engine.proxy.in_flight == 0 and self._engine.holder.current.active == 0

    @property
    def calls(self) -> list[HookCall]:
        """Every call of a hook so far, in the order in which they ended; waits as `settle` does."""
        self.settle()
        return self._recorder.calls()

    def calls_of(self, plugin: str | type[Plugin[Any]], phase: str | None = None) -> list[HookCall]:
        """Return the calls of one plugin, of all phases or of one (``pre_proxy`` or ``gateway_pre_proxy``)."""
        name = plugin if isinstance(plugin, str) else plugin.name
        hook = None if phase is None else f"gateway_{phase.removeprefix('gateway_')}"
        return [call for call in self.calls if call.plugin == name and hook in {None, call.phase}]

    @property
    def logs(self) -> list[logging.LogRecord]:
        """What was logged since the start, by the gateway's loggers and below them the plugins'."""
        return self._log.records.copy()

    def metrics(self) -> str:
        """Return the metrics in the text format of Prometheus."""
        return self._engine.metrics.exposition().decode()

    # -- the end

    def close(self) -> None:
        """Stop plugins, close every connection and the socket. Safe to call twice."""
        engine, self._running = self._running, None
        try:
            if engine is not None:
                self._thread.run(engine.stop(_DRAIN))
            self._sockets.keep_only(())
        finally:
            self._thread.close()
            self._log.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
