"""What a process has counted since it was asked last, for the live view of the admin API.

Nothing is kept while nothing asks: the first question only notes where the counters are, and so does one that comes
`FORGOTTEN_AFTER` the last. Each later one costs a look at every counter, and more only of those that have moved.

This is read each second by the process that serves requests, so rows are short lists, and buckets that did not move
are not in them (`gateway_core.observe.traffic` has what they mean, and adds them up).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from itertools import compress
from operator import sub
from typing import TYPE_CHECKING, Any, Final

from gateway_core.metrics.catalogue import OTHER, PLUGIN_ERRORS, PLUGIN_TIMEOUTS
from gateway_core.metrics.counts import EndpointCounts, RouteCounts, used

if TYPE_CHECKING:
    from gateway_core.observe.traffic import Cells
    from gateway_core.process.engine import Engine
    from gateway_core.snapshot import Snapshot

FORGOTTEN_AFTER: Final = 10.0
"""Seconds."""
_MOST_KEPT: Final = 200_000
"""Counters that are remembered at most: those of routes and endpoints that are gone are forgotten together."""

_Counts = RouteCounts | EndpointCounts
_Read = tuple[int, tuple[float, ...], Mapping[int, tuple[float, ...]], int, int]
"""What counts were when they were looked at: total, bounds, cells, bytes in and out."""
_NOTHING: Final[_Read] = (0, (), {}, 0, 0)
_NO_ROUTE: Final = ""


class TrafficMeter:
    """Measures the traffic of one process."""

    def __init__(self, engine: Engine) -> None:
        """Measure nothing yet."""
        self._engine = engine
        self._asked_at: float | None = None
        self._routes_read: dict[Any, _Read] = {}
        self._endpoints_read: dict[Any, _Read] = {}
        """By upstream and id."""
        self._numbers: dict[Any, float] = {}
        """Other counters, likewise."""

    def timed(self) -> tuple[bytes, float]:
        """Return what `read` does as JSON, and the processor time that both took, in seconds."""
        began = time.thread_time()
        text = json.dumps(self.read(), separators=(",", ":")).encode()
        return text, time.thread_time() - began

    def read(self) -> dict[str, Any]:
        """Return what was counted since the last call, ready for JSON; times are seconds."""
        now = self._engine.clock.monotonic()
        elapsed = 0.0 if self._asked_at is None else now - self._asked_at
        if elapsed > FORGOTTEN_AFTER or len(self._numbers) > _MOST_KEPT:
            elapsed = 0.0
        if not elapsed:
            self._routes_read, self._endpoints_read, self._numbers = {}, {}, {}
        self._asked_at = now
        in_flight, proxy = self._in_flight(), self._engine.proxy
        found = {
            "pid": os.getpid(),
            "elapsed": elapsed,
            "bounds": self._engine.metrics.bounds,
            "in_flight": proxy.in_flight,
            "connections": len(proxy.connections),
            "routes": self._routes(in_flight),
            "endpoints": self._endpoints(),
            "upstreams": self._upstreams(),
            "bindings": self._bindings(),
            "reasons": self._moved("reason", proxy.telemetry.failures),
        }
        if not elapsed:  # what there is now was not counted in a time that is known
            found |= {"routes": [], "endpoints": [], "upstreams": [], "bindings": [], "reasons": {}}
        return found

    def _in_flight(self) -> dict[str, int]:
        metrics, found = self._engine.metrics, dict[str, int]()
        for exchange in self._engine.proxy.exchanges:
            name = _NO_ROUTE if exchange.route is None else exchange.route.info.id
            key = name if name in metrics.routes or not name else OTHER
            found[key] = found.get(key, 0) + 1
        return found

    def _routes(self, in_flight: Mapping[str, int]) -> list[list[Any]]:
        metrics, rows = self._engine.metrics, list[list[Any]]()
        known: list[tuple[Any, RouteCounts]] = [(_NO_ROUTE, metrics.unrouted), *metrics.routes.items()]
        idle = dict(in_flight)
        for name, counts in used(known):
            total, before = counts.total, self._routes_read.get(name, _NOTHING)
            if total != before[0]:
                cells, bytes_in, bytes_out = _moved_cells(self._routes_read, name, counts, total, before)
                rows.append([name, idle.pop(name, 0), bytes_in, bytes_out, cells])
        rows += [[name, number, 0, 0, []] for name, number in idle.items()]
        self._routes_read = self._without_gone(self._routes_read, known)
        return rows

    def _endpoints(self) -> list[list[Any]]:
        current: Snapshot | None = self._engine.holder.current
        active = {
            (upstream.name, endpoint.id): endpoint.active
            for upstream in ([] if current is None else current.upstreams.values())
            for endpoint in upstream.endpoints
            if endpoint.active
        }
        rows = []
        known: list[tuple[Any, EndpointCounts]] = self._engine.metrics.endpoints.items()
        failures = {key: sum(self._moved(key, counts.errors).values()) for key, counts in known if counts.errors}
        for key, counts in used(known):
            total, before = counts.total, self._endpoints_read.get(key, _NOTHING)
            if total != before[0]:
                cells = _moved_cells(self._endpoints_read, key, counts, total, before)[0]
                rows.append([*key, active.pop(key, 0), failures.pop(key, 0), cells])
        for key in {**active, **failures}:
            if (number := active.get(key, 0)) or failures[key]:
                rows.append([*key, number, failures.get(key, 0), []])
        self._endpoints_read = self._without_gone(self._endpoints_read, known)
        return rows

    @staticmethod
    def _without_gone(read: dict[Any, _Read], known: Sequence[tuple[Any, _Counts]]) -> dict[Any, _Read]:
        """Return what was read without what is counted no more, which a gateway may have any number of in time."""
        return read if len(read) <= len(known) else {key: read[key] for key, _ in known if key in read}

    def _upstreams(self) -> list[dict[str, Any]]:
        current: Snapshot | None = self._engine.holder.current
        upstreams = {} if current is None else {each.name: each for each in current.upstreams.values()}
        rows = []
        for name, counts in self._engine.metrics.upstreams.items():
            refusals = sum(self._moved(("refusals", name), counts.refusals).values()) if counts.refusals else 0
            retries = self._moved("retries", {name: counts.retries}).get(name, 0) if counts.retries else 0
            upstream = upstreams.get(str(name))
            pending = 0 if upstream is None else upstream.admission.load.pending
            if refusals or retries or pending:
                rows.append({"upstream": name, "retries": retries, "refusals": refusals, "pending": pending})
        return rows

    def _bindings(self) -> list[dict[str, Any]]:
        rows: dict[tuple[str, str], dict[str, Any]] = {}

        def count(name: str, counted: Mapping[Any, float]) -> None:
            for labels, number in self._moved(name, counted).items():
                plugin, binding = labels[:2]
                row = rows.setdefault(
                    (plugin, binding), dict.fromkeys(("calls", "errors", "timeouts", "timed_calls", "seconds"), 0)
                )
                row[name] += number

        metrics, times = self._engine.metrics, self._engine.times.all()
        count("calls", dict(metrics.hook_calls()))
        count("errors", dict(metrics.counted(PLUGIN_ERRORS)))
        count("timeouts", dict(metrics.counted(PLUGIN_TIMEOUTS)))
        count("timed_calls", {(each.plugin, each.binding, each.phase): each.calls for each in times})
        count("seconds", {(each.plugin, each.binding, each.phase): each.total for each in times})
        return [{"plugin": plugin, "binding": binding, **row} for (plugin, binding), row in rows.items()]

    def _moved(self, kind: Any, counted: Mapping[Any, float]) -> dict[Any, float]:
        """Return by how much counters have grown since the last call; those that have not are left out."""
        moved, numbers = {}, self._numbers
        for name, number in list(counted.items()):
            before = numbers.get((kind, name), 0)
            if number != before:
                numbers[kind, name] = number
                moved[name] = number - before if number > before else number
        return moved


def _moved_cells(
    read: dict[Any, _Read], key: Any, counts: _Counts, total: int, before: _Read
) -> tuple[Cells, int, int]:
    """Return what moved in the cells of some counts since they were looked at, and the bytes in and out."""
    cells, bounds, bytes_in, bytes_out = counts.cells(), counts.bounds, counts.bytes_in, counts.bytes_out
    read[key] = total, bounds, cells, bytes_in, bytes_out
    if total < before[0]:  # counts that were dropped and came back begin at 0
        before = _NOTHING
    old = before[2] if before[1] is bounds else {}  # with other bounds cells begin at 0
    moved: Cells = []
    for outcome, cell in cells.items():
        past = old.get(outcome)
        if past != cell:
            numbers = list(cell) if past is None else list(map(sub, cell, past))
            seconds = numbers.pop()
            moved.append([outcome, seconds, list(compress(enumerate(numbers), numbers))])
    return moved, bytes_in - before[3], bytes_out - before[4]
