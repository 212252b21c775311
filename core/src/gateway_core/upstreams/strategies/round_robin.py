"""Each endpoint in turn, weights or not."""

from __future__ import annotations

from random import Random

from gateway_core.upstreams.endpoint import Endpoint
from gateway_core.upstreams.selection import Candidates
from gateway_core.upstreams.strategies.random_choice import RandomChoice


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
