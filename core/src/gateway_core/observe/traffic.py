"""The traffic of a second, of all processes together: what the event ``traffic`` of the admin API shows.

Each process sends what it has counted since it was asked last (`gateway_core.process.traffic_meter`), of what is in
use alone. Here the parts are added, percentiles are estimated from the buckets of histograms, and of more rows than
`MOST_ROWS` those with most errors and requests stay; the others are summed up under ``left_out``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway_core.metrics.catalogue import ORIGINS, OTHER
from gateway_core.metrics.counts import class_of

MOST_ROWS: Final = 100
"""Routes, upstreams and bindings of one event, of each at most."""
MOST_ENDPOINTS: Final = 50
"""Endpoints of one upstream in an event."""

_SHARES: Final = (0.5, 0.95, 0.99)
_CLASSES: Final = {status: class_of(status) for status in range(100, 600)}


Cells = list[list[Any]]
"""What was counted of one route or endpoint: for each outcome (the status times four, plus the origin) a list of it,
the sum of the seconds, and pairs of a bucket's index and a number."""


def percentiles(bounds: Sequence[float], counts: Mapping[int, float], shares: Sequence[float]) -> list[float | None]:
    """Estimate percentiles from a histogram, linear within a bucket; None of nothing.

    What lies above the last bound counts as the last bound, as in ``histogram_quantile`` of Prometheus.

    :param counts: by the bucket's index; the last one is for all that is above every bound.
    :param shares: in ascending order.
    """
    total = sum(counts.values())
    if not total:
        return [None] * len(shares)
    found: list[float | None] = []
    upto, ordered, index = 0.0, iter(sorted(counts.items())), 0
    low, high, before = 0.0, 0.0, 0.0
    for share in shares:
        wanted = share * total
        while upto < wanted and index < len(bounds):
            before = upto
            index, number = next(ordered)
            upto += number
            if index < len(bounds):
                low, high = bounds[index - 1] if index else 0.0, bounds[index]
        if index >= len(bounds):
            found.append(bounds[-1] if bounds else None)
        else:
            found.append(low + (high - low) * (wanted - before) / (upto - before) if upto > before else low)
    return found


@dataclass(slots=True)
class Row:
    """Requests of one kind: of a route, of an endpoint, of everything."""

    requests: int = 0
    rate: float = 0.0
    status: dict[str, int] = field(default_factory=dict)
    origins: dict[str, int] = field(default_factory=dict)
    buckets: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0
    in_flight: int = 0
    failures: int = 0

    def count(self, cells: Cells, elapsed: float, *, has_bounds: bool) -> None:
        """Add what one process has counted in so many seconds.

        :param has_bounds: whether its buckets are those of the others.
        """
        status, origins, buckets, requests = self.status, self.origins, self.buckets, 0
        for outcome, seconds, pairs in cells:
            number = 0
            for index, count in pairs:
                number += count
                if has_bounds:
                    buckets[index] = buckets.get(index, 0) + count
            requests += number
            self.seconds += seconds
            name, origin = _CLASSES.get(outcome >> 2, OTHER), ORIGINS[outcome & 3]
            status[name] = status.get(name, 0) + number
            origins[origin] = origins.get(origin, 0) + number
        self.requests += requests
        self.rate += requests / elapsed if elapsed else 0.0

    def add(self, row: Row) -> None:
        """Add another row."""
        self.requests += row.requests
        self.rate += row.rate
        _add(self.status, row.status, row.status)
        _add(self.origins, row.origins, row.origins)
        _add(self.buckets, row.buckets, row.buckets)
        self.seconds += row.seconds
        self.bytes_in += row.bytes_in
        self.bytes_out += row.bytes_out
        self.in_flight += row.in_flight
        self.failures += row.failures

    @property
    def errors(self) -> int:
        """Responses of the class 5xx, and attempts that failed."""
        return self.status.get("5xx", 0) + self.failures

    def shown(self, bounds: Sequence[float]) -> dict[str, Any]:
        """Return what is the same of every kind, ready for JSON; times are seconds, ``rate`` is requests a second."""
        p50, p95, p99 = percentiles(bounds, self.buckets, _SHARES)
        return {
            "requests": self.requests,
            "rate": round(self.rate, 2),
            "errors": self.errors,
            "status": self.status,
            "mean": _rounded(self.seconds / self.requests) if self.requests else None,
            "p50": _rounded(p50),
            "p95": _rounded(p95),
            "p99": _rounded(p99),
            "in_flight": self.in_flight,
        }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)


def traffic_of(
    parts: Iterable[tuple[int, Mapping[str, Any]]], silent: Sequence[int], at: str
) -> tuple[dict[str, Any], Callable[[str], list[dict[str, Any]]]]:
    """Return the event of a second, and what returns the row of a route, which may not be among those of the event.

    Each part has lists under ``routes`` (id, requests in flight, bytes in and out, `Cells`) and under ``endpoints``
    (upstream, id, requests in flight, failures, `Cells`); all other values have names.

    :param parts: what each worker has counted, by its number.
    :param silent: numbers of workers that did not reply in time.
    :param at: the time in ISO 8601.
    """
    replied = list(parts)
    bounds: Sequence[float] = replied[-1][1]["bounds"] if replied else ()
    everything, routes, endpoints = Row(), dict[str, Row](), dict[tuple[str, str], Row]()
    upstreams: dict[str, dict[str, int]] = {}
    bindings: dict[tuple[str, str], dict[str, float]] = {}
    reasons: dict[str, int] = {}
    for _, part in replied:
        _count(part, bounds, routes, endpoints)
        for each in part["upstreams"]:
            _add(upstreams.setdefault(each["upstream"], {}), each, ("retries", "refusals", "pending"))
        for each in part["bindings"]:
            counts = bindings.setdefault((each["plugin"], each["binding"]), {})
            _add(counts, each, ("calls", "errors", "timeouts", "timed_calls", "seconds"))
        _add(reasons, part["reasons"], part["reasons"])
    for row in routes.values():
        everything.add(row)
    everything.in_flight = sum(part["in_flight"] for _, part in replied)
    shown: dict[str, Any] = {"left_out": {}}
    shown["routes"] = _most(
        routes.items(), _size_of_row, lambda key, row: _route(key, row, bounds), "routes", shown["left_out"]
    )
    shown["upstreams"] = _upstreams(endpoints, upstreams, bounds, shown["left_out"])
    shown["plugins"] = _most(bindings.items(), _size_of_binding, _binding, "plugins", shown["left_out"])
    event = {
        "at": at,
        "workers": [number for number, _ in replied],
        "silent_workers": list(silent),
        "seconds": round(max((part["elapsed"] for _, part in replied), default=0.0), 3),
        "gateway": {
            **everything.shown(bounds),
            "origins": everything.origins,
            "bytes_in": everything.bytes_in,
            "bytes_out": everything.bytes_out,
            "connections": sum(part["connections"] for _, part in replied),
            "reasons": reasons,
            "bounds": list(bounds),
            "buckets": [
                everything.buckets.get(index, 0) for index in range(len(bounds) + 1 if everything.buckets else 0)
            ],
        },
        **shown,
    }
    return event, lambda name: [_route(name, routes[name], bounds)] if name in routes else []


def _count(
    part: Mapping[str, Any], bounds: Sequence[float], routes: dict[str, Row], endpoints: dict[tuple[str, str], Row]
) -> None:
    elapsed, has_bounds = part["elapsed"], list(part["bounds"]) == list(bounds)
    for name, in_flight, bytes_in, bytes_out, cells in part["routes"]:
        row = routes.get(name) or routes.setdefault(name, Row())
        row.count(cells, elapsed, has_bounds=has_bounds)
        row.in_flight += in_flight
        row.bytes_in += bytes_in
        row.bytes_out += bytes_out
    for upstream, endpoint, in_flight, failures, cells in part["endpoints"]:
        row = endpoints.get((upstream, endpoint)) or endpoints.setdefault((upstream, endpoint), Row())
        row.count(cells, elapsed, has_bounds=has_bounds)
        row.in_flight += in_flight
        row.failures += failures


def _add(row: dict[Any, Any], part: Mapping[Any, Any], names: Iterable[Any]) -> None:
    for name in names:
        row[name] = row.get(name, 0) + part[name]


def _most(
    rows: Iterable[tuple[Any, Any]],
    size: Callable[[Any], tuple[float, float]],
    show: Callable[[Any, Any], dict[str, Any]],
    name: str,
    left_out: dict[str, Any],
) -> list[dict[str, Any]]:
    """Return the rows that are shown, those with most errors and requests first; sum up the others.

    :param size: returns errors and requests of a row.
    """
    sizes = sorted((*(-number for number in size(row)), key, row) for key, row in rows)
    if others := sizes[MOST_ROWS:]:
        errors, requests = -sum(each[0] for each in others), -sum(each[1] for each in others)
        left_out[name] = {"count": len(others), "requests": requests, "errors": errors}
    return [show(key, row) for _, _, key, row in sizes[:MOST_ROWS]]


def _size_of_row(row: Row) -> tuple[float, float]:
    return row.errors, row.requests


def _route(key: str, row: Row, bounds: Sequence[float]) -> dict[str, Any]:
    more = {"origins": row.origins, "bytes_in": row.bytes_in, "bytes_out": row.bytes_out}
    return {"route": key or None, **row.shown(bounds), **more}


def _upstreams(
    endpoints: Mapping[tuple[str, str], Row],
    upstreams: Mapping[str, Mapping[str, int]],
    bounds: Sequence[float],
    left_out: dict[str, Any],
) -> list[dict[str, Any]]:
    members: dict[str, list[tuple[str, Row]]] = {name: [] for name in upstreams}
    for (upstream, endpoint), row in endpoints.items():
        members.setdefault(upstream, []).append((endpoint, row))
    totals: dict[str, Row] = {}
    for name, rows in members.items():
        total = totals[name] = Row()
        for _, row in rows:
            total.add(row)

    def show(name: str, total: Row) -> dict[str, Any]:
        counts = {each: upstreams.get(name, {}).get(each, 0) for each in ("retries", "refusals", "pending")}
        rows = sorted(members[name], key=lambda each: (-each[1].errors, -each[1].requests, each[0]))
        own = [{"endpoint": key, **row.shown(bounds), "failures": row.failures} for key, row in rows[:MOST_ENDPOINTS]]
        more = {"endpoints": own, "endpoints_left_out": max(0, len(rows) - MOST_ENDPOINTS)}
        return {"upstream": name, **total.shown(bounds), "failures": total.failures, **counts, **more}

    return _most(totals.items(), _size_of_row, show, "upstreams", left_out)


def _size_of_binding(row: Mapping[str, float]) -> tuple[float, float]:
    return row["errors"] + row["timeouts"], row["calls"]


def _binding(key: tuple[str, str], row: Mapping[str, float]) -> dict[str, Any]:
    mean = row["seconds"] / row["timed_calls"] if row["timed_calls"] else None
    counts = {name: int(row[name]) for name in ("calls", "errors", "timeouts")}
    return {"plugin": key[0], "binding": key[1], **counts, "mean": _rounded(mean)}
