"""Which endpoints may get a request now, and how long that holds.

An endpoint is *fit* when neither active checks nor ejection speak against it. Normally the fit ones are used. When
none is fit, or fewer than ``panic_threshold`` percent are, health says more about the checks or about load than about
the endpoints, and leaving most of them out would drown the rest: then all are used (the panic rule). What is
configured DOWN or DRAIN or has weight 0 is never used, and an open circuit breaker is respected even in panic: it is
what protects an endpoint from us.

Backups are used while no other endpoint is usable. They do not count for ``panic_threshold``, and as long as one of
them is fit there is no panic; panic is over all endpoints, backups included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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

    @classmethod
    def of(cls, pairs: Iterable[tuple[Endpoint, int]]) -> Candidates:
        """Return candidates made of (endpoint, weight) pairs."""
        endpoints, weights = [], []
        for endpoint, weight in pairs:
            endpoints.append(endpoint)
            weights.append(weight)
        return cls(endpoints, weights)

    def __len__(self) -> int:
        return len(self.endpoints)

    def where(self, keep: Callable[[Endpoint], bool]) -> Candidates:
        """Return those for which ``keep`` is true."""
        return Candidates.of(pair for pair in zip(self.endpoints, self.weights, strict=True) if keep(pair[0]))

    def is_same(self, other: Candidates) -> bool:
        """Tell whether the other has the same endpoints with the same weights."""
        return self.endpoints == other.endpoints and self.weights == other.weights


NO_CANDIDATES: Final = Candidates((), ())


@dataclass(frozen=True, slots=True)
class Selection:
    """The outcome of :func:`select`."""

    candidates: Candidates
    reserve: Candidates
    """Usable backups while others are in use: for retries that every candidate has failed."""
    until: float
    """Monotonic seconds at which time alone changes it."""
    is_panic: bool
    fit: int
    """How many members are fit, backups included."""


def select(members: Candidates, panic_threshold: float, now: float, backups: Candidates = NO_CANDIDATES) -> Selection:
    """Choose the endpoints that may get a request.

    :param members: endpoints that are configured UP with a weight above 0, without the backups.
    :param panic_threshold: percent.
    :param backups: the same of the backups.
    """
    others, spare = _assess(members, now), _assess(backups, now)
    until, fit = min(others.until, spare.until), others.fit + spare.fit
    is_ill = others.fit == 0 or others.fit * 100 < panic_threshold * len(members)
    if is_ill and not spare.fit and (members.endpoints or backups.endpoints):
        chosen = join(others.admitted, spare.admitted)
        return Selection(chosen, NO_CANDIDATES, until, is_panic=True, fit=fit)
    if others.usable.endpoints:
        return Selection(others.usable, spare.usable, until, is_panic=False, fit=fit)
    return Selection(spare.usable, NO_CANDIDATES, until, is_panic=False, fit=fit)


@dataclass(frozen=True, slots=True)
class _Assessment:
    usable: Candidates
    """Fit, and let through by the breaker."""
    admitted: Candidates
    """Let through by the breaker, fit or not."""
    fit: int
    until: float


def _assess(candidates: Candidates, now: float) -> _Assessment:
    endpoints = candidates.endpoints
    are_fit = [endpoint.health.healthy and now >= endpoint.ejection.until for endpoint in endpoints]
    fit = sum(are_fit)
    if fit == len(endpoints) and not any(endpoint.is_guarded for endpoint in endpoints):
        return _Assessment(candidates, candidates, fit, NEVER)
    until = NEVER
    usable: list[tuple[Endpoint, int]] = []
    admitted: list[tuple[Endpoint, int]] = []
    for endpoint, weight, is_fit in zip(endpoints, candidates.weights, are_fit, strict=True):
        if now < endpoint.ejection.until < until:
            until = endpoint.ejection.until
        breaker = endpoint.breaker
        if breaker is not None and endpoint.is_guarded and not breaker.allows(now):
            until = min(until, breaker.changes_at())
            continue
        admitted.append((endpoint, weight))
        if is_fit:
            usable.append((endpoint, weight))
    return _Assessment(Candidates.of(usable), Candidates.of(admitted), fit, until)


def join(one: Candidates, other: Candidates) -> Candidates:
    """Return the candidates of both."""
    if not other.endpoints:
        return one
    return Candidates(one.endpoints + other.endpoints, one.weights + other.weights)
