"""Run the discoveries and checks of a configuration in one process, and publish the findings to the others.

Discoveries and checks run once for the whole gateway: the process that watches has a `Publisher` over a `LocalMonitor`;
those that serve have a `ReceivedMonitor`. Between them go findings (`finding_store`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from typing import Any, Final

from gateway_core.config import DiscoveryConfig, UpstreamConfig
from gateway_core.leases import Lease, Leases
from gateway_core.tasks import Tasks
from gateway_core.upstreams.discovery import Discovered, Feed
from gateway_core.upstreams.endpoint import Checked, EndpointSpec
from gateway_core.upstreams.finding_store import Finding, FindingStore, spec_as_json
from gateway_core.upstreams.monitor import LocalMonitor, Monitor, check_key, discovery_key, is_checked
from gateway_core.upstreams.transport import TlsSettings, with_digest

Publish = Callable[[Finding], None]

GATHER_SECONDS: Final = 0.5
"""Checks without a change are published together, for status pages; changes at once."""


class _PublishedFeed:
    """Publishes what a discovery finds, as differences to what was published last."""

    def __init__(self, key: str, lease: Lease[Feed], publish: Publish) -> None:
        self._key = key
        self._lease = lease
        self._publish = publish
        self._reported: dict[str, EndpointSpec] = {}
        self._strategy = ""
        self._is_known = False
        self.feed = lease.value
        self.feed.subscribe(self._put)
        self.feed.watch_status(self._publish_status)
        if not self.feed.responded:
            self._publish_status()

    @property
    def endpoints(self) -> tuple[EndpointSpec, ...]:
        """What was published last."""
        return tuple(self._reported.values())

    async def aclose(self) -> None:
        self.feed.unsubscribe(self._put)
        self._publish({"kind": "gone", "key": self._key})
        await self._lease.aclose()

    def _put(self, found: Discovered) -> None:
        before, self._reported = self._reported, {spec.id: spec for spec in found.endpoints}
        self._strategy = found.strategy
        if not self.feed.responded:
            return  # what was kept from before the start: `_publish_status`, once the registry has failed
        # The first result replaces whatever an earlier process had found.
        is_first, self._is_known = not self._is_known, True
        if is_first:
            before = {}
        changed = [
            spec for name, spec in self._reported.items() if (known := before.get(name)) is not spec and known != spec
        ]
        gone = [name for name in before if name not in self._reported]
        self._publish({**self._finding(changed, gone), "all": is_first})

    def _publish_status(self) -> None:
        kept = self._reported.values() if not self.feed.responded and self.feed.reason else ()
        self._publish(self._finding(kept, ()))

    def _finding(self, put: Iterable[EndpointSpec], remove: Iterable[str]) -> Finding:
        feed = self.feed
        return {
            "kind": "endpoints",
            "key": self._key,
            "all": False,
            "put": [spec_as_json(spec) for spec in put],
            "remove": list(remove),
            "known": self._is_known,
            "stale": feed.is_stale,
            "reason": feed.reason,
            "strategy": self._strategy,
        }


class _PublishedCheck:
    """Publishes the results of the checks of one address."""

    def __init__(
        self, key: str, lease: Lease[Checked], on_check: Callable[[str, bool], None], publish: Publish
    ) -> None:
        self._key = key
        self._lease = lease
        self._on_check = on_check
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
        self._on_check(self._key, has_changed)


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
    """Runs the discoveries and checks of a configuration, and publishes the findings."""

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
                tls = TlsSettings(config.tls)
                if tls.config.files:
                    tls = await asyncio.to_thread(with_digest, tls)
                fresh.append(_WatchedUpstream(config, tls, self, self._tasks))
        except BaseException:
            await self._close_all(fresh)
            raise
        old, self._watched = self._watched, fresh
        await self._close_all(old)
        # Another process may have watched before this one, and published more.
        self._publish({"kind": "only", "keys": [*self._feeds.keys(), *self._checks.keys()]})

    async def aclose(self) -> None:
        """Watch nothing any more."""
        await self.use(())
        await self._tasks.wait()
        if self._flush is not None:
            self._flush.cancel()

    def results(self) -> list[list[Any]]:
        """Return the last check of each address that was checked."""
        results = (check.result() for check in self._checks.values())
        return [result for result in results if result[2]]

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
            key, lambda: _PublishedCheck(key, self._monitor.check(spec, config, tls), self._on_check, self._publish)
        )

    async def _close_all(self, watched: Iterable[_WatchedUpstream]) -> None:
        async with AsyncExitStack() as stack:
            for each in watched:
                stack.push_async_callback(each.aclose)

    def _on_check(self, key: str, has_changed: bool) -> None:
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


async def found_by(monitor: Monitor, upstreams: Iterable[UpstreamConfig]) -> list[Finding]:
    """Return what is known at this moment of what the monitor of this process watches.

    :raises ValueError: a discovery refuses its configuration.
    :raises OSError: TLS files cannot be read, or used.
    """
    if not isinstance(monitor, LocalMonitor):
        return []
    store = FindingStore()
    publisher = Publisher(monitor, store.apply)
    try:
        await publisher.use(upstreams)
        store.apply({"kind": "health", "results": publisher.results()})
        return store.everything()
    finally:
        await publisher.aclose()
