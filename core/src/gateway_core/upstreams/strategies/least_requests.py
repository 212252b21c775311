"""The less busy of two random endpoints."""

from __future__ import annotations

from random import Random

from gateway_core.upstreams.endpoint import Endpoint
from gateway_core.upstreams.selection import Candidates
from gateway_core.upstreams.strategies.random_choice import RandomChoice


class LeastRequests(RandomChoice):
    """Draws two different endpoints and chooses the one with fewer requests under way for its weight.

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
