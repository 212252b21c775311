"""Counters of plugins for what every request counts: without prometheus-client's lock and checks, for one thread."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from gateway_core.metrics.samples import Family, Labels

_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class LocalCount:
    """The number for one set of labels."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1) -> None:
        """Add to it, in one thread at a time: two that add at once may lose a number."""
        self.value += amount


class LocalCounter:
    """A counter that one thread at a time adds to; any thread may collect it."""

    def __init__(self, name: str, help_text: str, labels: Sequence[str] = ()) -> None:
        """Make it, with no number yet.

        :raises ValueError: the name, or that of a label, is none that Prometheus takes.
        """
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} is not the name of a metric: use letters, digits and underscores")
        wrong = [each for each in labels if each.startswith("__") or _LABEL.fullmatch(each) is None]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is not the name of a label: use letters, digits and underscores")
        self.family = Family(name.removesuffix("_total"), "counter", help_text.rstrip("."), tuple(labels))
        self._counts: dict[Labels, LocalCount] = {}

    def labels(self, *values: str) -> LocalCount:
        """Return the number for these values of its labels, which begins at 0; for a counter without labels, of none.

        :raises ValueError: there are more labels, or fewer.
        """
        if len(values) != len(self.family.labels):
            raise ValueError(f"{self.family.name!r} has the labels {self.family.labels}: give a value for each")
        return self._counts.setdefault(values, LocalCount())

    def rows(self) -> list[tuple[Labels, float]]:
        """Return all numbers, by the values of their labels."""
        counts = list(self._counts.items())  # in one step: the event loop may add to them meanwhile
        return [(labels, count.value) for labels, count in counts]
