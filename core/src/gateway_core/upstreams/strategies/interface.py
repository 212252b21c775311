"""What a strategy of load balancing is."""

from __future__ import annotations

from random import Random
from typing import Any, Protocol

from gateway_core.upstreams.endpoint import Endpoint
from gateway_core.upstreams.selection import Candidates


class Strategy(Protocol):
    """Chooses one endpoint for each request. Called on the hot path: no I/O, no clock."""

    is_keyed: bool
    """Whether a key decides. A keyed strategy's choice is waited for when it is at its limit; others go elsewhere."""

    def update(self, members: Candidates) -> None:
        """Learn all endpoints that are configured, usable at the moment or not. Called when they change."""
        ...

    def pick(self, usable: Candidates, key: str | None, rng: Random) -> Endpoint:
        """Choose among the usable endpoints, of which there is at least one.

        :param usable: the same object as long as nothing changed.
        :param key: what ``hash_on`` found in the request.
        """
        ...

    def pick_again(self, rest: Candidates, key: str | None, rng: Random) -> Endpoint:
        """Choose for a retry, or because the first choice is full.

        :param rest: usable endpoints that were not attempted yet, at least one; made for this call only.
        """
        ...


class StrategyFactory(Protocol):
    """A class of strategies; what the ``gateway_strategies`` hook offers by name."""

    @property
    def config_model(self) -> type[Any] | None:
        """The pydantic model of ``upstreams[].strategy_options``; None takes no keys."""
        ...

    def __call__(self, config: Any) -> Strategy:
        """Make the strategy of one upstream.

        :param config: an instance of the model.
        :raises ValueError: for options that cannot work, saying which key and why.
        """
        ...
