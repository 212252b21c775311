"""Which endpoints may get a request now, and how long that holds.

An endpoint is *fit* when neither active checks nor ejection speak against it. Normally the fit ones are used. When
none is fit, or fewer than ``panic_threshold`` percent are, health says more about the checks or about load than about
the endpoints, and leaving most of them out would drown the rest: then all are used (the panic rule). What is
configured DOWN or DRAIN or has weight 0 is never used, and an open circuit breaker is respected even in panic: it is
what protects an endpoint from us.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway_core.upstreams.endpoint import Endpoint

NEVER: Final = float("inf")
ALWAYS: Final = float("-inf")


class Candidates:
    """Endpoints that a strategy may choose from, with their weights, in configured order.

    The same object is handed out until something changes, so a strategy may keep what it computed from it.
    """

    __slots__ = ("endpoints", "is_weighted", "only", "weights")

    def __init__(self, endpoints: Sequence[Endpoint], weights: Sequence[int]) -> None:
        self.endpoints = tuple(endpoints)
        self.weights = tuple(weights)
        self.only = self.endpoints[0] if len(self.endpoints) == 1 else None
        """The endpoint that there is no choice but to take."""
        self.is_weighted = len(set(self.weights)) > 1
        """Whether the weights differ at all."""

    def __len__(self) -> int:
        return len(self.endpoints)


NO_CANDIDATES: Final = Candidates((), ())


@dataclass(frozen=True, slots=True)
class Selection:
    """The outcome of :func:`select`."""

    candidates: Candidates
    until: float
    """Monotonic seconds at which time alone changes it."""
    is_panic: bool
    fit: int
    """How many members are fit."""


def select(members: Candidates, panic_threshold: float, now: float) -> Selection:
    """Choose the endpoints that may get a request.

    :param members: endpoints that are configured UP with a weight above 0.
    :param panic_threshold: percent.
    """
    endpoints = members.endpoints
    are_fit = [endpoint.health.healthy and now >= endpoint.ejection.until for endpoint in endpoints]
    fit = sum(are_fit)
    if fit == len(endpoints) and not any(endpoint.is_guarded for endpoint in endpoints):
        return Selection(members, NEVER, is_panic=False, fit=fit)
    is_panic = fit == 0 or fit * 100 < panic_threshold * len(endpoints)
    until = NEVER
    chosen: list[Endpoint] = []
    weights: list[int] = []
    for endpoint, weight, is_fit in zip(endpoints, members.weights, are_fit, strict=True):
        if now < endpoint.ejection.until < until:
            until = endpoint.ejection.until
        breaker = endpoint.breaker
        if breaker is not None and endpoint.is_guarded and not breaker.allows(now):
            until = min(until, breaker.changes_at())
        elif is_panic or is_fit:
            chosen.append(endpoint)
            weights.append(weight)
    return Selection(Candidates(chosen, weights), until, is_panic=is_panic, fit=fit)
