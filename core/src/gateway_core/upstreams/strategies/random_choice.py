"""Random choice in proportion to the weights."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from random import Random

from gateway_core.upstreams.endpoint import Endpoint
from gateway_core.upstreams.selection import NO_CANDIDATES, Candidates


class RandomChoice:
    """Chooses at random. Also the second choice of strategies that have no better one."""

    __slots__ = ("_bounds", "_seen")

    is_keyed = False

    def __init__(self) -> None:
        self._seen = NO_CANDIDATES
        self._bounds: list[int] = []

    def update(self, members: Candidates) -> None:
        """Nothing to prepare."""

    def pick(self, usable: Candidates, key: str | None, rng: Random) -> Endpoint:  # noqa: ARG002 - the interface has them
        if not usable.is_weighted:
            return usable.endpoints[int(rng.random() * len(usable.endpoints))]
        if usable is not self._seen:
            self._seen = usable
            self._bounds = list(accumulate(usable.weights))
        bounds = self._bounds
        return usable.endpoints[bisect_right(bounds, int(rng.random() * bounds[-1]))]

    def pick_again(self, rest: Candidates, key: str | None, rng: Random) -> Endpoint:  # noqa: ARG002 - the interface has them
        return rng.choices(rest.endpoints, rest.weights)[0]
