"""The upstreams of a running gateway: builds them, and owns the I/O that they need.

One runtime lives as long as the process. Each snapshot opens its upstreams here and closes them when it is retired. An
upstream that the next snapshot configures alike is the same object there. Of one whose settings change, the parts that
do not depend on these (endpoints, strategies with their position, discoveries) are.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from operator import attrgetter, itemgetter
from random import Random
from typing import Final

from pydantic import BaseModel

from gateway_core.clock import Clock
from gateway_core.config import EndpointConfig, UpstreamConfig
from gateway_core.descriptors import LocalErrors
from gateway_core.events import DISCOVERY_STRATEGY_REFUSED, emit
from gateway_core.leases import Lease, LeaseHolder, Leases
from gateway_core.metrics import Metrics
from gateway_core.tasks import Tasks
from gateway_core.upstreams.admission import Load
from gateway_core.upstreams.checker import GrpcProbe, no_grpc
from gateway_core.upstreams.discovery import Discovered, DiscoveryFactory, Feed
from gateway_core.upstreams.endpoint import Endpoint, EndpointKey, EndpointSpec, EndpointStatus
from gateway_core.upstreams.monitor import LocalMonitor, Monitor, is_checked
from gateway_core.upstreams.registry_session import RegistrySession
from gateway_core.upstreams.resolver import Resolver
from gateway_core.upstreams.strategies import Strategy, StrategyFactory, make_strategy
from gateway_core.upstreams.transport import TlsSettings, TransportSettings
from gateway_core.upstreams.upstream import Upstream

DEFAULT_STRATEGY: Final = "weighted-round-robin"

_options_of: Final = attrgetter("strategy_options", "discovery")


def config_for_url(url: str) -> UpstreamConfig:
    """Return the upstream that a target stands for which is a URL: one endpoint, and no policies."""
    # Its name is the URL, which no configured upstream may be called.
    return UpstreamConfig.model_construct(name=url, endpoints=(EndpointConfig(url=url),))


class DiscoveredStrategy:
    """Gives one upstream the strategy that its discovery names.

    The configuration takes precedence: only the default strategy is replaced. A strategy that does not exist, or that
    needs a ``hash_on`` which the configuration does not have, is logged once and leaves the present one in force.
    """

    __slots__ = ("_applied", "_lease", "_lease_strategy", "_upstream")

    def __init__(self, upstream: Upstream, lease_strategy: Callable[[str], Lease[Strategy]]) -> None:
        self._upstream = upstream
        self._lease_strategy = lease_strategy
        self._lease: Lease[Strategy] | None = None
        self._applied = ""

    def apply(self, name: str) -> None:
        """Use the strategy of this name if that is possible; an empty name is the configured one."""
        own = self._upstream.settings.strategy
        if own != DEFAULT_STRATEGY or name == self._applied:
            return
        self._applied = name
        try:
            lease = self._lease_strategy(name or own)
        except ValueError as error:
            self._refuse(name, str(error))
            return
        if lease.value.is_keyed and self._upstream.hash_key is None:
            lease.release()
            self._refuse(name, f"{name!r} needs hash_on in the configuration")
            return
        self._upstream.use_strategy(lease.value, name or own)
        self.release()
        self._lease = lease

    def _refuse(self, strategy: str, reason: str) -> None:
        text = f"discovery of {self._upstream.name}: the strategy is left as it is: {reason}"
        emit(DISCOVERY_STRATEGY_REFUSED, text, upstream=self._upstream.name, strategy=strategy, reason=reason)

    def release(self) -> None:
        """Give the strategy back."""
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.release()


class LiveUpstream:
    """An upstream with its discovery.

    Every snapshot that configures it alike holds it, from `UpstreamRuntime.open` to `aclose`; it ends with the last.
    """

    __slots__ = (
        "_closing",
        "_discovered",
        "_holders",
        "_leases",
        "_on_closed",
        "_overridden",
        "_static",
        "_strategy",
        "feed",
        "upstream",
    )

    def __init__(
        self,
        upstream: Upstream,
        endpoints: Iterable[EndpointSpec],
        feed: Feed | None,
        leases: LeaseHolder,
        closing: Tasks,
        lease_strategy: Callable[[str], Lease[Strategy]],
        overridden: Callable[[EndpointSpec], EndpointSpec] = lambda spec: spec,
        on_closed: Callable[[LiveUpstream], object] = lambda _: None,
    ) -> None:
        """Have the configured endpoints, and what is discovered from now on.

        :param overridden: returns an endpoint as operators have it for now; the same object where they do not care.
        """
        self.upstream = upstream
        self.feed = feed
        """Where further endpoints come from, if anywhere."""
        self._static = tuple(endpoints)
        self._leases = leases
        self._closing = closing
        self._overridden = overridden
        self._on_closed = on_closed
        self._discovered = Discovered(())
        self._holders = 1
        self._strategy = DiscoveredStrategy(upstream, lease_strategy)
        self.put_again()
        if feed is None:
            self._begin()
        else:
            feed.subscribe(self._put_discovered)

    async def wait_for_endpoints(self, timeout: float) -> bool:  # noqa: ASYNC109 - a wait that ends with False
        """Wait until the discovery, if there is one, has found endpoints for the first time.

        :returns: False if it has not within ``timeout`` seconds.
        """
        return self.feed is None or await self.feed.wait_for_first(timeout)

    def hold(self) -> LiveUpstream:
        """Keep it open until one more `aclose`."""
        self._holders += 1
        return self

    def is_made_of(self, config: UpstreamConfig, tls: TlsSettings | None) -> bool:
        """Whether it is what a configuration says, with TLS files that hold the same.

        :param tls: with the digest of the files; None if there are none.
        """
        made = self.upstream.settings
        if self.upstream.transport.tls.digest != ("" if tls is None else tls.digest):
            return False
        # 1 and true are equal, but not the same option of an extension.
        return made is config or (made == config and frozen(_options_of(made)) == frozen(_options_of(config)))

    async def aclose(self) -> None:
        """Give it back. The last one to do so closes it; requests in progress keep the endpoints that they have."""
        self._holders -= 1
        if self._holders:
            return
        self._on_closed(self)
        if self.feed is not None:
            self.feed.unsubscribe(self._put_discovered)
        self._strategy.release()
        await close_all(self.upstream.release(), self._leases)

    def _begin(self) -> None:
        self.upstream.admission.load.is_running = True

    def _put_discovered(self, discovered: Discovered) -> None:
        self._discovered = discovered
        self.put_again()
        self._begin()

    def put_again(self) -> None:
        """Have the configured endpoints and the discovered ones, as they are now, with what is overridden of them.

        The configuration wins over an equal id.
        """
        self._strategy.apply(self._discovered.strategy)
        specs = map(self._overridden, (*self._discovered.endpoints, *self._static))
        for endpoint in self.upstream.set_endpoints(specs):
            self._closing.spawn(endpoint.aclose(), name=f"close endpoint {endpoint.id}")


async def close_all(endpoints: Iterable[Endpoint], leases: LeaseHolder) -> None:
    """Close all of them, whichever of them fails to."""
    async with AsyncExitStack() as stack:
        stack.push_async_callback(leases.aclose)
        for endpoint in endpoints:
            stack.push_async_callback(endpoint.aclose)


class UpstreamRuntime:
    """Opens upstreams and keeps what they share."""

    def __init__(
        self,
        clock: Clock,
        *,
        strategies: Mapping[str, StrategyFactory] | None = None,
        monitor: Monitor | None = None,
        metrics: Metrics | None = None,
        sticky_secret: bytes = b"",
        rng: Random | None = None,
        resolver: Resolver | None = None,
        grpc: GrpcProbe = no_grpc,
    ) -> None:
        """Start without upstreams.

        :param strategies: what extensions offer by name.
        :param monitor: where endpoints are discovered and checked; in this process unless given.
        :param sticky_secret: what sticky cookies are keyed with: the same in all workers and gateways of a cluster.
            Without one they are keyed with the upstream's name, which hides addresses from the casual eye only.
        :param grpc: makes the calls of health checks of type ``grpc``, where there is no ``monitor`` that does.
        """
        self.resolver = Resolver(clock) if resolver is None else resolver
        """Resolves the names of endpoints, for whatever connects to them."""
        self._clock = clock
        self._metrics = Metrics() if metrics is None else metrics
        self._rng = Random() if rng is None else rng  # noqa: S311 - spreads load, keeps no secret
        self._strategies = dict(strategies or {})
        self._sticky_secret = sticky_secret
        self._endpoints: Leases[EndpointKey, Endpoint] = Leases()
        self._shared_strategies: Leases[tuple[object, ...], Strategy] = Leases()
        self._loads: Leases[str, Load] = Leases()
        self._closing = Tasks()
        self._local_errors = LocalErrors()
        self._live: set[LiveUpstream] = set()
        self._latest: dict[str, LiveUpstream] = {}
        """The one of each name that was made last, while it is open: the next snapshot may have it too."""
        self._overridden: Mapping[tuple[str, str], EndpointStatus] = {}
        self.session = RegistrySession(self.resolver)
        """Returns the session for calls to registries."""
        self.monitor: Monitor = monitor or LocalMonitor(
            clock,
            rng=self._rng,
            resolver=self.resolver,
            session=self.session,
            metrics=metrics,
            local_errors=self._local_errors,
            grpc=grpc,
        )
        """Where endpoints are discovered and checked."""

    def extend(self, strategies: Mapping[str, StrategyFactory], discoveries: Mapping[str, DiscoveryFactory]) -> None:
        """Offer what extensions bring that were installed while running."""
        self._strategies.update(strategies)
        self.monitor.extend(discoveries)

    def sticky_secret(self, name: str) -> bytes:
        """Return what the cookies of an upstream, or of a route with several targets, are keyed with."""
        return self._sticky_secret + name.encode()

    def open(self, config: UpstreamConfig, *, tls: TlsSettings | None = None) -> LiveUpstream:
        """Return an upstream: the one that is open already if nothing of it changes.

        A new one starts its health checks and its discovery at once. Needs a running event loop.

        :param tls: with the digest of its files; None if there are none.
        :raises ValueError: for a strategy, discovery or setting that cannot be. Nothing is left behind.
        :raises OSError: for TLS files that cannot be read, or used (``ssl.SSLError``).
        """
        latest = self._latest.get(config.name)
        if latest is not None and latest.is_made_of(config, tls):
            return latest.hold()
        live = self._latest[config.name] = self._make(config, TransportSettings.of(config, tls))
        self._live.add(live)
        return live

    def _make(self, config: UpstreamConfig, transport: TransportSettings) -> LiveUpstream:
        leases = LeaseHolder()
        upstream = None
        try:
            strategy = leases.hold(self._lease_strategy(config))
            load = leases.hold(self._loads.acquire(config.name, partial(self._make_load, config.name)))
            depends_on = (frozen(config.health_check), config.circuit_breaker, config.send_proxy_protocol, transport)
            discovery = config.discovery
            feed = None if discovery is None else leases.hold(self.monitor.discover(config.name, discovery))
            upstream = Upstream(
                config,
                transport=transport,
                resolver=self.resolver,
                acquire=lambda spec: self._lease_endpoint(config, transport, depends_on, spec, load),
                strategy=strategy,
                load=load,
                rng=self._rng,
                sticky_secret=self.sticky_secret(config.name),
                local_errors=self._local_errors,
                feed=feed,
            )
            endpoints = [EndpointSpec.of(endpoint) for endpoint in config.endpoints]
            lease_strategy = partial(self._lease_discovered_strategy, config)
            overridden = partial(self._override_one, config.name)
            return LiveUpstream(
                upstream, endpoints, feed, leases, self._closing, lease_strategy, overridden, self._forget
            )
        except Exception:
            unused = [] if upstream is None else upstream.release()
            self._closing.spawn(close_all(unused, leases), name=f"close upstream {config.name}")
            raise

    def _forget(self, live: LiveUpstream) -> None:
        self._live.discard(live)
        if self._latest.get(live.upstream.name) is live:
            del self._latest[live.upstream.name]

    def override(self, statuses: Mapping[tuple[str, str], EndpointStatus]) -> None:
        """Have endpoints with another status than the configuration or a discovery gives them, and no others.

        Whatever is discovered or configured later is overridden as well.

        :param statuses: by the names of upstreams and the ids of their endpoints.
        """
        changed = {name for (name, _), _ in statuses.items() ^ self._overridden.items()}
        self._overridden = dict(statuses)
        for live in [each for each in self._live if each.upstream.name in changed]:
            live.put_again()

    def _override_one(self, upstream: str, spec: EndpointSpec) -> EndpointSpec:
        status = self._overridden.get((upstream, spec.id)) if self._overridden else None
        return spec if status is None or status is spec.status else replace(spec, status=status)

    async def aclose(self) -> None:
        """Close the session; every upstream has to be closed before."""
        await self._closing.wait()
        await self.session.aclose()

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

    def _make_load(self, upstream: str) -> Load:
        counts = self._metrics.upstreams
        return Load(upstream, counts.acquire(upstream), partial(counts.release, upstream))

    def _lease_endpoint(
        self,
        config: UpstreamConfig,
        transport: TransportSettings,
        depends_on: Hashable,
        spec: EndpointSpec,
        load: Load,
    ) -> Lease[Endpoint]:
        def start() -> Endpoint:
            counts, counted = self._metrics.endpoints, (config.name, spec.id)
            endpoint = Endpoint(
                spec,
                config.circuit_breaker,
                counts=counts.acquire(counted),
                on_closed=partial(counts.release, counted),
            )
            if is_checked(config):
                endpoint.follow(self.monitor.check(spec, config, transport.tls))
            return endpoint

        key = EndpointKey(config.name, spec.id, spec.scheme, spec.host, spec.port, spec.path, depends_on)
        lease = self._endpoints.acquire(key, start)
        lease.value.open(self._clock.monotonic(), is_open=spec.is_open, is_late=load.is_running)
        return lease


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
    return type(value), value  # 1 == True == 1.0, which are different values of an option
