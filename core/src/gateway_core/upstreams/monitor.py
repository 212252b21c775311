"""Where a gateway learns which endpoints there are, and how they are: discoveries and health checks, shared.

How it works: an `UpstreamRuntime` asks its *monitor* for a feed per discovery and for the health of each address. Equal
ones are the same object, whatever the number of upstreams and snapshots that use them. With one process the monitor is
a `LocalMonitor`, which runs them. With several, one process runs them and sends results to the others (`findings`).
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from hashlib import blake2b
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel

from gateway_core.clock import Clock
from gateway_core.config import DiscoveryConfig, HealthCheckConfig, Secret, UpstreamConfig
from gateway_core.descriptors import LocalErrors
from gateway_core.leases import Lease, Leases
from gateway_core.metrics import Metrics
from gateway_core.upstreams.checker import Checker, GrpcProbe, is_encrypted, no_grpc
from gateway_core.upstreams.discovery import DiscoveryContext, DiscoveryFactory, Feed, make_discovery
from gateway_core.upstreams.discovery.feed_metrics import FeedMetrics
from gateway_core.upstreams.discovery.kept_endpoints import KeptEndpoints
from gateway_core.upstreams.endpoint import Checked, EndpointSpec
from gateway_core.upstreams.resolver import Resolver
from gateway_core.upstreams.transport import TlsSettings, make_tls_context

if TYPE_CHECKING:
    import aiohttp


def fingerprint(*values: object) -> str:
    """Return a digest of sections, mappings, sequences and plain values, as 32 hexadecimal digits.

    Secrets count with their values, which the digits reveal only to a guess: they are not for
    logs.
    """
    text = json.dumps([_plain(value) for value in values], separators=(",", ":"), sort_keys=True)
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _plain(value: object) -> Any:
    """Return the same for JSON; 1, true, 1.0 and "1" stay different."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Secret):
        return ["secret", value.reveal()]
    if isinstance(value, BaseModel):
        fields = {name: _plain(getattr(value, name)) for name in type(value).model_fields}
        return [type(value).__name__, fields]
    if isinstance(value, Mapping):
        return ["mapping", {str(key): _plain(item) for key, item in value.items()}]
    if isinstance(value, list | tuple):
        return ["sequence", *map(_plain, value)]
    return [type(value).__name__, repr(value)]


class Monitor(Protocol):
    """Where an `UpstreamRuntime` learns endpoints and their health."""

    def discover(self, upstream: str, config: DiscoveryConfig) -> Lease[Feed]:
        """Return what a discovery finds for an upstream.

        :raises ValueError: there is no such discovery, or it refuses the configuration.
        """
        ...

    def check(self, spec: EndpointSpec, config: UpstreamConfig, tls: TlsSettings) -> Lease[Checked]:
        """Return the health of an address; the upstream has health checks."""
        ...

    def extend(self, discoveries: Mapping[str, DiscoveryFactory]) -> None:
        """Offer discoveries that were installed while running."""
        ...

    def keep(self, endpoints: KeptEndpoints) -> None:
        """Keep what is found, and begin with what was kept."""
        ...


def discovery_key(upstream: str, config: DiscoveryConfig) -> str:
    """Return the key of a discovery of an upstream, the same in every process."""
    return fingerprint("discovery", upstream, config)


def check_key(spec: EndpointSpec, config: UpstreamConfig, tls: TlsSettings) -> str:
    """Return the key of a check, the same in every process: equal checks of several upstreams are one."""
    address = (spec.scheme, spec.host, spec.port, spec.path)
    has_tls = _has_tls(spec, config)
    return fingerprint(
        "check", address, config.health_check, config.send_proxy_protocol, (tls.config, tls.digest) if has_tls else ""
    )


def is_checked(config: UpstreamConfig) -> bool:
    """Tell whether the endpoints of an upstream are checked."""
    return config.health_check is not None and config.health_check.enable


def _has_tls(spec: EndpointSpec, config: UpstreamConfig) -> bool:
    return is_encrypted(spec, config.health_check or HealthCheckConfig())


class LocalMonitor:
    """Runs discoveries and health checks in this process."""

    def __init__(
        self,
        clock: Clock,
        *,
        discoveries: Mapping[str, DiscoveryFactory] | None = None,
        rng: Random | None = None,
        resolver: Resolver,
        session: Callable[[], aiohttp.ClientSession],
        metrics: Metrics | None = None,
        local_errors: LocalErrors | None = None,
        grpc: GrpcProbe = no_grpc,
    ) -> None:
        """Begin with nothing to watch.

        :param discoveries: what extensions offer by name.
        :param session: returns a session for registries, which is not closed here.
        :param local_errors: logs checks that failed for lack of something on this machine.
        :param grpc: makes the calls of checks of type ``grpc``.
        """
        self._clock = clock
        self._grpc = grpc
        self._discoveries = dict(discoveries or {})
        self._rng = Random() if rng is None else rng  # noqa: S311 - spreads load, keeps no secret
        self._resolver = resolver
        self._session = session
        self._metrics = None if metrics is None else FeedMetrics(metrics, clock.wall)
        self._local_errors = LocalErrors() if local_errors is None else local_errors
        self._feeds: Leases[str, Feed] = Leases()
        self._checks: Leases[str, Checked] = Leases()
        self._shared: Leases[Hashable, Any] = Leases()
        self._kept: KeptEndpoints | None = None
        self._last_tls: tuple[TlsSettings, str, ssl.SSLContext] | None = None

    def extend(self, discoveries: Mapping[str, DiscoveryFactory]) -> None:
        """Offer discoveries that were installed while running."""
        self._discoveries.update(discoveries)

    def keep(self, endpoints: KeptEndpoints) -> None:
        """Keep what is found from now on, and begin discoveries with what was kept, which has been read."""
        self._kept = endpoints

    def discover(self, upstream: str, config: DiscoveryConfig) -> Lease[Feed]:
        """Watch a registry for an upstream.

        :raises ValueError: there is no such discovery, or it refuses the configuration.
        """
        key, kept = discovery_key(upstream, config), self._kept

        def start() -> Feed:
            context = DiscoveryContext(
                upstream, self._clock, self._rng, self._session, self._resolver, shared=self._shared
            )
            discovery = make_discovery(config.name, config.config, context, self._discoveries)
            before = None if kept is None else kept.get(key)
            feed = Feed(upstream, discovery, self._rng, self._clock, self._metrics, kept=before)
            if kept is not None:
                feed.subscribe(partial(kept.put, key))
            feed.start()
            return feed

        return self._feeds.acquire(key, start)

    def check(self, spec: EndpointSpec, config: UpstreamConfig, tls: TlsSettings) -> Lease[Checked]:
        """Check an address from now on.

        :raises OSError: TLS files cannot be read, or used (``ssl.SSLError``).
        """

        def start() -> Checker:
            checker = self.make_checker(spec, config, tls)
            checker.start()
            return checker

        lease = self._checks.acquire(check_key(spec, config, tls), start)
        if isinstance(lease.value, Checker):
            lease.value.name_upstream(config.name)
        return lease

    def make_checker(self, spec: EndpointSpec, config: UpstreamConfig, tls: TlsSettings) -> Checker:
        """Return what checks an address, which does not run yet."""
        check = config.health_check or HealthCheckConfig()
        protocol = "http2" if check.type == "grpc" else "http1"
        return Checker(
            spec,
            check,
            resolver=self._resolver,
            clock=self._clock,
            rng=self._rng,
            tls=self._tls_context(tls, protocol) if _has_tls(spec, config) else None,
            server_name=tls.server_name,
            proxy_protocol=config.send_proxy_protocol,
            local_errors=self._local_errors,
            grpc=self._grpc,
        )

    def _tls_context(self, tls: TlsSettings, protocol: str) -> ssl.SSLContext:
        # One for all endpoints of an upstream: to load the system's authorities takes milliseconds.
        if self._last_tls is None or self._last_tls[:2] != (tls, protocol):
            self._last_tls = (tls, protocol, make_tls_context(tls, protocol))
        return self._last_tls[2]
