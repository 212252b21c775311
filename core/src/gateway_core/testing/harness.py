"""A plugin without a gateway: its hooks run by the code that runs them in one, without sockets or routing."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Generic, Literal, Self, TypedDict, TypeVar, Unpack, cast

from gateway_core.clock import Clock, SystemClock
from gateway_core.config import LoadedConfig
from gateway_core.hooks import (
    BlockingGuard,
    Chain,
    CommandError,
    FetchRequest,
    LocalShared,
    Plugin,
    PluginServices,
    SharedStores,
    as_json,
    run_command,
    start_log_phase,
)
from gateway_core.messages import Attempt, Headers, Identity, Record, Request, Response, UpstreamAttempt
from gateway_core.messages.body import FilterSpec
from gateway_core.metrics import Metrics
from gateway_core.observe import CallRecorder, HookCall
from gateway_core.packages import InstanceLeases, PluginRegistry
from gateway_core.snapshot import Compiled, Environment, Snapshot, compile_snapshot
from gateway_core.testing.client import Fields, pairs_of
from gateway_core.testing.configuration import INSTALLED, load_text
from gateway_core.testing.harness_exchange import HarnessExchange, settled
from gateway_core.testing.log_keeper import LogKeeper
from gateway_core.testing.loop_thread import LoopThread
from gateway_core.testing.scripted_fetches import FetchScript, ScriptedFetches
from gateway_core.upstreams.runtime import UpstreamRuntime

PluginT = TypeVar("PluginT", bound=Plugin[Any])

ROUTE: Final = "test"
_TARGET: Final = "http://upstream.test"


class RequestOptions(TypedDict, total=False):
    """What a request in a harness may have beside method, target, headers and body."""

    client_ip: str
    host: str
    scheme: Literal["http", "https"]
    path_params: Mapping[str, str]
    identity: Identity
    state: Mapping[str, Any]
    upstream_response: Response
    """What the upstream answers; 200 without a body unless given."""


@dataclass(frozen=True, slots=True)
class HarnessResult:
    """What became of one request."""

    request: Request
    """As the last hook left it: what would have gone upstream."""

    response: Response
    """As it would go to the client; ``body`` is what the body's filters made of it."""

    stopped: str | None
    """The phase (``pre_proxy``) in which a hook answered; None if the request would have gone upstream."""

    route: str | None
    """Id of the route that a hook chose, else of the harness's own."""

    record: Record

    attempt: UpstreamAttempt | None = None
    """What would have been sent to the endpoint, as the attempt hooks left it; None if nothing would have been."""

    sent_body: bytes = b""
    """What would have been sent upstream, as reads and filters left it."""

    calls: list[HookCall] = field(default_factory=list)
    """The calls of this request's hooks, in the order in which they ended."""

    detached: list[Record] = field(default_factory=list)
    """The records of its detached copies that were sent, and whose responses were read or dropped by then."""


class PluginHarness(Generic[PluginT]):
    """One binding of a plugin; requests go through every phase of it.

    Use it in a ``with`` statement, or end it with `stop`; it starts with the first request unless `start` is called.
    """

    def __init__(
        self,
        plugin: type[PluginT],
        config: Mapping[str, Any] | None = None,
        *,
        clock: Clock | None = None,
        binding: Mapping[str, Any] | None = None,
        gateway_wide: bool = True,
        beside: tuple[type[Plugin[Any]], ...] = (),
        behind: tuple[type[Plugin[Any]], ...] = (),
        environ: Mapping[str, str] | None = None,
        guard: BlockingGuard | None = None,
        upstreams: Mapping[str, FetchScript] | None = None,
    ) -> None:
        """Take a plugin that need not be installed.

        :param config: the binding's configuration, checked as the gateway does when the harness starts.
        :param binding: more keys of the binding, such as ``on_error``, ``timeout`` or ``mode``.
        :param gateway_wide: whether the binding is the whole gateway's or a route's, which has no request phase.
        :param beside: plugins that come before this one, each with an empty configuration.
        :param behind: plugins that come after it, likewise.
        :param upstreams: what upstreams respond to ``self.upstreams.fetch``, by name or URL.
        :param guard: what watches for hooks that block.
        """
        self._type = plugin
        self._registry = PluginRegistry(INSTALLED.find)
        for each in (*beside, plugin, *behind):
            self._registry.register(each)
        entry = {"name": plugin.name, "config": dict(config or {}), **(binding or {})}
        entries = [*({"name": each.name} for each in beside), entry, *({"name": each.name} for each in behind)]
        route = {"id": ROUTE, "path_prefix": "/", "target": _TARGET}
        self._config: dict[str, Any] = {"routes": [{**route, "plugins": entries}]}
        if gateway_wide:
            self._config = {"plugins": entries, "routes": [route]}
        self._binding = str(entry.get("id", plugin.name))
        self._environ = os.environ if environ is None else environ
        self.clock = clock or SystemClock()
        self.metrics = Metrics()
        self.recorder = CallRecorder()
        self._stores = SharedStores()
        self._log = LogKeeper()
        self._guard = guard
        self._fetches = ScriptedFetches(upstreams or {})
        self._thread: LoopThread | None = None
        self._compiled: Compiled | None = None

    # -- life

    def start(self) -> None:
        """Check the configuration, make the instance and await its ``start()``; nothing if it runs already.

        :raises ConfigError: the configuration is refused, or the instance cannot be made or started.
        """
        if self._compiled is None:
            loaded = load_text(self._config, self._registry, environ=self._environ)
            self._thread = LoopThread("plugin harness")
            self._log.begin()
            try:
                self._compiled = self._thread.run(self._compile(loaded))
            except BaseException:
                self.stop()
                raise

    async def _compile(self, loaded: LoadedConfig) -> Compiled:
        upstreams = UpstreamRuntime(self.clock)
        services = PluginServices(LocalShared(self._stores, self.clock), self._everywhere, self._fetches)
        environment = Environment(
            self._registry,
            InstanceLeases(),
            upstreams,
            self.clock,
            self.metrics,
            self.recorder,
            services=services,
        )
        compiled = await compile_snapshot(loaded, environment)
        if self._guard is not None:
            self._guard.start()
        return compiled

    @property
    def fetched(self) -> list[FetchRequest]:
        """What the plugin sent by ``self.upstreams.fetch``, in order."""
        return self._fetches.requests

    def stop(self) -> None:
        """Await the instance's ``stop()``; the harness may be started again, with a new instance.

        What it shared (``self.shared``) is still there then, as after a reload.
        """
        compiled, self._compiled = self._compiled, None
        thread, self._thread = self._thread, None
        if thread is None:
            return
        try:
            if compiled is not None:
                if self._guard is not None:
                    self._guard.stop()
                thread.run(compiled.snapshot.aclose())
        finally:
            thread.close()
            self._log.end()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _snapshot(self) -> Snapshot:
        self.start()
        assert self._compiled is not None
        return self._compiled.snapshot

    @property
    def _chain(self) -> Chain:
        return self._snapshot.routes[ROUTE].chain

    @property
    def plugin(self) -> PluginT:
        """The running instance."""
        instance = next(each.instance for each in self._chain.bindings if each.id == self._binding)
        return cast("PluginT", instance)

    @property
    def calls(self) -> list[HookCall]:
        """Every call of a hook so far, in the order in which they ended."""
        return self.recorder.calls()

    @property
    def logs(self) -> list[logging.LogRecord]:
        """What was logged while it ran."""
        return self._log.records.copy()

    def call(self, command: str, **arguments: Any) -> Any:
        """Run a command of the plugin as operators do, and return its result as JSON has it.

        :raises CommandError: it is unknown, refuses its arguments, or fails.
        """
        self.start()
        assert self._thread is not None
        return self._thread.run(self._everywhere(self._binding, command, arguments))[0]

    async def _everywhere(self, binding: str, command: str, arguments: Mapping[str, Any]) -> list[Any]:  # noqa: ARG002
        outcome = await run_command(self.plugin, command, as_json(arguments))
        if outcome.kind != "done":
            raise CommandError(outcome.error)
        return [outcome.result]

    # -- requests

    def request(
        self,
        method: str = "GET",
        target: str = "/",
        *,
        headers: Fields = (),
        body: bytes | str | Iterable[bytes] = b"",
        **options: Unpack[RequestOptions],
    ) -> HarnessResult:
        """Take a request through all phases; ``async`` hooks are awaited.

        Routing is left out: every request is for the harness's route, with ``path_params`` as given.
        """
        self.start()
        assert self._thread is not None
        data = body.encode() if isinstance(body, str) else body
        request = self._request(method, target, pairs_of(headers), data, options)
        upstream_response = options.get("upstream_response") or Response(200)
        return self._thread.run(self._exchange(request, data, upstream_response))

    def _request(
        self,
        method: str,
        target: str,
        fields: list[tuple[str, str]],
        body: bytes | Iterable[bytes],
        options: RequestOptions,
    ) -> Request:
        host = options.get("host", "gateway.test")
        names = {name.lower() for name, _ in fields}
        if "host" not in names:
            fields = [("Host", host), *fields]
        if body and isinstance(body, bytes) and "content-length" not in names:
            fields = [*fields, ("Content-Length", str(len(body)))]
        ip = options.get("client_ip", "192.0.2.1")
        request = Request(
            method,
            target,
            Headers(fields),
            host=host,
            client_ip=ip,
            peer_ip=ip,
            scheme=options.get("scheme", "http"),
            request_id=f"{len(self.calls):032x}",
            started=self.clock.monotonic(),
        )
        request.path_params = dict(options.get("path_params", {}))
        request.identity = options.get("identity")
        request.state.update(options.get("state", {}))
        return request

    async def _exchange(self, request: Request, body: bytes | Iterable[bytes], answer: Response) -> HarnessResult:
        begun, chain = len(self.calls), self._chain
        exchange = HarnessExchange(chain, request, body, answer, self._filter_failed, self._log_detached)
        response = await exchange.run(self._snapshot.routes[ROUTE].info)
        record = self._record(exchange, request, response, len(body) if isinstance(body, bytes) else 0)
        await settled(start_log_phase(chain.log, request, response, record))
        detached = [await each for each in exchange.detached]
        return HarnessResult(
            request,
            response,
            exchange.stopped,
            exchange.route or ROUTE,
            record,
            exchange.attempt,
            exchange.sent_body,
            self.calls[begun:],
            detached,
        )

    async def _log_detached(self, exchange: HarnessExchange, response: Response, size: int) -> Record:
        record = self._record(exchange, exchange.request, response, len(exchange.sent_body))
        record.bytes_sent = size
        await settled(start_log_phase(exchange.chain.log, exchange.request, response, record))
        return record

    def _filter_failed(self, spec: FilterSpec, error: BaseException) -> None:
        if spec.owner is not None:
            spec.owner.body_failed(None, error)
        else:
            self.plugin.log.error("a body filter failed: %r", error, exc_info=error)

    def _record(self, exchange: HarnessExchange, request: Request, response: Response, received: int) -> Record:
        record = Record()
        record.reason = exchange.aborted or response.failure
        record.aborted = "gateway" if exchange.aborted else None
        record.duration = self.clock.monotonic() - request.started
        record.started_at = self.clock.wall() - record.duration
        record.bytes_received, record.bytes_sent = (
            received,
            len(response.body) if isinstance(response.body, bytes) else 0,
        )
        record.produced_by = response.produced_by or "gateway"
        if exchange.attempt is not None:
            record.upstream, record.upstream_duration = _TARGET, 0.0
            record.attempts = [Attempt("test", "responded", response.status, url=_TARGET)]
        return record
