"""Families of metrics and the samples of one process, as plain data.

A histogram's buckets are counted each for itself, not cumulated; `gateway_core.metrics.render` adds them up.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram", "info"]
Merge = Literal["sum", "max", "min", "latest"]
Labels = tuple[str, ...]
"""The values of a family's labels, in the order of their names."""


@dataclass(frozen=True, slots=True)
class Family:
    """A metric: its samples differ by their labels."""

    name: str
    """Without the suffixes that formats add, such as ``_total``."""
    kind: Kind
    help: str
    """One sentence without a full stop."""
    labels: tuple[str, ...] = ()
    merge: Merge = "sum"
    """How values of several processes become one; counters and histograms are always added."""

    @property
    def unit(self) -> str:
        """The unit that ends the name; empty if it has none."""
        return next((unit for unit in ("seconds", "bytes") if self.name.endswith(f"_{unit}")), "")


class Exemplar(NamedTuple):
    """A value with the trace that it was measured in (OpenMetrics 1.0, "Exemplars")."""

    trace_id: str
    value: float
    at: float
    """Seconds since the Unix epoch."""


@dataclass(slots=True)
class Distribution:
    """A histogram's value for one set of labels."""

    counts: list[int]
    """In each bucket; the last one is for all that is above every bound."""
    sum: float = 0.0
    exemplars: Mapping[int, Exemplar] | None = None
    """By bucket, the trace of one of its values."""

    def plus(self, other: Distribution) -> Distribution:
        """Return both together; of exemplars the latest stay."""
        counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        exemplars = self.exemplars or other.exemplars
        if self.exemplars and other.exemplars:
            exemplars = dict(self.exemplars)
            for bucket, each in other.exemplars.items():
                known = exemplars.get(bucket)
                exemplars[bucket] = each if known is None or each.at > known.at else known
        return Distribution(counts, self.sum + other.sum, exemplars)


Value = float | Distribution


@dataclass(slots=True)
class Series:
    """The samples of one family."""

    family: Family
    values: dict[Labels, Value] = field(default_factory=dict)
    bounds: tuple[float, ...] = ()
    """Upper bounds of a histogram's buckets, ascending, without the infinite one."""


class Samples:
    """What one process has counted, or several together: series by the name of their family."""

    __slots__ = ("series",)

    def __init__(self) -> None:
        self.series: dict[str, Series] = {}

    def __iter__(self) -> Iterator[Series]:
        return iter(self.series.values())

    def put(self, family: Family, rows: Iterable[tuple[Labels, Value]], bounds: Sequence[float] = ()) -> None:
        """Add samples of a family; later ones replace earlier ones with the same labels."""
        series = self.series.get(family.name)
        if series is None:
            series = self.series[family.name] = Series(family, bounds=tuple(bounds))
        series.values.update(rows)

    def default(self, family: Family, labels: Iterable[Labels]) -> None:
        """Add 0 for those labels of a counter that have no sample."""
        self.put(family, ())
        values = self.series[family.name].values
        for each in labels:
            values.setdefault(each, 0)

    def one(self, family: Family, value: float, *labels: str) -> None:
        """Add one sample."""
        self.put(family, [(labels, value)])

    def value(self, name: str, *labels: str) -> Value | None:
        """Return one sample; None if there is no such."""
        series = self.series.get(name)
        return None if series is None else series.values.get(labels)

    # -- on a channel

    def dump(self) -> bytes:
        """Return them as JSON, for `load`."""
        return json.dumps(
            [
                [
                    [f.name, f.kind, f.help, f.labels, f.merge],
                    each.bounds,
                    [[key, _plain(value)] for key, value in each.values.items()],
                ]
                for each in self
                for f in (each.family,)
            ],
            separators=(",", ":"),
        ).encode()

    @classmethod
    def load(cls, data: bytes) -> Samples:
        """Return what `dump` wrote.

        :raises ValueError: it is nothing that `dump` writes.
        """
        found = cls()
        try:
            for (name, kind, text, labels, merge), bounds, rows in json.loads(data):
                family = Family(name, kind, text, tuple(labels), merge)
                values = {tuple(key): _value(plain) for key, plain in rows}
                found.series[name] = Series(family, values, tuple(bounds))
        except (TypeError, KeyError, IndexError, ValueError) as error:
            raise ValueError(f"not samples: {error!r}") from error
        return found


def _plain(value: Value) -> Any:
    if not isinstance(value, Distribution):
        return value
    return [value.counts, value.sum, list((value.exemplars or {}).items())]


def _value(plain: Any) -> Value:
    if not isinstance(plain, list):
        number: float = plain
        return number
    # A program before this one, which hands its counts over, may have had no exemplars.
    exemplars = {bucket: Exemplar(*each) for bucket, each in (plain[2] if len(plain) > 2 else ())}
    return Distribution(plain[0], plain[1], exemplars or None)
