"""Which endpoints may get a request now, and how long that holds.

An endpoint is *fit* when neither active checks nor ejection speak against it. Normally the fit ones are used. When
none is fit, or fewer than ``panic_threshold`` percent are, health says more about the checks or about load than about
the endpoints, and leaving most of them out would drown the rest: then all are used (the panic rule). What is
configured DOWN or DRAIN or has weight 0 is never used, and an open circuit breaker is respected even in panic: it is
what protects an endpoint from us.

Backups are used while no other endpoint is usable. They do not count for ``panic_threshold``, and as long as one of
them is fit there is no panic; panic is over all endpoints, backups included. Where panic is off, endpoints that are
not fit get nothing even if no other is left, and requests fail at once.

Slow start: an endpoint that joins a running upstream, or is fit again, begins with a tenth of its weight, which grows
linearly to the whole over ``slow_start`` seconds. Candidates are immutable, so it grows in steps (`RAMP_STEPS`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway_core.upstreams.endpoint import Endpoint

NEVER: Final = float("inf")
ALWAYS: Final = float("-inf")

RAMP_BEGIN: Final = 10
"""Percent of its weight with which slow start begins."""
RAMP_STEPS: Final = 30
"""Steps from there to the whole weight: of 3 percent, which keeps the cycles of weighted round-robin short."""


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


def select(
    members: Candidates,
    panic_threshold: float | None,
    now: float,
    backups: Candidates = NO_CANDIDATES,
    slow_start: float = 0.0,
) -> Selection:
    """Choose the endpoints that may get a request.

    :param members: endpoints that are configured UP with a weight above 0, without the backups.
    :param panic_threshold: percent; None never uses endpoints that are not fit.
    :param backups: the same of the backups.
    :param slow_start: seconds after which an endpoint that has joined or recovered has its whole weight.
    """
    others, spare = _assess(members, now), _assess(backups, now)
    until, fit = min(others.until, spare.until), others.fit + spare.fit
    is_panic = False
    if panic_threshold is not None and not spare.fit and (members.endpoints or backups.endpoints):
        is_panic = others.fit == 0 or others.fit * 100 < panic_threshold * len(members)
    if is_panic:
        chosen, reserve = join(others.admitted, spare.admitted), NO_CANDIDATES
    elif others.usable.endpoints:
        chosen, reserve = others.usable, spare.usable
    else:
        chosen, reserve = spare.usable, NO_CANDIDATES
    if slow_start > 0:
        chosen, until = ramp(chosen, slow_start, now, until)
    return Selection(chosen, reserve, until, is_panic, fit)


def ramp(candidates: Candidates, slow_start: float, now: float, until: float = NEVER) -> tuple[Candidates, float]:
    """Lower the weights of endpoints that joined or recovered less than ``slow_start`` seconds ago.

    :returns: the candidates, and when time alone changes them or what held until ``until``.
    """
    step = slow_start / RAMP_STEPS
    weights, is_ramping = [], False
    for endpoint, weight in zip(candidates.endpoints, candidates.weights, strict=True):
        began = endpoint.fit_since(now)
        steps = RAMP_STEPS if began == ALWAYS else min(RAMP_STEPS, int((now - began) / step + _ROUNDING))
        if steps < RAMP_STEPS:
            is_ramping = True
            until = min(until, max(began + (steps + 1) * step, now + step * _ROUNDING))
        weights.append(weight * (RAMP_BEGIN + (100 - RAMP_BEGIN) // RAMP_STEPS * steps))
    return (Candidates(candidates.endpoints, weights), until) if is_ramping else (candidates, until)


_ROUNDING: Final = 1e-6
"""Share of a step: at the very time at which one is due, the quotient may be a little less than a whole number."""


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
