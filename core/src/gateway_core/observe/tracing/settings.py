"""From the configuration and the environment to a `Tracer`; exporters outlive the snapshots that share them."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Mapping
from random import Random
from typing import Final
from urllib.parse import urlsplit

from gateway_core import __version__
from gateway_core.client_tls import client_tls_context
from gateway_core.clock import Clock
from gateway_core.config.models.tracing import RouteTracingConfig, TracingConfig
from gateway_core.errors import GatewayError
from gateway_core.events import TRACING_VARIABLE_IGNORED, emit
from gateway_core.leases import Lease, Leases
from gateway_core.metrics import Metrics
from gateway_core.metrics.catalogue import TRACE_SPANS_LOST, TRACE_SPANS_WAITING
from gateway_core.metrics.samples import Samples
from gateway_core.observe.tracing.environment import Defaults, read_environment
from gateway_core.observe.tracing.exporter import GIVE_UP, LAST_WORD, Exporter, ExporterSettings, resource_of
from gateway_core.observe.tracing.otlp import Encoding, json_encoding
from gateway_core.observe.tracing.sampling import SamplingPolicy, bound_of
from gateway_core.observe.tracing.semantics import KNOWN_METHODS
from gateway_core.observe.tracing.trace import Tracer

DEFAULT_URL: Final = "http://localhost:4318"
_PATH: Final = "/v1/traces"
LOSSES: Final = ("overflow", "rejected", "gave-up", "stop", "too-many")


class Tracing:
    """The exporters of a process."""

    def __init__(self, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self._exporters: Leases[ExporterSettings, Exporter] = Leases()
        self._reported: set[str] = set()
        self._rng: Random | None = None
        self._is_registered = False
        self.ends_at: float | None = None
        """Monotonic seconds by which spans have to be sent, once the process is to end."""

    async def open(self, config: TracingConfig, environ: Mapping[str, str] | None = None) -> OpenTracing | None:
        """Return what traces under a configuration; None if the environment switches tracing off.

        :param environ: the process's unless given.
        :raises GatewayError: something that it needs cannot be used.
        """
        defaults = read_environment(os.environ if environ is None else environ)
        for problem in defaults.problems:
            if problem not in self._reported:
                self._reported.add(problem)
                emit(TRACING_VARIABLE_IGNORED, f"{problem}: it does not count", reason=problem)
        if defaults.is_disabled:
            return None
        lease = None
        if defaults.is_exported:
            if not self._is_registered:
                self._is_registered = True
                self._metrics.register(self._collect)
            settings = exporter_settings(config, defaults)
            make = await asyncio.to_thread(self._maker, settings)
            lease = self._exporters.acquire(settings, make)
            if lease.is_new:
                lease.value.last_word = self._last_word
                lease.value.start()
        if self._rng is None:
            self._rng = Random()  # noqa: S311 - ids are no secrets; of this process alone, since it may have been forked
        formats = config.propagate if config.propagate is not None else defaults.formats
        tracer = Tracer(
            policy_of(config, defaults),
            ("w3c",) if formats is None else formats,
            None if lease is None else lease.value,
            self._clock,
            self._metrics,
            self._rng,
        )
        return OpenTracing(tracer, lease)

    def _maker(self, settings: ExporterSettings) -> Callable[[], Exporter]:
        """Prepare an exporter; blocks."""
        encoding, tls = _parts_of(settings)
        return lambda: Exporter(settings, encoding, self._clock, self._metrics, tls)

    def _last_word(self) -> float:
        if self.ends_at is None:
            return LAST_WORD
        return max(0.5, min(LAST_WORD, self.ends_at - self._clock.monotonic()))

    def _collect(self, samples: Samples) -> None:
        samples.one(TRACE_SPANS_WAITING, sum(each.waiting for each in self._exporters.values()))
        samples.default(TRACE_SPANS_LOST, [(reason,) for reason in LOSSES])


def _parts_of(settings: ExporterSettings) -> tuple[Encoding, ssl.SSLContext | None]:
    """Return what an exporter needs; blocks.

    :raises GatewayError: a library is not installed, or a file cannot be used.
    """
    encode = _binary() if settings.protocol == "http/protobuf" else json_encoding
    try:
        tls = client_tls_context(settings.ca, settings.cert, settings.key)
    except ValueError as error:
        raise GatewayError(str(error)) from error
    return encode(dict(settings.resource), __version__), tls


def why_unusable(config: TracingConfig, environ: Mapping[str, str]) -> str | None:
    """Return why spans could not be exported on this machine; None if they could be, or are not to be. Blocks."""
    defaults = read_environment(environ)
    if defaults.is_disabled or not defaults.is_exported:
        return None
    try:
        _parts_of(exporter_settings(config, defaults))
    except GatewayError as error:
        otlp = config.otlp
        files = (
            ("CERTIFICATE", otlp.ca, defaults.ca),
            ("CLIENT_CERTIFICATE", otlp.cert, defaults.cert),
            ("CLIENT_KEY", otlp.key, defaults.key),
        )
        variables = [f"OTEL_EXPORTER_OTLP_{name}" for name, own, default in files if default and not own]
        is_of_files = isinstance(error.__cause__, ValueError)
        return f"{error} (given by {', '.join(variables)})" if variables and is_of_files else str(error)
    return None


def _binary() -> Callable[[Mapping[str, str], str], Encoding]:
    try:
        from gateway_core.observe.tracing.otlp_binary import protobuf_encoding  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise GatewayError(
            "protocol http/protobuf needs a library: pip install gateway-core[otlp], or write http/json"
        ) from error
    return protobuf_encoding


class OpenTracing:
    """What traces under one configuration."""

    __slots__ = ("_lease", "shows_hooks", "tracer")

    def __init__(self, tracer: Tracer, lease: Lease[Exporter] | None) -> None:
        self.tracer = tracer
        self.shows_hooks = tracer.policy.shows_hooks
        """Whether hooks have spans, on some route at least."""
        self._lease = lease

    async def aclose(self) -> None:
        """Send what waits, if no other configuration has the same exporter."""
        if self._lease is not None:
            await self._lease.aclose()


def policy_of(config: TracingConfig, defaults: Defaults) -> SamplingPolicy:
    """Return how traces are sampled where a route says nothing else."""
    share = config.sample if config.sample is not None else defaults.sample
    follows = config.parent_based if config.parent_based is not None else defaults.follows_parent
    return SamplingPolicy(
        bound_of(1.0 if share is None else share),
        True if follows is None else follows,
        config.errors,
        config.slower_than,
        config.detail == "hooks",
    )


def route_policy(policy: SamplingPolicy, route: RouteTracingConfig | None) -> SamplingPolicy | None:
    """Return how the traces of a route are sampled; None if it says nothing."""
    if route is None:
        return None
    return SamplingPolicy(
        policy.bound if route.sample is None else bound_of(route.sample),
        policy.follows_parent if route.parent_based is None else route.parent_based,
        policy.keeps_errors if route.errors is None else route.errors,
        policy.slow if route.slower_than is None else route.slower_than,
        policy.shows_hooks if route.detail is None else route.detail == "hooks",
    )


def exporter_settings(config: TracingConfig, defaults: Defaults) -> ExporterSettings:
    """Return where spans go: as the configuration says, then the environment, then the defaults."""
    otlp, queue = config.otlp, config.queue
    if otlp.url is not None:
        url = otlp.url.reveal()
        if urlsplit(url).path in {"", "/"}:
            url = url.rstrip("/") + _PATH
    else:
        url = defaults.endpoint or DEFAULT_URL + _PATH
    own = {name: value.reveal() for name, value in otlp.headers.items()}
    known = {name.lower() for name in own}
    headers = {**{name: value for name, value in defaults.headers.items() if name.lower() not in known}, **own}
    name = config.service_name or defaults.service_name or defaults.resource.get("service.name") or "gateway"
    resource = resource_of(name, config.resource, defaults.resource, __version__)
    resource.setdefault("host.name", socket.gethostname())
    resource.setdefault("service.instance.id", f"{resource['host.name']}:{os.getpid()}")
    max_spans = queue.max_spans or defaults.max_spans or 16384
    return ExporterSettings(
        url,
        otlp.protocol or defaults.protocol or "http/json",
        tuple(sorted(headers.items())),
        (otlp.compression or defaults.compression or "gzip") == "gzip",
        otlp.timeout or defaults.timeout or 10.0,
        otlp.ca or defaults.ca,
        otlp.cert or defaults.cert,
        otlp.key or defaults.key,
        tuple(sorted(resource.items())),
        max_spans,
        min(queue.batch_spans or defaults.batch_spans or 512, max_spans),
        queue.delay or defaults.delay or 1.0,
        defaults.known_methods or KNOWN_METHODS,
        defaults.give_up or GIVE_UP,
        defaults.longest,
    )
