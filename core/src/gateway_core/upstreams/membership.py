"""Which endpoints an upstream has, and how that changes.

A change costs what changed: unchanged endpoints are not touched. The list that strategies see is made
at the next pick, so that a burst of changes costs one list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from gateway_core.leases import Lease
from gateway_core.upstreams.endpoint import Endpoint, EndpointSpec, Watcher
from gateway_core.upstreams.selection import Candidates

AcquireEndpoint = Callable[[EndpointSpec], Lease[Endpoint]]
"""Leases the run-time state of an address."""


class _Member:
    __slots__ = ("endpoint", "is_open", "lease", "spec")

    def __init__(self, spec: EndpointSpec, lease: Lease[Endpoint]) -> None:
        self.spec = spec
        self.lease = lease
        self.endpoint = lease.value
        self.is_open = spec.is_open


class _NullWatcher:
    def invalidate(self) -> None:
        """Do nothing: used after close."""


class Membership:
    """The endpoints of one upstream by id, with the leases that keep their state alive."""

    __slots__ = ("_acquire", "_leaving", "_members", "_watcher")

    def __init__(self, acquire: AcquireEndpoint, watcher: Watcher) -> None:
        self._acquire = acquire
        self._watcher = watcher
        self._members: dict[str, _Member] = {}
        self._leaving: list[Endpoint] = []

    def close(self) -> None:
        """Drop the watchers, which would otherwise be a cycle of references."""
        self._watcher = _NullWatcher()

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[tuple[EndpointSpec, Endpoint]]:
        for member in list(self._members.values()):  # metrics are collected in a thread, while endpoints come and go
            yield member.spec, member.endpoint

    def replace(self, specs: Iterable[EndpointSpec]) -> list[Endpoint]:
        """Have exactly these endpoints; of two with one id the last one counts.

        :returns: endpoints that are no longer used, for the caller to close.
        """
        wanted = {spec.id: spec for spec in specs}
        members = self._members
        gone = [name for name in members if name not in wanted]
        put = [spec for name, spec in wanted.items() if name not in members or members[name].spec is not spec]
        return self.change(put, gone)

    def change(self, put: Iterable[EndpointSpec], remove: Iterable[str] = ()) -> list[Endpoint]:
        """Add or change some endpoints and remove others by id; unknown ids are ignored.

        :returns: endpoints that are no longer used, for the caller to close.
        """
        closing: list[Endpoint] = []
        for name in remove:
            member = self._members.pop(name, None)
            if member is not None:
                closing += self._drop(member)
        for spec in put:
            closing += self._put(spec)
        return closing

    def candidates(self, *, backup: bool) -> Candidates:
        """Return the backups, or the others, that may get requests at all: UP and with a weight above 0."""
        members = self._members.values()
        return Candidates.of((m.endpoint, m.spec.weight) for m in members if m.is_open and m.spec.backup is backup)

    def leaving(self) -> list[Endpoint]:
        """Return endpoints that were removed while requests to them were in progress, and still are."""
        self._leaving = [endpoint for endpoint in self._leaving if endpoint.active > 0]
        return self._leaving

    def _put(self, spec: EndpointSpec) -> list[Endpoint]:
        old = self._members.get(spec.id)
        if old is not None and old.spec == spec:
            return []
        lease = self._acquire(spec)
        lease.value.watch(self._watcher)
        self._members[spec.id] = _Member(spec, lease)
        # Acquired before the old one is released: a new weight or status keeps health, breaker and connections.
        return [] if old is None else self._drop(old)

    def _drop(self, member: _Member) -> list[Endpoint]:
        endpoint = member.endpoint
        endpoint.unwatch(self._watcher)
        unused = member.lease.release()
        if unused is not None and unused.active > 0:
            self._leaving = [*self.leaving(), unused]
        return [] if unused is None else [unused]
