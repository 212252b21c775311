"""Strategies of load balancing by the name that the configuration uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from gateway_core.config import factory_config
from gateway_core.upstreams.strategies.basic import LeastRequests, RandomChoice, RoundRobin
from gateway_core.upstreams.strategies.consistent_hash import ConsistentHash
from gateway_core.upstreams.strategies.interface import Strategy, StrategyFactory
from gateway_core.upstreams.strategies.weighted_round_robin import WeightedRoundRobin

__all__ = [
    "BUILT_IN",
    "ConsistentHash",
    "LeastRequests",
    "RandomChoice",
    "RoundRobin",
    "Strategy",
    "StrategyFactory",
    "UnknownStrategyError",
    "WeightedRoundRobin",
    "make_strategy",
]

BUILT_IN: Final[Mapping[str, Callable[[], Strategy]]] = {
    "round-robin": RoundRobin,
    "weighted-round-robin": WeightedRoundRobin,
    "random": RandomChoice,
    "least-requests": LeastRequests,
    "consistent-hash": ConsistentHash,
}


class UnknownStrategyError(ValueError):
    """A strategy that neither the core nor an extension has."""


def make_strategy(
    name: str,
    options: Mapping[str, object] | None = None,
    extensions: Mapping[str, StrategyFactory] | None = None,
) -> Strategy:
    """Make a strategy.

    :param options: for strategies of extensions; those of the core have none.
    :param extensions: factories of extensions by name; they cannot replace the core's.
    :raises UnknownStrategyError: naming those that there are.
    :raises ValueError: for options that an extension's strategy refuses.
    """
    built_in = BUILT_IN.get(name)
    if built_in is not None:
        return built_in()
    factory = (extensions or {}).get(name)
    if factory is None:
        known = ", ".join([*BUILT_IN, *sorted(extensions or {})])
        raise UnknownStrategyError(f"{name!r} is not a strategy: known are {known}")
    return factory(factory_config(factory, options or {}))
