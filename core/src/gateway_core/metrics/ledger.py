"""The counts of all processes, those that are gone included: no counter goes back, and none counts twice.

How it works: each process reports all that it has counted since it began, so a report replaces the one before it. When
a process ends, its last report moves to what is *lost*, once. The total of a counter is what is lost and the last
report of each process, whether it responded to this scrape or not. A gauge says how things are now: only processes
that have responded take part, each family by its own rule (`Family.merge`).

**What is removed leaves.** A family with a `route`, `binding`, `upstream` or `endpoint` label shows only those that
are in force (`InForce`). The counts of others stay with the processes that know them (`gateway_core.metrics.counts`)
and here, hidden, so that what comes back goes on where it was. What is lost is dropped once every process has reported
and none of them knows it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

from gateway_core.metrics.catalogue import ENDPOINT_HEALTHY, OTHER, UPSTREAM_PENDING
from gateway_core.metrics.samples import Distribution, Family, Labels, Samples, Series, Value

_ADDED: Final = frozenset({"counter", "histogram"})


def merge(parts: Iterable[Samples]) -> Samples:
    """Return several samples as one; of those that differ in kind, labels or buckets the latest with values counts."""
    merged = Samples()
    for part in parts:
        for series in part:
            _add(merged, series)
    return merged


def _add(merged: Samples, series: Series) -> None:
    family, before = series.family, merged.series.get(series.family.name)
    if before is not None and not series.values:  # of a plugin's metric without values, not even the labels are known
        return
    is_alike = before is not None and (before.family.kind, before.family.labels, before.bounds) == (
        family.kind,
        family.labels,
        series.bounds,
    )
    if before is None or not before.values or not is_alike:
        merged.series[family.name] = Series(family, dict(series.values), series.bounds)
        return
    before.family = family
    values = before.values
    for labels, value in series.values.items():
        known = values.get(labels)
        values[labels] = value if known is None else _together(series, known, value)


def _together(series: Series, known: Value, value: Value) -> Value:
    if isinstance(value, Distribution):
        return known.plus(value) if isinstance(known, Distribution) else value
    if isinstance(known, Distribution):
        return value
    rule = "sum" if series.family.kind in _ADDED else series.family.merge
    match rule:
        case "sum":
            return known + value
        case "max":
            return max(known, value)
        case "min":
            return min(known, value)
        case _:
            return value


def counters(samples: Samples) -> Samples:
    """Return what stays true of a process that is gone: counters and histograms."""
    found = Samples()
    found.series = {name: each for name, each in samples.series.items() if each.family.kind in _ADDED}
    return found


@dataclass(frozen=True, slots=True)
class InForce:
    """Which values of labels belong to the configuration in force; of those that are None everything does."""

    routes: Collection[str] | None = None
    bindings: Collection[str] | None = None
    upstreams: Collection[str] | None = None
    endpoints: Collection[tuple[str, str]] | None = None
    """Names of upstreams with ids of endpoints."""

    def with_targets(self, reports: Collection[Samples]) -> InForce:
        """Return it with the upstreams and endpoints that processes report, which a gauge of each lists."""
        if not any(UPSTREAM_PENDING.name in each.series for each in reports):
            return self
        endpoints = {(labels[0], labels[1]) for each in reports for labels in _labels_in(each, ENDPOINT_HEALTHY.name)}
        upstreams = {labels[0] for each in reports for labels in _labels_in(each, UPSTREAM_PENDING.name)}
        return InForce(self.routes, self.bindings, upstreams, endpoints)

    def test_of(self, family: Family) -> Callable[[Labels], bool] | None:
        """Return what decides whether samples of a family are shown; None if all are."""
        names = family.labels
        if "upstream" in names and "endpoint" in names and self.endpoints is not None:
            known, upstream, endpoint = self.endpoints, names.index("upstream"), names.index("endpoint")
            return lambda labels: labels[endpoint] == OTHER or (labels[upstream], labels[endpoint]) in known
        scopes = (("route", self.routes), ("binding", self.bindings), ("upstream", self.upstreams))
        tests = [(names.index(name), values) for name, values in scopes if name in names and values is not None]
        if not tests:
            return None
        return lambda labels: all(labels[index] in {"", OTHER} or labels[index] in values for index, values in tests)


def _labels_in(samples: Samples, name: str) -> Iterable[Labels]:
    series = samples.series.get(name)
    return () if series is None else series.values


class Ledger:
    """The reports of processes, by any keys that are never used twice."""

    def __init__(self, lost: Samples | None = None) -> None:
        """Begin without processes.

        :param lost: the counts of processes that ended before.
        """
        self._lost = Samples() if lost is None else counters(lost)
        self._reports: dict[Hashable, Samples] = {}

    def open(self, process: Hashable, samples: Samples | None = None) -> None:
        """Expect reports of a process.

        :param samples: what it has reported to a ledger before this one.
        """
        self._reports[process] = Samples() if samples is None else samples

    def report(self, process: Hashable, samples: Samples) -> None:
        """Take what a process has counted since it began; one that has ended is not heard any more."""
        if process in self._reports:
            self._reports[process] = samples

    def end(self, process: Hashable) -> None:
        """Keep the counts of a process that is gone; nothing happens the second time."""
        last = self._reports.pop(process, None)
        if last is not None:
            self._lost = merge([self._lost, counters(last)])

    def last_report(self, process: Hashable) -> Samples:
        """Return what a process has reported last, for who takes it over."""
        return self._reports.get(process, Samples())

    def lasting(self, but: Collection[Hashable] = ()) -> Samples:
        """Return the counts of all processes, for who takes over.

        :param but: processes that go on, and report to the successor themselves.
        """
        return merge([self._lost, *(counters(each) for key, each in self._reports.items() if key not in but)])

    def total(self, fresh: Collection[Hashable], in_force: InForce | None = None) -> Samples:
        """Return all counts, and the gauges of processes that have just reported.

        :param fresh: those processes.
        """
        return self.summing(fresh, in_force)()

    def summing(self, fresh: Collection[Hashable], in_force: InForce | None = None) -> Callable[[], Samples]:
        """Return a function that does what `total` does, with the reports of this moment, in any thread."""
        reports = self._reports
        responded = [each for key, each in reports.items() if key in fresh]
        shown = (in_force or InForce()).with_targets(responded)
        if responded and len(responded) == len(reports):
            self._drop_unknown(shown)
        parts = [self._lost, *(each if key in fresh else counters(each) for key, each in reports.items())]
        return partial(_sum, parts, shown)

    def _drop_unknown(self, in_force: InForce) -> None:
        """Drop what is lost of routes and endpoints that are not in force and that no process knows."""
        for name, series in self._lost.series.items():
            if (is_shown := in_force.test_of(series.family)) is not None:
                known = {labels for each in self._reports.values() for labels in _labels_in(each, name)}
                kept = series.values.items()
                series.values = {labels: value for labels, value in kept if labels in known or is_shown(labels)}


def _sum(parts: Iterable[Samples], in_force: InForce) -> Samples:
    merged = merge(parts)
    for series in merged:
        if (is_shown := in_force.test_of(series.family)) is not None:
            series.values = {labels: value for labels, value in series.values.items() if is_shown(labels)}
    return merged
