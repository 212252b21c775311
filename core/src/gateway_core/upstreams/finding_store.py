"""What one process finds out about upstreams for the others, as JSON objects: *findings*, and all of them together.

A finding says what has changed, by keys that all processes work out alike from the configuration (`discovery_key`,
`check_key`):

``{"kind": "endpoints", "key", "all", "put", "remove", "known", "stale", "reason", "strategy"}``
    Endpoints that are new or different, and ids of those that are gone; with ``all`` nothing else is left. ``known``
    is false before the registry has responded for the first time: endpoints were kept on disk then, and count only
    where nothing else is known.
``{"kind": "health", "results": [[key, healthy, checked at, seconds, error], ...]}``
    The last check of some addresses.
``{"kind": "gone", "key"}``
    What this key stands for is watched no longer.

``{"kind": "only", "keys"}``
    These keys are watched, and no others.
``{"kind": "lost", "reason"}``
    The process that watches has ended; what it found stays in force.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from gateway_core.upstreams.endpoint import EndpointSpec, EndpointStatus

Finding = dict[str, Any]
"""What was found, ready for JSON."""

_LONGEST_QUEUE: Final = 1000


def spec_as_json(spec: EndpointSpec) -> list[Any]:
    """Return an endpoint for JSON."""
    address = [spec.scheme, spec.host, spec.port, spec.id]
    return [*address, spec.weight, spec.status.value, spec.backup, spec.path]


def spec_of_json(fields: list[Any]) -> EndpointSpec:
    """Return the endpoint that `spec_as_json` wrote."""
    scheme, host, port, name, weight, status, backup, path = fields
    return EndpointSpec(scheme, host, port, name, weight, EndpointStatus(status), backup, path)


class FindingStore:
    """All findings so far, from every monitor."""

    def __init__(self) -> None:
        self.endpoints: dict[str, dict[str, list[Any]]] = {}
        """By key and id, as `spec_as_json` writes them."""
        self.states: dict[str, Finding] = {}
        """By key, the last finding of a discovery without its endpoints."""
        self.results: dict[str, list[Any]] = {}
        """By key, the last check of an address."""
        self._queues: set[FindingQueue] = set()

    def restored(self, findings: Iterable[Finding]) -> FindingStore:
        """Return this store after it has taken what another one had (`everything`)."""
        for finding in findings:
            self.apply(finding)
        return self

    def subscribe(self) -> FindingQueue:
        """Return all findings that there are, and those to come."""
        queue = FindingQueue(self)
        self._queues.add(queue)
        return queue

    def unsubscribe(self, queue: FindingQueue) -> None:
        """Undo a `subscribe`."""
        self._queues.discard(queue)

    def apply(self, finding: Finding) -> None:
        """Take a finding, and pass it on to who has subscribed."""
        self._apply(finding)
        for queue in self._queues:
            queue.put(finding)

    def _apply(self, finding: Finding) -> None:
        kind = finding["kind"]
        if kind == "endpoints":
            self._apply_endpoints(finding)
        elif kind == "health":
            self.results.update((result[0], result) for result in finding["results"])
        elif kind == "gone":
            self._forget(finding["key"])
        elif kind == "only":
            kept = set(finding["keys"])
            for key in self.keys():
                if key not in kept:
                    self._forget(key)

    def keys(self) -> list[str]:
        """Return the keys of which something is known."""
        return [*self.states, *self.results]

    def everything(self) -> list[Finding]:
        """Return all findings, for a process that begins to serve."""
        found: list[Finding] = [
            {**state, "all": True, "put": list(self.endpoints.get(key, {}).values()), "remove": []}
            for key, state in self.states.items()
        ]
        return [*found, {"kind": "health", "results": list(self.results.values())}]

    def _apply_endpoints(self, finding: Finding) -> None:
        key = finding["key"]
        if not finding["known"] and key in self.endpoints:
            # A process that has just begun to watch knows less than what is in force: only its reason is news.
            if finding["reason"]:
                self.states[key] = {**self.states[key], "stale": True, "reason": finding["reason"]}
            return
        table = {} if finding["all"] else self.endpoints.get(key, {})
        for name in finding["remove"]:
            table.pop(name, None)
        for fields in finding["put"]:
            table[fields[3]] = fields
        if finding["known"] or table:
            self.endpoints[key] = table
        state = {name: finding[name] for name in ("kind", "key", "stale", "reason", "strategy")}
        self.states[key] = {**state, "known": key in self.endpoints}

    def _forget(self, key: str) -> None:
        for table in (self.endpoints, self.states, self.results):
            table.pop(key, None)


class FindingQueue:
    """Findings on their way to one process.

    One that is slow to read gets everything at once later, instead of a queue without an end.
    """

    def __init__(self, store: FindingStore) -> None:
        """Begin with everything that is known."""
        self._store = store
        self._findings: deque[Finding] = deque(store.everything())
        self._is_filled = asyncio.Event()
        self._is_filled.set()

    def __len__(self) -> int:
        return len(self._findings)

    def put(self, finding: Finding) -> None:
        """Add a finding, or start again with everything if too many wait."""
        self._findings.append(finding)
        if len(self._findings) > _LONGEST_QUEUE:
            self._findings = deque([{"kind": "only", "keys": self._store.keys()}, *self._store.everything()])
        self._is_filled.set()

    async def get(self) -> Finding:
        """Wait for the next one."""
        while not self._findings:
            self._is_filled.clear()
            await self._is_filled.wait()
        return self._findings.popleft()
