"""Smooth weighted round-robin, as nginx does it: weights 5, 1, 1 give a a b a c a a.

In each turn every endpoint gains its weight as credit, the one with the most (the first of equals) is chosen and pays
the sum of all weights. From equal credits the turns repeat after sum/gcd of them, so they are written down the first
time round and read back from then on.

When endpoints or weights change, credits are kept in proportion to the sum of weights: no endpoint is paid twice for
the past, and a change is not followed by a run of requests to one endpoint.
"""

from __future__ import annotations

from collections import Counter
from math import gcd
from operator import add
from random import Random
from typing import Final

from gateway_core.upstreams.endpoint import Endpoint
from gateway_core.upstreams.selection import NO_CANDIDATES, Candidates
from gateway_core.upstreams.strategies.basic import RandomChoice

LONGEST_CYCLE: Final = 16_384
"""Turns that are written down at most; longer cycles are computed each time."""


class WeightedRoundRobin(RandomChoice):
    """Chooses in proportion to the weights, as evenly spread as can be."""

    __slots__ = ("_base", "_credits", "_cycle", "_is_complete", "_position", "_total", "_usable", "_weights")

    def __init__(self) -> None:
        super().__init__()
        self._usable = NO_CANDIDATES
        self._weights: tuple[int, ...] = ()
        self._total = 0
        self._credits: list[int] = []
        """By endpoint; stale while a complete cycle is read back."""
        self._base: list[int] = []
        """Credits at the start of the cycle."""
        self._cycle: list[int] = []
        self._is_complete = False
        self._position = 0

    def pick(self, usable: Candidates, key: str | None, rng: Random) -> Endpoint:  # noqa: ARG002 - the interface has them
        if usable is not self._usable:
            self._change(usable)
        if not self._is_complete:
            return usable.endpoints[self._turn()]
        position = self._position
        if position == len(self._cycle):
            position = 0
        self._position = position + 1
        return usable.endpoints[self._cycle[position]]

    def _turn(self) -> int:
        credit = list(map(add, self._credits, self._weights))
        chosen = credit.index(max(credit))
        credit[chosen] -= self._total
        self._credits = credit
        self._record(chosen)
        return chosen

    def _record(self, chosen: int) -> None:
        if self._total > LONGEST_CYCLE:
            return
        self._cycle.append(chosen)
        if len(self._cycle) < self._total:
            return
        if self._credits == self._base:
            self._is_complete = True
            self._position = len(self._cycle)
            return
        # Credits that were carried over need some turns to settle; then a cycle closes.
        self._base = self._credits
        self._cycle = []

    def _change(self, usable: Candidates) -> None:
        old_total = self._total
        carried = dict(zip((e.id for e in self._usable.endpoints), self._present_credits(), strict=True))
        divisor = gcd(*usable.weights)
        self._weights = tuple(weight // divisor for weight in usable.weights)
        self._total = sum(self._weights)
        self._credits = [carried.get(e.id, 0) * self._total // max(old_total, 1) for e in usable.endpoints]
        self._usable = usable
        self._base = self._credits
        self._cycle = []
        self._is_complete = False

    def _present_credits(self) -> list[int]:
        """Reckon the credits in the middle of a cycle that is being read back: what was earned less what was paid."""
        if not self._is_complete:
            return self._credits
        paid = Counter(self._cycle[: self._position])
        return [
            base + self._position * weight - self._total * paid[index]
            for index, (base, weight) in enumerate(zip(self._base, self._weights, strict=True))
        ]
