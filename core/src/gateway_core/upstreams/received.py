"""The monitor of a process that serves, while another one watches.

It keeps what it has while nothing comes, also when the process that watches has ended. Findings may arrive before the
configuration that they are for, and are kept until they are gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from gateway_core.clock import Clock
from gateway_core.config import DiscoveryConfig, UpstreamConfig
from gateway_core.leases import Lease, Leases
from gateway_core.upstreams.discovery import Discovered, DiscoveryFactory, Feed
from gateway_core.upstreams.discovery.kept_endpoints import KeptEndpoints
from gateway_core.upstreams.endpoint import Checked, EndpointSpec
from gateway_core.upstreams.finding_store import Finding, FindingStore, spec_of_json
from gateway_core.upstreams.health import HealthState
from gateway_core.upstreams.monitor import check_key, discovery_key
from gateway_core.upstreams.transport import TlsSettings


class _ReceivedHealth:
    def __init__(self) -> None:
        self.health = HealthState()


class ReceivedMonitor:
    """Knows what another process finds."""

    def __init__(self, clock: Clock, rng: Random | None = None) -> None:
        """Begin without any findings."""
        self._clock = clock
        self._rng = Random() if rng is None else rng  # noqa: S311 - spreads load, keeps no secret
        self._feeds: Leases[str, Feed] = Leases()
        self._checks: Leases[str, Checked] = Leases()
        self._store = FindingStore()
        self._specs: dict[str, dict[str, tuple[list[Any], EndpointSpec]]] = {}
        """By key and id, with the finding's fields that they are of: unchanged endpoints stay the same objects."""

    def extend(self, discoveries: Mapping[str, DiscoveryFactory]) -> None:
        """Do nothing: discoveries run elsewhere."""

    def keep(self, endpoints: KeptEndpoints) -> None:
        """Do nothing: who discovers also keeps."""

    def discover(self, upstream: str, config: DiscoveryConfig) -> Lease[Feed]:
        """Return what is and will be received of a discovery."""
        key = discovery_key(upstream, config)
        lease = self._feeds.acquire(key, lambda: Feed(upstream, None, self._rng, self._clock, logs=False))
        if lease.is_new and key in self._store.states:
            self._tell(key, lease.value)
        return lease

    def check(self, spec: EndpointSpec, config: UpstreamConfig, tls: TlsSettings) -> Lease[Checked]:
        """Return what is and will be received of the checks of an address."""
        key = check_key(spec, config, tls)
        lease = self._checks.acquire(key, _ReceivedHealth)
        if lease.is_new and key in self._store.results:
            self._note(lease.value.health, self._store.results[key])
        return lease

    def receive(self, finding: Finding) -> None:
        """Take a finding."""
        self._store.apply(finding)
        kind = finding["kind"]
        if kind == "lost":
            for feed in self._feeds.values():
                feed.fail(finding["reason"])
        elif kind == "health":
            for result in finding["results"]:
                checked = self._checks.get(result[0])
                if checked is not None:
                    self._note(checked.health, result)
        elif kind == "endpoints":
            feed_of_key = self._feeds.get(finding["key"])
            if feed_of_key is not None:
                self._tell(finding["key"], feed_of_key)
        else:
            for key in self._specs.keys() - self._store.endpoints.keys():
                del self._specs[key]

    def _tell(self, key: str, feed: Feed) -> None:
        state = self._store.states[key]
        if not state["known"]:
            if state["reason"]:
                feed.fail(state["reason"])
            return
        before = self._specs.get(key, {})
        # The store keeps the fields of what a finding does not name as they are: a change costs what has changed.
        specs = self._specs[key] = {
            name: known if (known := before.get(name)) is not None and known[0] is fields else _read(fields, known)
            for name, fields in self._store.endpoints[key].items()
        }
        found = tuple([spec for _, spec in specs.values()])
        feed.take(Discovered(found, is_stale=state["stale"], reason=state["reason"], strategy=state["strategy"]))

    def _note(self, health: HealthState, result: list[Any]) -> None:
        _, healthy, at, seconds, error = result
        if not at:
            return  # not checked yet
        has_changed = healthy != health.healthy
        health.healthy, health.checked = healthy, True
        if has_changed and healthy:
            health.recovered_at = self._clock.monotonic()
        health.record(error, at, seconds, has_changed=has_changed)


def _read(fields: list[Any], known: tuple[list[Any], EndpointSpec] | None) -> tuple[list[Any], EndpointSpec]:
    spec = spec_of_json(fields)
    return fields, known[1] if known is not None and known[1] == spec else spec
