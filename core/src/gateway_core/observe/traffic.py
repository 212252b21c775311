"""The traffic of a second, of all processes together: what the event ``traffic`` of the admin API shows.

Each process sends what it has counted since it was asked last (`gateway_core.process.traffic_meter`), of what is in
use alone. Here the parts are added, percentiles are estimated from the buckets of histograms, and of more rows than
`MOST_ROWS` those with most errors and requests stay; the others are summed up under ``left_out``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final

MOST_ROWS: Final = 100
"""Routes, upstreams and bindings of one event, of each at most."""
MOST_ENDPOINTS: Final = 50
"""Endpoints of one upstream in an event."""

_QUANTILES: Final = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))


def percentile(bounds: Sequence[float], counts: Sequence[float], share: float) -> float | None:
    """Estimate a percentile from a histogram, linear within a bucket; None of nothing.

    What lies above the last bound counts as the last bound, as in ``histogram_quantile`` of Prometheus.

    :param counts: in each bucket; the last one is for all that is above every bound.
    """
    total = sum(counts)
    if not total:
        return None
    wanted, before = share * total, 0.0
    for index, upto in enumerate(accumulate(counts)):
        if upto >= wanted:
            if index >= len(bounds):
                break
            low = bounds[index - 1] if index else 0.0
            return low + (bounds[index] - low) * (wanted - before) / (upto - before)
        before = upto
    return bounds[-1] if bounds else None


@dataclass(slots=True)
class Row:
    """Requests of one kind: of a route, of an endpoint, of everything."""

    requests: int = 0
    rate: float = 0.0
    status: dict[str, int] = field(default_factory=dict)
    origins: dict[str, int] = field(default_factory=dict)
    buckets: list[float] = field(default_factory=list)
    seconds: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0
    in_flight: int = 0
    failures: int = 0

    def add(self, part: Mapping[str, Any], elapsed: float, size: int) -> None:
        """Add what one process has counted in so many seconds, in so many buckets."""
        requests = sum(part["status"].values())
        self.requests += requests
        self.rate += requests / elapsed if elapsed else 0.0
        for mine, theirs in ((self.status, part["status"]), (self.origins, part.get("origins", {}))):
            for name, number in theirs.items():
                mine[name] = mine.get(name, 0) + number
        if len(part["buckets"]) == size:
            self.buckets = [a + b for a, b in zip(self.buckets or [0] * size, part["buckets"], strict=True)]
        self.seconds += part["seconds"]
        self.bytes_in += part.get("bytes_in", 0)
        self.bytes_out += part.get("bytes_out", 0)
        self.in_flight += part["in_flight"]
        self.failures += part.get("failures", 0)

    @property
    def errors(self) -> int:
        """Responses of the class 5xx, and attempts that failed."""
        return self.status.get("5xx", 0) + self.failures

    def shown(self, bounds: Sequence[float]) -> dict[str, Any]:
        """Return what is the same of every kind, ready for JSON; times are seconds, ``rate`` is requests a second."""
        times = {name: _rounded(percentile(bounds, self.buckets, share)) for name, share in _QUANTILES}
        return {
            "requests": self.requests,
            "rate": round(self.rate, 2),
            "errors": self.errors,
            "status": self.status,
            "mean": _rounded(self.seconds / self.requests) if self.requests else None,
            **times,
            "in_flight": self.in_flight,
        }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)


def traffic_of(
    parts: Iterable[tuple[int, Mapping[str, Any]]], silent: Sequence[int], at: str
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the event of a second, and the rows of all routes, of which the event has the first ones.

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
        elapsed, size = part["elapsed"], len(bounds) + 1
        for each in part["routes"]:
            routes.setdefault(each["route"], Row()).add(each, elapsed, size)
            everything.add({**each, "in_flight": 0}, elapsed, size)
        everything.in_flight += part["in_flight"]
        for each in part["endpoints"]:
            endpoints.setdefault((each["upstream"], each["endpoint"]), Row()).add(each, elapsed, size)
        for each in part["upstreams"]:
            _add(upstreams.setdefault(each["upstream"], {}), each, ("retries", "refusals", "pending"))
        for each in part["bindings"]:
            row = bindings.setdefault((each["plugin"], each["binding"]), {})
            _add(row, each, ("calls", "errors", "timeouts", "timed_calls", "seconds"))
        _add(reasons, part["reasons"], part["reasons"])
    shown: dict[str, Any] = {"left_out": {}}
    ordered = _ordered(routes.items(), _size_of_row)
    every_route = [_route(key, row, bounds) for key, row in ordered]
    shown["routes"] = every_route[:MOST_ROWS]
    _leave_out([_size_of_row(row) for _, row in ordered[MOST_ROWS:]], "routes", shown)
    shown["upstreams"] = _upstreams(endpoints, upstreams, bounds, shown)
    shown["plugins"] = _most(bindings.items(), _size_of_binding, _binding, "plugins", shown)
    event = {
        "at": at,
        "workers": [number for number, _ in replied],
        "silent_workers": list(silent),
        "gateway": {
            **everything.shown(bounds),
            "origins": everything.origins,
            "bytes_in": everything.bytes_in,
            "bytes_out": everything.bytes_out,
            "connections": sum(part["connections"] for _, part in replied),
            "reasons": reasons,
            "bounds": list(bounds),
            "buckets": everything.buckets,
        },
        **shown,
    }
    return event, every_route


def _add(row: dict[str, Any], part: Mapping[str, Any], names: Iterable[str]) -> None:
    for name in names:
        row[name] = row.get(name, 0) + part[name]


def _most(
    rows: Iterable[tuple[Any, Any]],
    size: Callable[[Any], tuple[float, float]],
    show: Callable[[Any, Any], dict[str, Any]],
    name: str,
    shown: dict[str, Any],
) -> list[dict[str, Any]]:
    """Return the rows that are shown; sum up the others.

    :param size: returns errors and requests of a row.
    """
    ordered = _ordered(rows, size)
    _leave_out([size(row) for _, row in ordered[MOST_ROWS:]], name, shown)
    return [show(key, row) for key, row in ordered[:MOST_ROWS]]


def _ordered(rows: Iterable[tuple[Any, Any]], size: Callable[[Any], tuple[float, float]]) -> list[tuple[Any, Any]]:
    """Return rows by their keys, those with most errors and requests first."""
    return sorted(rows, key=lambda each: (*(-number for number in size(each[1])), each[0]))


def _leave_out(sizes: Sequence[tuple[float, float]], name: str, shown: dict[str, Any]) -> None:
    if sizes:
        errors, requests = (sum(numbers) for numbers in zip(*sizes, strict=True))
        shown["left_out"][name] = {"count": len(sizes), "requests": requests, "errors": errors}


def _size_of_row(row: Row) -> tuple[float, float]:
    return row.errors, row.requests


def _route(key: str, row: Row, bounds: Sequence[float]) -> dict[str, Any]:
    more = {"origins": row.origins, "bytes_in": row.bytes_in, "bytes_out": row.bytes_out}
    return {"route": key or None, **row.shown(bounds), **more}


def _upstreams(
    endpoints: Mapping[tuple[str, str], Row],
    upstreams: Mapping[str, Mapping[str, int]],
    bounds: Sequence[float],
    shown: dict[str, Any],
) -> list[dict[str, Any]]:
    members: dict[str, list[tuple[str, Row]]] = {name: [] for name in upstreams}
    for (upstream, endpoint), row in endpoints.items():
        members.setdefault(upstream, []).append((endpoint, row))
    totals: dict[str, Row] = {}
    for name, rows in members.items():
        total = totals[name] = Row()
        for _, row in rows:
            part = {slot: getattr(row, slot) for slot in ("status", "buckets", "seconds", "in_flight", "failures")}
            total.add(part, 0.0, len(bounds) + 1)
            total.rate += row.rate

    def show(name: str, total: Row) -> dict[str, Any]:
        counts = {each: upstreams.get(name, {}).get(each, 0) for each in ("retries", "refusals", "pending")}
        rows = sorted(members[name], key=lambda each: (-each[1].errors, -each[1].requests, each[0]))
        own = [{"endpoint": key, **row.shown(bounds), "failures": row.failures} for key, row in rows[:MOST_ENDPOINTS]]
        more = {"endpoints": own, "endpoints_left_out": max(0, len(rows) - MOST_ENDPOINTS)}
        return {"upstream": name, **total.shown(bounds), "failures": total.failures, **counts, **more}

    return _most(totals.items(), _size_of_row, show, "upstreams", shown)


def _size_of_binding(row: Mapping[str, float]) -> tuple[float, float]:
    return row["errors"] + row["timeouts"], row["calls"]


def _binding(key: tuple[str, str], row: Mapping[str, float]) -> dict[str, Any]:
    mean = row["seconds"] / row["timed_calls"] if row["timed_calls"] else None
    counts = {name: int(row[name]) for name in ("calls", "errors", "timeouts")}
    return {"plugin": key[0], "binding": key[1], **counts, "mean": _rounded(mean)}
