"""A plugin without a gateway: its hooks run by the code that runs them in one, without sockets or routing."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Generic, Literal, Self, TypedDict, TypeVar, Unpack, cast

from gateway_core.clock import Clock, SystemClock
from gateway_core.config import LoadedConfig
from gateway_core.errors import BodyTooLargeError
from gateway_core.hooks import (
    BlockingGuard,
    CallRecorder,
    Chain,
    CommandError,
    HookCall,
    LocalShared,
    Plugin,
    PluginServices,
    SharedStores,
    Stop,
    Suspended,
    as_json,
    run_command,
    start_attempt_phase,
    start_log_phase,
    start_phase,
    start_response_phase,
)
from gateway_core.messages import Attempt, Headers, Identity, Record, Request, Response, UpstreamAttempt
from gateway_core.messages.headers import block_of
from gateway_core.messages.request import set_body_reader
from gateway_core.metrics import Metrics
from gateway_core.packages import InstanceLeases, PluginRegistry
from gateway_core.snapshot import Compiled, Environment, Snapshot, compile_snapshot
from gateway_core.testing.client import Fields, pairs_of
from gateway_core.testing.configuration import load_text
from gateway_core.testing.log_keeper import LogKeeper
from gateway_core.testing.loop_thread import LoopThread
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

    calls: list[HookCall] = field(default_factory=list)
    """The calls of this request's hooks, in the order in which they ended."""


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
        environ: Mapping[str, str] | None = None,
        guard: BlockingGuard | None = None,
    ) -> None:
        """Take a plugin that need not be installed.

        :param config: the binding's configuration, checked as the gateway does when the harness starts.
        :param binding: more keys of the binding, such as ``on_error``, ``timeout`` or ``mode``.
        :param gateway_wide: whether the binding is the whole gateway's or a route's, which has no request phase.
        :param beside: plugins that come before this one, each with an empty configuration.
        :param guard: what watches for hooks that block.
        """
        self._type = plugin
        self._registry = PluginRegistry()
        for each in (*beside, plugin):
            self._registry.register(each)
        entry = {"name": plugin.name, "config": dict(config or {}), **(binding or {})}
        entries = [*({"name": each.name} for each in beside), entry]
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
        services = PluginServices(LocalShared(self._stores, self.clock), self._everywhere)
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
        body: bytes | str = b"",
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
        self, method: str, target: str, fields: list[tuple[str, str]], body: bytes, options: RequestOptions
    ) -> Request:
        host = options.get("host", "gateway.test")
        names = {name.lower() for name, _ in fields}
        if "host" not in names:
            fields = [("Host", host), *fields]
        if body and "content-length" not in names:
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

    async def _exchange(self, request: Request, body: bytes, answer: Response) -> HarnessResult:
        set_body_reader(request, _reader(body), lambda watch: watch(body))
        begun, chain, route = len(self.calls), self._chain, ROUTE
        if chain.reserved is not None:
            request.headers.remove_any(chain.reserved)
        stopped, hooks = None, chain.response
        upstream_body = answer.body
        answer = Response.streamed(answer.status, answer.reason, block_of(answer.headers))
        for phase in ("gateway_request", "gateway_route_match", "gateway_pre_proxy"):
            stop: Stop | None = await self._phase(phase, request)
            if stop is None:
                continue
            if isinstance(stop.result, str):
                route = stop.result
                continue
            stopped, hooks, answer = phase.removeprefix("gateway_"), chain.response_after(phase, stop), stop.result
            break
        attempt = None if stopped else self._attempt(request)
        if attempt is not None:
            stop = await _settled(start_attempt_phase(chain.attempt, request, attempt))
            if stop is not None:
                stopped, hooks, answer = "attempt", chain.response, stop.result
        response: Response = await _settled(start_response_phase(hooks, request, answer))
        response.body = _transformed(response, upstream_body if response.is_streamed else response.body)
        record = self._record(request, response, len(body), asked_upstream=stopped is None)
        await _settled(start_log_phase(chain.log, request, response, record))
        return HarnessResult(request, response, stopped, route, record, attempt, self.calls[begun:])

    async def _phase(self, phase: str, request: Request) -> Any:
        hooks = self._chain.hooks_of(phase)
        if phase != "gateway_route_match":
            return await _settled(start_phase(hooks, request))
        request.route = self._snapshot.routes[ROUTE].info
        return await _settled(start_phase(hooks, request, request.route))

    @staticmethod
    def _attempt(request: Request) -> UpstreamAttempt:
        fields = request.headers.copy()
        for name in ("host", "content-length", "transfer-encoding", "connection"):
            fields.remove(name)
        return UpstreamAttempt("test", request.sent_path, request.query_string, "upstream.test", fields)

    def _record(self, request: Request, response: Response, received: int, *, asked_upstream: bool) -> Record:
        record = Record()
        record.duration = self.clock.monotonic() - request.started
        record.started_at = self.clock.wall() - record.duration
        record.bytes_received, record.bytes_sent = received, len(response.body)
        record.produced_by = response.produced_by or "gateway"
        if asked_upstream:
            record.upstream, record.upstream_duration = _TARGET, 0.0
            record.attempts = [Attempt("test", "answered", response.status, url=_TARGET)]
        return record


async def _settled(outcome: Any) -> Any:
    """Return what a phase came to, awaited if one of its hooks must be."""
    return await outcome.finish() if isinstance(outcome, Suspended) else outcome


def _reader(body: bytes) -> Callable[[int], Awaitable[bytes]]:
    async def read(limit: int) -> bytes:
        if len(body) > limit:
            raise BodyTooLargeError(f"the body is larger than {limit} bytes")
        return body

    return read


def _transformed(response: Response, body: bytes) -> bytes:
    for body_filter in response.filters:
        body = (body_filter.feed(body) if body else b"") + body_filter.finish(Headers())
    return body
