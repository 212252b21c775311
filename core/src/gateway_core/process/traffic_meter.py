"""What a process has counted since it was asked last, for the live view of the admin API.

Nothing is kept while nothing asks: the first question only notes where the counters are, and so does one that comes
`FORGOTTEN_AFTER` the last. Each later one costs a look at every counter, and more only of those that have moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import add, sub
from typing import TYPE_CHECKING, Any, Final

from gateway_core.metrics.catalogue import ORIGINS, OTHER, PLUGIN_ERRORS, PLUGIN_TIMEOUTS
from gateway_core.metrics.counts import EndpointCounts, RouteCounts, class_of

if TYPE_CHECKING:
    from gateway_core.process.engine import Engine
    from gateway_core.snapshot import Snapshot

FORGOTTEN_AFTER: Final = 5.0
"""Seconds."""
_MOST_KEPT: Final = 200_000
"""Counters that are remembered at most: those of routes and endpoints that are gone are forgotten together."""

_Cells = Mapping[int, tuple[float, ...]]
_NO_ROUTE: Final = ""


class TrafficMeter:
    """Measures the traffic of one process."""

    def __init__(self, engine: Engine) -> None:
        """Measure nothing yet."""
        self._engine = engine
        self._asked_at: float | None = None
        self._cells: dict[Any, tuple[int, _Cells]] = {}
        """Of each route, and of each endpoint, the total and the cells when it was last looked at."""
        self._numbers: dict[Any, float] = {}
        """Other counters, likewise."""

    def read(self) -> dict[str, Any]:
        """Return what was counted since the last call, ready for JSON; times are seconds."""
        now = self._engine.clock.monotonic()
        elapsed = 0.0 if self._asked_at is None else now - self._asked_at
        if elapsed > FORGOTTEN_AFTER or len(self._cells) + len(self._numbers) > _MOST_KEPT:
            elapsed = 0.0
        if not elapsed:
            self._cells, self._numbers = {}, {}
        self._asked_at = now
        in_flight, proxy = self._in_flight(), self._engine.proxy
        found = {
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

    def _routes(self, in_flight: Mapping[str, int]) -> list[dict[str, Any]]:
        metrics, rows = self._engine.metrics, list[dict[str, Any]]()
        known: list[tuple[Any, RouteCounts]] = [(_NO_ROUTE, metrics.unrouted), *metrics.routes.items()]
        for name, counts in known:
            cells = self._cells_of(("route", name), counts)
            number = in_flight.get(name, 0)
            if not cells and not number:
                continue
            sizes = self._moved(("bytes", name), {"bytes_in": counts.bytes_in, "bytes_out": counts.bytes_out})
            row, origins = _summed(cells), dict[str, int]()
            for outcome, count in row.pop("outcomes").items():
                origin = ORIGINS[outcome & 3]
                origins[origin] = origins.get(origin, 0) + count
            row |= {"route": name, "in_flight": number, "origins": origins, **sizes}
            rows.append(row)
        return rows

    def _endpoints(self) -> list[dict[str, Any]]:
        current: Snapshot | None = self._engine.holder.current
        active = {
            (upstream.name, endpoint.id): endpoint.active
            for upstream in ([] if current is None else current.upstreams.values())
            for endpoint in upstream.endpoints
            if endpoint.active
        }
        rows = []
        known: list[tuple[Any, EndpointCounts]] = self._engine.metrics.endpoints.items()
        for key, counts in known:
            cells = self._cells_of(("endpoint", key), counts)
            failures = sum(self._moved(("errors", key), counts.errors).values()) if counts.errors else 0
            if cells or failures or key in active:
                row = _summed(cells)
                del row["outcomes"]
                row |= {"upstream": key[0], "endpoint": key[1], "failures": failures, "in_flight": active.get(key, 0)}
                rows.append(row)
        return rows

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

    def _cells_of(self, key: Any, counts: RouteCounts | EndpointCounts) -> dict[int, list[float]]:
        """Return what moved in the cells of some counts, by what came of requests."""
        total, before = counts.total, self._cells.get(key)
        if total == (0 if before is None else before[0]):
            return {}
        cells = counts.cells()
        self._cells[key] = total, cells
        moved: dict[int, list[float]] = {}
        for outcome, cell in cells.items():
            old = () if before is None else before[1].get(outcome, ())
            if cell == old:
                continue
            difference = list(map(sub, cell, old)) if len(old) == len(cell) else []
            # With other buckets the cells begin at 0, and so do counts that were dropped and came back.
            moved[outcome] = difference if difference and min(difference) >= 0 else list(cell)
        return moved

    def _moved(self, kind: Any, counted: Mapping[Any, float]) -> dict[Any, float]:
        """Return by how much counters have grown since the last call; those that have not are left out."""
        moved, numbers = {}, self._numbers
        for name, number in list(counted.items()):
            before = numbers.get((kind, name), 0)
            if number != before:
                numbers[kind, name] = number
                moved[name] = number - before if number > before else number
        return moved


def _summed(cells: Mapping[int, list[float]]) -> dict[str, Any]:
    """Return the cells of all outcomes together, and the numbers by class of status and by outcome."""
    status: dict[str, int] = {}
    outcomes: dict[int, int] = {}
    buckets: list[float] = []
    seconds = 0.0
    for outcome, cell in cells.items():
        seconds += cell.pop()
        count = outcomes[outcome] = int(sum(cell))
        name = class_of(outcome >> 2)
        status[name] = status.get(name, 0) + count
        buckets = list(map(add, buckets, cell)) if buckets else cell
    return {"status": status, "buckets": buckets, "seconds": seconds, "outcomes": outcomes}
