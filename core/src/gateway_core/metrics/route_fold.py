"""Have routes, or upstreams, beyond the limit share the series that families have for each of them."""

from __future__ import annotations

from collections.abc import Collection, Hashable

from gateway_core.metrics.catalogue import OTHER
from gateway_core.metrics.endpoint_fold import EndpointFold
from gateway_core.metrics.samples import Distribution, Labels, Samples, Series, Value


def fold_routes(samples: Samples, others: Collection[Hashable], fold: EndpointFold, label: str = "route") -> None:
    """Replace samples of some routes by those of the route `OTHER`.

    :param others: ids of routes, or whatever has the label.
    :param fold: what has been done to the counters before; of gauges every value is one of now.
    """
    with_routes = [each for each in samples if label in each.family.labels]
    moved = Samples()
    for series in with_routes:
        place = series.family.labels.index(label)
        rows = [(_to_front(labels, place), value) for labels, value in series.values.items()]
        if series.family.kind in {"counter", "histogram"}:
            moved.put(series.family, rows, series.bounds)
        else:
            series.values = {_back(labels, place): value for labels, value in _together(series, rows, others).items()}
    known = {(labels[0], labels[1]) for series in moved for labels in series.values}
    fold.fold(moved, frozenset(each for each in known if each[1] not in others), known, known)
    for series in moved:
        place = series.family.labels.index(label)
        rows = [(_back(labels, place), value) for labels, value in series.values.items()]
        samples.series[series.family.name] = Series(series.family, dict(rows), series.bounds)


def _to_front(labels: Labels, place: int) -> Labels:
    return ("", labels[place], *labels[:place], *labels[place + 1 :])


def _back(labels: Labels, place: int) -> Labels:
    _, route, *rest = labels
    return (*rest[:place], route, *rest[place:])


def _together(series: Series, rows: list[tuple[Labels, Value]], others: Collection[Hashable]) -> dict[Labels, Value]:
    found: dict[Labels, Value] = {}
    for labels, value in rows:
        key = ("", OTHER, *labels[2:]) if labels[1] in others else labels
        known = found.get(key)
        if known is None or isinstance(known, Distribution) or isinstance(value, Distribution):
            found[key] = value
        else:
            merged = {"max": max, "min": min}.get(series.family.merge)
            found[key] = known + value if merged is None else merged(known, value)
    return found
