"""What one process finds out about upstreams for the others: discoveries and checks run once for the whole gateway.

The process that watches has a `Publisher` over a `LocalMonitor`; those that serve have a `ReceivedMonitor`. Between
them go *findings*: JSON objects that say what has changed, by keys that all processes work out alike from the
configuration (`discovery_key`, `check_key`).

``{"kind": "endpoints", "key", "all", "put", "remove", "known", "stale", "reason", "strategy"}``
    Endpoints that are new or different, and ids of those that are gone; with ``all`` nothing else is left. ``known``
    is false before the registry has responded for the first time.
``{"kind": "health", "results": [[key, healthy, checked at, seconds, error], ...]}``
    The last check of some addresses.
``{"kind": "gone", "key"}``
    What this key stands for is watched no longer.

A process that serves keeps what it has while nothing comes, also when the one that watches has ended. Findings may
arrive before the configuration that they are for, and are kept until they are gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from random import Random
from typing import Any, Final

from gateway_core.clock import Clock
from gateway_core.config import DiscoveryConfig, UpstreamConfig
from gateway_core.leases import Lease, Leases
from gateway_core.tasks import Tasks
from gateway_core.upstreams.discovery import Discovered, DiscoveryFactory, Feed
from gateway_core.upstreams.endpoint import Checked, EndpointSpec, EndpointStatus
from gateway_core.upstreams.health import HealthState
from gateway_core.upstreams.monitor import LocalMonitor, check_key, discovery_key, is_checked
from gateway_core.upstreams.transport import TlsSettings, with_digest

Finding = dict[str, Any]
"""What was found, ready for JSON."""
Publish = Callable[[Finding], None]

GATHER_SECONDS: Final = 0.5
"""Checks that changed nothing are told together, for status pages; those that did change something at once."""


def spec_as_json(spec: EndpointSpec) -> list[Any]:
    """Return an endpoint for JSON."""
    address = [spec.scheme, spec.host, spec.port, spec.id]
    return [*address, spec.weight, spec.status.value, spec.backup, spec.path]


def spec_of_json(fields: list[Any]) -> EndpointSpec:
    """Return the endpoint that `spec_as_json` wrote."""
    scheme, host, port, name, weight, status, backup, path = fields
    return EndpointSpec(scheme, host, port, name, weight, EndpointStatus(status), backup, path)


# -- in the process that watches


class _PublishedFeed:
    """Publishes what a discovery finds, as differences to what was published last."""

    def __init__(self, key: str, lease: Lease[Feed], publish: Publish) -> None:
        self._key = key
        self._lease = lease
        self._publish = publish
        self._told: dict[str, EndpointSpec] = {}
        self._strategy = ""
        self.feed = lease.value
        self.feed.subscribe(self._put)
        self.feed.watch_status(self._tell_status)
        if self.feed.latest is None:
            self._tell_status()

    @property
    def endpoints(self) -> tuple[EndpointSpec, ...]:
        """What was published last."""
        return tuple(self._told.values())

    def everything(self) -> Finding:
        """Return all that is known."""
        return self._finding(self._told.values(), (), is_all=True)

    async def aclose(self) -> None:
        self.feed.unsubscribe(self._put)
        self._publish({"kind": "gone", "key": self._key})
        await self._lease.aclose()

    def _put(self, found: Discovered) -> None:
        before, self._told = self._told, {spec.id: spec for spec in found.endpoints}
        self._strategy = found.strategy
        changed = [spec for name, spec in self._told.items() if before.get(name) != spec]
        self._publish(self._finding(changed, [name for name in before if name not in self._told]))

    def _tell_status(self) -> None:
        self._publish(self._finding((), ()))

    def _finding(self, put: Iterable[EndpointSpec], remove: Iterable[str], *, is_all: bool = False) -> Finding:
        feed = self.feed
        return {
            "kind": "endpoints",
            "key": self._key,
            "all": is_all,
            "put": [spec_as_json(spec) for spec in put],
            "remove": list(remove),
            "known": feed.latest is not None,
            "stale": feed.is_stale,
            "reason": feed.reason,
            "strategy": self._strategy,
        }


class _PublishedCheck:
    """Publishes the results of the checks of one address."""

    def __init__(self, key: str, lease: Lease[Checked], tell: Callable[[str, bool], None], publish: Publish) -> None:
        self._key = key
        self._lease = lease
        self._tell = tell
        self._publish = publish
        lease.value.health.subscribe(self._checked)

    def result(self) -> list[Any]:
        """Return the last result."""
        health = self._lease.value.health
        return [self._key, health.healthy, health.last_check, health.last_check_seconds, health.last_check_error]

    async def aclose(self) -> None:
        self._lease.value.health.unsubscribe(self._checked)
        self._publish({"kind": "gone", "key": self._key})
        await self._lease.aclose()

    def _checked(self, has_changed: bool) -> None:
        self._tell(self._key, has_changed)


class _WatchedUpstream:
    """Holds what one upstream of a configuration needs to be watched."""

    def __init__(self, config: UpstreamConfig, tls: TlsSettings, publisher: Publisher, closing: Tasks) -> None:
        self._config = config
        self._tls = tls
        self._publisher = publisher
        self._closing = closing
        self._configured = [EndpointSpec.of(endpoint) for endpoint in config.endpoints]
        self._checks: dict[str, Lease[_PublishedCheck]] = {}
        self._feed = None if config.discovery is None else publisher.lease_feed(config.name, config.discovery)
        try:
            if self._feed is not None:
                self._feed.value.feed.subscribe(self._put)
            self._put(Discovered(() if self._feed is None else self._feed.value.endpoints))
        except Exception:
            closing.spawn(self.aclose(), name=f"watch {config.name} no longer")
            raise

    async def aclose(self) -> None:
        async with AsyncExitStack() as stack:
            for lease in self._checks.values():
                stack.push_async_callback(lease.aclose)
            if self._feed is not None:
                self._feed.value.feed.unsubscribe(self._put)
                stack.push_async_callback(self._feed.aclose)

    def _put(self, found: Discovered) -> None:
        if not is_checked(self._config):
            return
        before, self._checks = self._checks, {}
        for spec in [*found.endpoints, *self._configured]:
            key = check_key(spec, self._config, self._tls)
            if key in before:
                self._checks[key] = before.pop(key)
            elif key not in self._checks:
                self._checks[key] = self._publisher.lease_check(spec, self._config, self._tls)
        for lease in before.values():
            self._closing.spawn(lease.aclose(), name=f"end a check of {self._config.name}")


class Publisher:
    """Watches what a configuration asks for, and publishes what is found."""

    def __init__(self, monitor: LocalMonitor, publish: Publish) -> None:
        """Begin with nothing to watch.

        :param publish: called with each finding, in order; must not fail.
        """
        self._monitor = monitor
        self._publish = publish
        self._feeds: Leases[str, _PublishedFeed] = Leases()
        self._checks: Leases[str, _PublishedCheck] = Leases()
        self._watched: list[_WatchedUpstream] = []
        self._tasks = Tasks()
        self._unpublished: set[str] = set()
        self._flush: asyncio.TimerHandle | None = None

    async def use(self, upstreams: Iterable[UpstreamConfig]) -> None:
        """Watch what these upstreams need, and nothing else; what was watched before goes on without a break.

        :raises ValueError: a discovery is unknown or refuses its configuration. What was watched before is kept.
        :raises OSError: TLS files cannot be read, or used (``ssl.SSLError``).
        """
        fresh: list[_WatchedUpstream] = []
        try:
            for config in upstreams:
                tls = TlsSettings.of(config.tls)
                if tls.files:
                    tls = await asyncio.to_thread(with_digest, tls)
                fresh.append(_WatchedUpstream(config, tls, self, self._tasks))
        except BaseException:
            await self._close_all(fresh)
            raise
        old, self._watched = self._watched, fresh
        await self._close_all(old)

    def everything(self) -> list[Finding]:
        """Return all that is known, for a process that begins to serve."""
        found = [feed.everything() for feed in self._feeds.values()]
        return [*found, {"kind": "health", "results": [check.result() for check in self._checks.values()]}]

    async def aclose(self) -> None:
        """Watch nothing any more."""
        await self.use(())
        await self._tasks.wait()
        if self._flush is not None:
            self._flush.cancel()

    def lease_feed(self, upstream: str, config: DiscoveryConfig) -> Lease[_PublishedFeed]:
        """Publish what a discovery finds, as long as the lease is held."""
        key = discovery_key(upstream, config)
        return self._feeds.acquire(
            key, lambda: _PublishedFeed(key, self._monitor.discover(upstream, config), self._publish)
        )

    def lease_check(self, spec: EndpointSpec, config: UpstreamConfig, tls: TlsSettings) -> Lease[_PublishedCheck]:
        """Publish what the checks of an address find, as long as the lease is held."""
        key = check_key(spec, config, tls)
        return self._checks.acquire(
            key, lambda: _PublishedCheck(key, self._monitor.check(spec, config, tls), self._tell_check, self._publish)
        )

    async def _close_all(self, watched: Iterable[_WatchedUpstream]) -> None:
        async with AsyncExitStack() as stack:
            for each in watched:
                stack.push_async_callback(each.aclose)

    def _tell_check(self, key: str, has_changed: bool) -> None:
        self._unpublished.add(key)
        if has_changed:
            self._publish_checks()
        elif self._flush is None:
            self._flush = asyncio.get_running_loop().call_later(GATHER_SECONDS, self._publish_checks)

    def _publish_checks(self) -> None:
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        keys, self._unpublished = self._unpublished, set()
        results = [check.result() for key in keys if (check := self._checks.get(key)) is not None]
        if results:
            self._publish({"kind": "health", "results": results})


# -- in the processes that serve


class _ReceivedHealth:
    def __init__(self) -> None:
        self.health = HealthState()


class ReceivedMonitor:
    """Knows what another process finds: the monitor of a process that serves."""

    def __init__(self, clock: Clock, rng: Random | None = None) -> None:
        """Begin without any findings."""
        self._clock = clock
        self._rng = Random() if rng is None else rng  # noqa: S311 - spreads load, keeps no secret
        self._feeds: Leases[str, Feed] = Leases()
        self._checks: Leases[str, Checked] = Leases()
        self._endpoints: dict[str, dict[str, EndpointSpec]] = {}
        self._found: dict[str, Finding] = {}
        """The last finding of each discovery, without its endpoints."""
        self._results: dict[str, list[Any]] = {}

    def extend(self, discoveries: Mapping[str, DiscoveryFactory]) -> None:
        """Do nothing: discoveries run elsewhere."""

    def discover(self, upstream: str, config: DiscoveryConfig) -> Lease[Feed]:
        """Return what is and will be received of a discovery."""
        key = discovery_key(upstream, config)
        lease = self._feeds.acquire(key, lambda: Feed(upstream, None, self._rng, self._clock))
        if lease.is_new and key in self._found:
            self._tell(key, lease.value)
        return lease

    def check(self, spec: EndpointSpec, config: UpstreamConfig, tls: TlsSettings) -> Lease[Checked]:
        """Return what is and will be received of the checks of an address."""
        key = check_key(spec, config, tls)
        lease = self._checks.acquire(key, _ReceivedHealth)
        if lease.is_new and key in self._results:
            self._note(lease.value.health, self._results[key])
        return lease

    def receive(self, finding: Finding) -> None:
        """Take a finding."""
        kind = finding["kind"]
        if kind == "endpoints":
            self._receive_endpoints(finding)
        elif kind == "health":
            for result in finding["results"]:
                self._results[result[0]] = result
                checked = self._checks.get(result[0])
                if checked is not None:
                    self._note(checked.health, result)
        elif kind == "gone":
            for table in (self._endpoints, self._found, self._results):
                table.pop(finding["key"], None)

    def lose(self, reason: str) -> None:
        """Mark everything stale: the process that watches has ended."""
        for feed in self._feeds.values():
            feed.fail(reason)

    def _receive_endpoints(self, finding: Finding) -> None:
        key = finding["key"]
        if finding["known"]:
            table = {} if finding["all"] else self._endpoints.get(key, {})
            for name in finding["remove"]:
                table.pop(name, None)
            for fields in finding["put"]:
                spec = spec_of_json(fields)
                table[spec.id] = spec
            self._endpoints[key] = table
        self._found[key] = {name: finding[name] for name in ("known", "stale", "reason", "strategy")}
        feed = self._feeds.get(key)
        if feed is not None:
            self._tell(key, feed)

    def _tell(self, key: str, feed: Feed) -> None:
        found = self._found[key]
        if not found["known"]:
            # A process that has just begun to watch knows less than what is in force here.
            if found["reason"]:
                feed.fail(found["reason"])
            return
        specs = tuple(self._endpoints[key].values())
        feed.take(Discovered(specs, is_stale=found["stale"], reason=found["reason"], strategy=found["strategy"]))

    def _note(self, health: HealthState, result: list[Any]) -> None:
        _, healthy, at, seconds, error = result
        if not at:
            return  # not checked yet
        has_changed = healthy != health.healthy
        health.healthy, health.checked = healthy, True
        if has_changed and healthy:
            health.recovered_at = self._clock.monotonic()
        health.record(error, at, seconds, has_changed=has_changed)
