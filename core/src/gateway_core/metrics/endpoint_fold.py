"""Bound the series of endpoints: some have their own, the others of an upstream share one, those of others all.

How it works: each endpoint counts for itself. Which ones are shown so is decided by what is in use alone, in the order
of upstream and id, so it is the same in every worker, whenever and in whatever order each one came to know them. What
an endpoint counts while it is one of the others is added to what they share, and stays there when it gets series of its
own, as an endpoint comes or goes; what it has counted before stays with it. So no counter goes back, and none counts
twice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from gateway_core.metrics.catalogue import OTHER
from gateway_core.metrics.samples import Distribution, Labels, Samples, Value

Key = tuple[str, str]
"""An upstream's name and an endpoint's id."""


@dataclass(frozen=True, slots=True)
class Named:
    """The endpoints and upstreams that have series of their own."""

    endpoints: frozenset[Key] = frozenset()
    upstreams: frozenset[str] = frozenset()

    @classmethod
    def of(cls, endpoints: Collection[Key], upstreams: Collection[str], most: int) -> Named:
        """Return the first ones of those that are in use."""
        names = frozenset(upstreams if len(upstreams) <= most else sorted(upstreams)[:most])
        return cls(named_of([each for each in endpoints if each[0] in names], most), names)

    def upstream(self, name: str) -> str:
        """Return the label of an upstream."""
        return name if name in self.upstreams else OTHER

    def endpoint(self, upstream: str, endpoint: str) -> Key:
        """Return the labels of an endpoint."""
        return self.upstream(upstream), endpoint if (upstream, endpoint) in self.endpoints else OTHER


def named_of(in_use: Collection[Key], most: int) -> frozenset[Key]:
    """Return the endpoints that have series of their own."""
    return frozenset(in_use if len(in_use) <= most else sorted(in_use)[:most])


class EndpointFold:
    """What endpoints share, and what each of them has added to it. Families begin with the labels of an endpoint."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._upstream: Callable[[str], str] = str
        self._lock: Final = threading.Lock()
        self._shown: dict[str, dict[Labels, Value]] = {}  # the last time, by family
        self._others: Collection[Key] = ()
        # By family and labels: what is shared, and of each endpoint what it has added to that and what it has not.
        self._shared: dict[tuple[str, Labels], Value] = {}
        self._given: dict[tuple[str, Labels], Value] = {}
        self._kept: dict[tuple[str, Labels], Value] = {}

    def fold(
        self,
        counted: Samples,
        named: frozenset[Key],
        in_use: Collection[Key],
        known: Collection[Key],
        upstream: Callable[[str], str] = str,
    ) -> None:
        """Replace the samples of endpoints that are not named by shared ones; may be called in any thread.

        :param counted: of every known endpoint, all that it has counted.
        :param known: endpoints whose counts may go on; of others everything is forgotten. One that is known and not in
            use stays what it was.
        :param upstream: returns the label of an upstream for what its endpoints share.
        """
        with self._lock:
            self._upstream = upstream
            used, before = set(in_use), self._shown
            others = {each for each in known if (each not in named if each in used else each in self._others)}
            self._shown, self._others = {each.family.name: each.values for each in counted}, others
            if not others and not self._shared:
                return  # the usual case
            self._forget(known)
            for series in counted:
                name = series.family.name
                shown: dict[Labels, Value] = {}
                for labels, value in series.values.items():
                    if labels[:2] not in others:
                        given = self._given.get((name, labels))
                        shown[labels] = value if given is None else _minus(value, given)
                        self._kept.pop((name, labels), None)
                    else:
                        self._share(name, labels, value, before.get(name, {}).get(labels))
                shown.update((each[1], value) for each, value in self._shared.items() if each[0] == name)
                series.values = self._shown[name] = shown

    def _share(self, name: str, labels: Labels, value: Value, was_shown: Value | None) -> None:
        own, shared = (name, labels), (name, (self._upstream(labels[0]), OTHER, *labels[2:]))
        if was_shown is not None:
            self._kept[own] = was_shown
        given = self._given.get(own)
        if given == value and own not in self._kept:
            return  # nothing new
        new = value
        for part in (given, self._kept.get(own)):
            new = new if part is None else _minus(new, part)
        if _is_any(new):
            self._given[own] = new if given is None else _plus(given, new)
        before = self._shared.get(shared)
        self._shared[shared] = new if before is None else _plus(before, new)

    def _forget(self, known: Collection[Key]) -> None:
        upstreams = {OTHER, *(upstream for upstream, _ in known)}
        for parts in (self._given, self._kept):
            for each in [each for each in parts if each[1][:2] not in known]:
                del parts[each]
        for each in [each for each in self._shared if each[1][0] not in upstreams]:
            del self._shared[each]


def _minus(value: Value, part: Value) -> Value:
    if isinstance(value, Distribution) and isinstance(part, Distribution):
        if len(value.counts) != len(part.counts):
            return value  # it has other buckets, and began at 0
        counts = [max(0, a - b) for a, b in zip(value.counts, part.counts, strict=True)]
        return Distribution(counts, max(0.0, value.sum - part.sum))
    assert not isinstance(value, Distribution)
    assert not isinstance(part, Distribution)
    return value - part


def _plus(value: Value, part: Value) -> Value:
    if isinstance(value, Distribution) and isinstance(part, Distribution):
        return part if len(value.counts) != len(part.counts) else value.plus(part)
    assert not isinstance(value, Distribution)
    assert not isinstance(part, Distribution)
    return value + part


def _is_any(value: Value) -> bool:
    return any(value.counts) if isinstance(value, Distribution) else bool(value)
