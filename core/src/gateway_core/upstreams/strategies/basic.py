"""Strategies without a key: at random, in turn, and the less busy of two."""

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


class RoundRobin(RandomChoice):
    """Chooses each endpoint in turn."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        super().__init__()
        self._next = 0

    def pick(self, usable: Candidates, key: str | None, rng: Random) -> Endpoint:  # noqa: ARG002 - the interface has them
        endpoints = usable.endpoints
        turn = self._next
        if turn >= len(endpoints):
            turn = 0
        self._next = turn + 1
        return endpoints[turn]


class LeastRequests(RandomChoice):
    """Draws two different endpoints and chooses the one with fewer requests in progress for its weight.

    Two random choices come close to the real minimum without every worker running after the same endpoint
    (Mitzenmacher, "The power of two choices in randomized load balancing", 2001), at a cost that does not grow.
    """

    __slots__ = ()

    def pick(self, usable: Candidates, key: str | None, rng: Random) -> Endpoint:  # noqa: ARG002 - the interface has them
        endpoints = usable.endpoints
        count = len(endpoints)
        if count == 1:
            return endpoints[0]
        first = int(rng.random() * count)
        second = int(rng.random() * (count - 1))
        if second >= first:
            second += 1
        one, other = endpoints[first], endpoints[second]
        # What the load would be with this request on top, so that weights count among idle endpoints, too.
        one_load = (one.active + one.pending + 1) * usable.weights[second]
        other_load = (other.active + other.pending + 1) * usable.weights[first]
        return one if one_load <= other_load else other

    def pick_again(self, rest: Candidates, key: str | None, rng: Random) -> Endpoint:
        return self.pick(rest, key, rng)
