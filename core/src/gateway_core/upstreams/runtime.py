"""The upstreams of a running gateway: builds them, and owns the I/O that they need.

One runtime lives as long as the process. Each snapshot opens its upstreams here and closes them when it is retired;
what both the old and the new snapshot use (endpoints, strategies with their position, discoveries) is the same object.
"""

from __future__ import annotations

import ssl
from collections.abc import Hashable, Mapping
from functools import partial
from operator import itemgetter
from random import Random

import aiohttp
from pydantic import BaseModel

from gateway_core.clock import Clock
from gateway_core.config import DiscoveryConfig, HealthCheckConfig, UpstreamConfig
from gateway_core.descriptors import LocalErrors
from gateway_core.leases import Lease, LeaseHolder, Leases
from gateway_core.tasks import Tasks
from gateway_core.upstreams.admission import Load
from gateway_core.upstreams.checker import Checker
from gateway_core.upstreams.discovery import DiscoveryContext, DiscoveryFactory, Feed, make_discovery
from gateway_core.upstreams.endpoint import Endpoint, EndpointKey, EndpointSpec
from gateway_core.upstreams.live_upstream import LiveUpstream, close_all
from gateway_core.upstreams.resolver import AiohttpResolver, Resolver
from gateway_core.upstreams.strategies import Strategy, StrategyFactory, make_strategy
from gateway_core.upstreams.transport import TlsSettings, TransportSettings, make_tls_context
from gateway_core.upstreams.upstream import Upstream


class UpstreamRuntime:
    """Opens upstreams and keeps what they share."""

    def __init__(
        self,
        clock: Clock,
        *,
        strategies: Mapping[str, StrategyFactory] | None = None,
        discoveries: Mapping[str, DiscoveryFactory] | None = None,
        sticky_secret: bytes = b"",
        rng: Random | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        """Start without upstreams.

        :param strategies: what extensions offer by name.
        :param discoveries: what extensions offer by name.
        :param sticky_secret: what sticky cookies are keyed with: the same in all workers and gateways of a cluster.
            Without one they are keyed with the upstream's name, which hides addresses from the casual eye only.
        """
        self.resolver = Resolver(clock) if resolver is None else resolver
        """Resolves the names of endpoints, for whatever connects to them."""
        self._clock = clock
        self._rng = Random() if rng is None else rng  # noqa: S311 - spreads load, keeps no secret
        self._strategies = dict(strategies or {})
        self._discoveries = dict(discoveries or {})
        self._sticky_secret = sticky_secret
        self._endpoints: Leases[EndpointKey, Endpoint] = Leases()
        self._shared_strategies: Leases[tuple[object, ...], Strategy] = Leases()
        self._loads: Leases[str, Load] = Leases()
        self._feeds: Leases[tuple[str, str, Hashable], Feed] = Leases()
        self._closing = Tasks()
        self._local_errors = LocalErrors()
        self._session: aiohttp.ClientSession | None = None
        self._last_tls: tuple[TlsSettings, ssl.SSLContext] | None = None

    def extend(self, strategies: Mapping[str, StrategyFactory], discoveries: Mapping[str, DiscoveryFactory]) -> None:
        """Offer what extensions bring that were installed while running."""
        self._strategies.update(strategies)
        self._discoveries.update(discoveries)

    def sticky_secret(self, name: str) -> bytes:
        """Return what the cookies of an upstream, or of a route with several targets, are keyed with."""
        return self._sticky_secret + name.encode()

    def session(self) -> aiohttp.ClientSession:
        """Return the session for registries: no cookies, no kept connections, nothing decoded."""
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, force_close=True, resolver=AiohttpResolver(self.resolver), use_dns_cache=False
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session

    def open(self, config: UpstreamConfig, *, transport: TransportSettings | None = None) -> LiveUpstream:
        """Build an upstream; health checks and discovery start at once. Needs a running event loop.

        :param transport: with the digest of its TLS files; made of ``config`` unless given.
        :raises ValueError: for a strategy, discovery or setting that cannot be. Nothing is left behind.
        :raises OSError: for TLS files that cannot be read, or used (``ssl.SSLError``).
        """
        transport = TransportSettings.of(config) if transport is None else transport
        leases = LeaseHolder()
        upstream = None
        try:
            strategy = leases.hold(self._lease_strategy(config))
            load = leases.hold(self._loads.acquire(config.name, Load))
            feed = None if config.discovery is None else leases.hold(self._lease_feed(config.name, config.discovery))
            upstream = Upstream(
                config,
                transport=transport,
                resolver=self.resolver,
                acquire=lambda spec: self._lease_endpoint(config, transport, spec, load),
                strategy=strategy,
                load=load,
                rng=self._rng,
                sticky_secret=self.sticky_secret(config.name),
                local_errors=self._local_errors,
            )
            endpoints = [EndpointSpec.of(endpoint) for endpoint in config.endpoints]
            lease_strategy = partial(self._lease_discovered_strategy, config)
            return LiveUpstream(upstream, endpoints, feed, leases, self._closing, lease_strategy)
        except Exception:
            unused = [] if upstream is None else upstream.release()
            self._closing.spawn(close_all(unused, leases), name=f"close upstream {config.name}")
            raise

    async def aclose(self) -> None:
        """Close the session; every upstream has to be closed before."""
        await self._closing.wait()
        if self._session is not None:
            await self._session.close()

    def _lease_strategy(self, config: UpstreamConfig) -> Lease[Strategy]:
        return self._shared_strategies.acquire(
            (config.name, config.strategy, frozen(config.strategy_options)),
            lambda: make_strategy(config.strategy, config.strategy_options, self._strategies),
        )

    def _lease_discovered_strategy(self, config: UpstreamConfig, strategy: str) -> Lease[Strategy]:
        if strategy == config.strategy:
            return self._lease_strategy(config)
        return self._shared_strategies.acquire(
            (config.name, strategy, frozen({})), lambda: make_strategy(strategy, {}, self._strategies)
        )

    def _lease_feed(self, name: str, discovery: DiscoveryConfig) -> Lease[Feed]:
        def start() -> Feed:
            context = DiscoveryContext(name, self._clock, self._rng, self.session, self.resolver)
            feed = Feed(name, make_discovery(discovery.name, discovery.config, context, self._discoveries), self._rng)
            feed.start()
            return feed

        return self._feeds.acquire((name, discovery.name, frozen(discovery.config)), start)

    def _lease_endpoint(
        self, config: UpstreamConfig, transport: TransportSettings, spec: EndpointSpec, load: Load
    ) -> Lease[Endpoint]:
        def start() -> Endpoint:
            endpoint = Endpoint(spec, config.circuit_breaker)
            if config.health_check is not None and config.health_check.enable:
                checker = self._make_checker(endpoint, config, transport.tls)
                endpoint.attach(checker)
                checker.start()
            return endpoint

        depends_on = (frozen(config.health_check), config.circuit_breaker, config.send_proxy_protocol, transport)
        key = EndpointKey(config.name, spec.id, spec.scheme, spec.host, spec.port, spec.path, depends_on)
        lease = self._endpoints.acquire(key, start)
        lease.value.open(self._clock.monotonic(), is_open=spec.is_open, is_late=load.is_running)
        return lease

    def _make_checker(self, endpoint: Endpoint, config: UpstreamConfig, tls: TlsSettings) -> Checker:
        check = config.health_check or HealthCheckConfig()
        is_https = (check.type or endpoint.scheme) == "https"
        return Checker(
            endpoint,
            check,
            resolver=self.resolver,
            clock=self._clock,
            rng=self._rng,
            tls=self._tls_context(tls) if is_https else None,
            server_name=tls.server_name,
            proxy_protocol=config.send_proxy_protocol,
            local_errors=self._local_errors,
        )

    def _tls_context(self, tls: TlsSettings) -> ssl.SSLContext:
        # One for all endpoints of an upstream: to load the system's authorities takes milliseconds.
        if self._last_tls is None or self._last_tls[0] != tls:
            self._last_tls = (tls, make_tls_context(tls))
        return self._last_tls[1]


def frozen(value: object) -> Hashable:
    """Return something hashable that is equal for equal configurations: sections, mappings, sequences, plain values."""
    if isinstance(value, BaseModel):
        return type(value), tuple(frozen(getattr(value, name)) for name in type(value).model_fields)
    if isinstance(value, Mapping):
        return "mapping", tuple(sorted(((str(key), frozen(item)) for key, item in value.items()), key=itemgetter(0)))
    if isinstance(value, list | tuple):
        return "sequence", tuple(frozen(item) for item in value)
    try:
        hash(value)
    except TypeError:
        return type(value), repr(value)
    return type(value), value  # 1 == True == 1.0, which an option may tell apart
