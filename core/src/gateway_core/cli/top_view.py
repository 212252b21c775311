"""What ``gateway top`` shows: rates and times between two readings of the metrics, and how they are laid out. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from prometheus_client.parser import text_string_to_metric_families

from gateway_core.cli.layout import printable, shortened
from gateway_core.observe.traffic import percentiles

Sort = Literal["rate", "errors", "time", "name"]

_LABELS: Final[Mapping[str, tuple[str, ...]]] = {
    "route": ("route",),
    "upstream": ("upstream", "endpoint"),
    "plugin": ("plugin", "binding"),
}
"""What names a row of each kind."""
_COUNTED: Final[Mapping[str, tuple[str, str]]] = {
    "gateway_requests_total": ("route", "requests"),
    "gateway_upstream_requests_total": ("upstream", "requests"),
    "gateway_upstream_errors_total": ("upstream", "failures"),
    "gateway_plugin_calls_total": ("plugin", "requests"),
    "gateway_plugin_errors_total": ("plugin", "failures"),
    "gateway_plugin_timeouts_total": ("plugin", "failures"),
}
"""Counters by name: of which kind of row, and what they count."""
_TIMED: Final[Mapping[str, str]] = {
    "gateway_request_duration_seconds_bucket": "route",
    "gateway_upstream_duration_seconds_bucket": "upstream",
    "gateway_plugin_seconds_bucket": "plugin",
}
_ACTIVE: Final = "gateway_upstream_requests_in_flight"
_TOTALS: Final[Mapping[str, str]] = {
    "gateway_requests_in_flight": "in_flight",
    "gateway_client_connections": "connections",
    "gateway_workers": "workers",
}

Key = tuple[str, tuple[str, ...]]
"""A kind of row, and its name."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The metrics at one moment, of all workers."""

    at: float
    """Seconds of a monotonic clock."""
    counts: Mapping[Key, Mapping[str, float]]
    """``requests``, ``errors`` and ``failures`` so far, and ``active`` ones."""
    buckets: Mapping[Key, Mapping[float, float]]
    """Requests so far that took no longer than so many seconds."""
    totals: Mapping[str, float]


def reading_of(text: str, at: float) -> Reading:
    """Return what an exposition in the text format of Prometheus says."""
    counts: dict[Key, dict[str, float]] = {}
    buckets: dict[Key, dict[float, float]] = {}
    totals: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name, labels, value = sample.name, sample.labels, sample.value
            if name in _COUNTED:
                kind, what = _COUNTED[name]
                row = counts.setdefault(_key(kind, labels), {})
                row[what] = row.get(what, 0) + value
                if what == "requests" and labels.get("status", "").startswith("5"):
                    row["errors"] = row.get("errors", 0) + value
            elif name in _TIMED:
                times = buckets.setdefault(_key(_TIMED[name], labels), {})
                times[float(labels["le"])] = times.get(float(labels["le"]), 0) + value
            elif name == _ACTIVE:
                counts.setdefault(_key("upstream", labels), {})["active"] = value
            elif name in _TOTALS:
                totals[_TOTALS[name]] = value
    return Reading(at, counts, buckets, totals)


def _key(kind: str, labels: Mapping[str, str]) -> Key:
    return kind, tuple(labels[name] for name in _LABELS[kind])


def traffic_between(before: Reading, after: Reading) -> dict[str, Any]:
    """Return rates and times of everything between two readings, ready for JSON; times are seconds, rates per second.

    A worker that has ended takes its part of gauges with it, and counters of another program begin at nothing: what
    would be negative is zero.
    """
    elapsed = max(after.at - before.at, 1e-6)
    found: dict[str, Any] = {"seconds": round(elapsed, 3), **after.totals}
    rows: dict[str, list[dict[str, Any]]] = {"route": [], "upstream": [], "plugin": []}
    for (kind, names), counts in after.counts.items():
        earlier = before.counts.get((kind, names), {})
        moved = {what: max(0.0, value - earlier.get(what, 0)) for what, value in counts.items()}
        rate, wrong = moved.get("requests", 0), moved.get("errors", 0) + moved.get("failures", 0)
        row: dict[str, Any] = dict(zip(_LABELS[kind], names, strict=True))
        row |= {"rate": round(rate / elapsed, 2), "errors": round(wrong / elapsed, 2)}
        row |= _times(before.buckets.get((kind, names), {}), after.buckets.get((kind, names), {}))
        if kind == "upstream":
            row["in_flight"] = int(counts.get("active", 0))
        rows[kind].append(row)
    for name in ("rate", "errors"):
        found[name] = round(sum(row[name] for row in rows["route"]), 2)
    return {**found, "routes": rows["route"], "upstreams": rows["upstream"], "plugins": rows["plugin"]}


def _times(before: Mapping[float, float], after: Mapping[float, float]) -> dict[str, float | None]:
    bounds = sorted(after)
    upto = [max(0.0, after[bound] - before.get(bound, 0)) for bound in bounds]
    counts = [max(0.0, now - earlier) for now, earlier in zip(upto, [0.0, *upto], strict=False)]
    found = percentiles(bounds[:-1], dict(enumerate(counts)), (0.5, 0.95, 0.99))
    return dict(zip(("p50", "p95", "p99"), found, strict=True))


def sorted_rows(rows: Sequence[Mapping[str, Any]], sort: Sort) -> list[Mapping[str, Any]]:
    """Return rows in an order: the largest first, or by their names."""

    def key(row: Mapping[str, Any]) -> tuple[Any, ...]:
        name = tuple(
            str(row[label]) for label in ("route", "upstream", "endpoint", "plugin", "binding") if label in row
        )
        size = {"rate": row["rate"], "errors": row["errors"], "time": row["p95"] or 0.0, "name": 0}[sort]
        return -size, name

    return sorted(rows, key=key)


_NAME: Final = 34
_CELL: Final = 9
WIDTH: Final = _NAME + 5 * _CELL
"""Columns of a table: 79, so that no line is broken on a terminal of 80."""


def screen(found: Mapping[str, Any], states: Mapping[tuple[str, str], str], title: str, sort: Sort) -> Iterator[str]:
    """Yield what people read.

    :param states: of each upstream's endpoint.
    """
    yield shortened(printable(title), WIDTH)
    numbers = f"{found['rate']:g} requests/s, {found['errors']:g} errors/s, {int(found.get('in_flight', 0))} in flight"
    yield f"{numbers}, {int(found.get('connections', 0))} connections"
    yield ""
    yield _line("ROUTE", "REQ/S", "ERR/S", "P50", "P95", "P99")
    for row in sorted_rows(found["routes"], sort):
        yield _line(row["route"] or "(no route)", _rate(row["rate"]), _rate(row["errors"]), *_percentiles(row))
    yield ""
    yield _line("UPSTREAM ENDPOINT", "REQ/S", "ERR/S", "ACTIVE", "P95", "STATE")
    for row in sorted_rows(found["upstreams"], sort):
        state = states.get((row["upstream"], row["endpoint"]), "gone").partition(" (")[0]
        cells = (_rate(row["rate"]), _rate(row["errors"]), str(row["in_flight"]), _time(row["p95"]))
        yield _line(f"{row['upstream']} {row['endpoint']}", *cells, state)
    yield ""
    yield _line("PLUGIN BINDING", "CALLS/S", "ERR/S", "P50", "P95", "P99")
    for row in sorted_rows(found["plugins"], sort):
        name = row["plugin"] if row["plugin"] == row["binding"] else f"{row['plugin']} {row['binding']}"
        yield _line(name, _rate(row["rate"]), _rate(row["errors"]), *_percentiles(row))


def _line(name: str, *cells: str) -> str:
    plain = "".join(each if each.isprintable() else "?" for each in name)
    fields = (f" {shortened(cell, _CELL - 1):>{_CELL - 1}}" for cell in cells)
    return f"{shortened(plain, _NAME):<{_NAME}}{''.join(fields)}"


def _percentiles(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return _time(row["p50"]), _time(row["p95"]), _time(row["p99"])


def _rate(number: float) -> str:
    return f"{number:.0f}" if number >= 100 else f"{number:.1f}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


def fitted(lines: Sequence[str], height: int) -> list[str]:
    """Return lines that a terminal has room for; each table loses its last rows, the longest one first."""
    tables: list[list[str]] = [[]]
    for line in lines:
        if line:
            tables[-1].append(line)
        else:
            tables.append([])
    cut = [0] * len(tables)
    while sum(map(len, tables)) + sum(1 for each in cut if each) + len(tables) - 1 > height:
        longest = max(range(1, len(tables)), key=lambda index: len(tables[index]))
        if len(tables[longest]) <= 1:
            break
        tables[longest].pop()
        cut[longest] += 1
    shown: list[str] = []
    for table, left_out in zip(tables, cut, strict=True):
        shown += [*([""] if shown else []), *table, *([f"... and {left_out} more"] if left_out else [])]
    return shown[:height]
