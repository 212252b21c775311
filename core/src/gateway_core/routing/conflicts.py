"""Routes that can never match: equal to another one, or hidden behind one that takes everything that they would.

A route is reported only if it is certain. It is cut into parts, one per host and method; each part must be covered by a
single other route that matches whatever the part matches, and precedes it for every such request. Near-linear: covering
routes are found in an index (:mod:`gateway_core.routing.covers`), not by comparing pairs. Not looked for: paths that
several other paths cover only together, and what the texts of regular expressions mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gateway_core.routing.covers import Candidate, CoverIndex
from gateway_core.routing.hosts import wider_hosts
from gateway_core.routing.rules import P, RouteRule, ValueCondition


@dataclass(frozen=True, slots=True)
class Conflict:
    """A route that can never match, the routes that take its requests (none if it contradicts itself), and why.

    ``order`` and ``other_orders`` are the same routes by their place in the configuration: an id may be there twice.
    """

    route: str
    others: tuple[str, ...]
    reason: str
    is_equal: bool = False
    order: int = 0
    other_orders: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"route {self.route!r} can never match: {self.reason}"


def find_conflicts(rules: Iterable[RouteRule[P]]) -> list[Conflict]:
    """Return the routes that can never match, in file order.

    :raises RuleError: a rule cannot be compiled.
    """
    index: CoverIndex[P] = CoverIndex()
    candidates = [Candidate(rule) for rule in rules]
    for candidate in candidates:
        if _contradiction(candidate.rule) is None:
            index.add(candidate)
    conflicts = [_conflict_of(index, candidate) for candidate in candidates]
    return [conflict for conflict in conflicts if conflict is not None]


def _conflict_of(index: CoverIndex[P], candidate: Candidate[P]) -> Conflict | None:
    rule = candidate.rule
    contradiction = _contradiction(rule)
    if contradiction is not None:
        return Conflict(rule.id, (), contradiction, order=rule.order)
    blockers: dict[int, Candidate[P]] = {}
    for host in candidate.hosts:
        for method in candidate.methods:
            blocker = next(_blockers(index, candidate, host, method), None)
            if blocker is None:
                return None
            blockers[blocker.rule.order] = blocker
    found = list(blockers.values())
    others = tuple([blocker.rule.id for blocker in found])
    is_equal = len(found) == 1 and found[0].is_equal_to(candidate)
    if is_equal:
        reason = f"it is equal to route {others[0]!r} in everything that decides"
    else:
        reason = "; ".join(
            [f"route {blocker.rule.id!r} takes {_share(found)}, {_why(blocker, candidate)}" for blocker in found]
        )
    return Conflict(rule.id, others, reason, is_equal, rule.order, tuple(blockers))


def _blockers(index: CoverIndex[P], part: Candidate[P], host: str, method: str | None) -> Iterator[Candidate[P]]:
    """Yield routes that take every request of a part and precede it."""
    for wide in wider_hosts(host):
        for other in index.covering(wide, part, method):
            if other.rule.order != part.rule.order and _precedes(other, part, same_host=wide == host):
                yield other


def _precedes(other: Candidate[P], part: Candidate[P], *, same_host: bool) -> bool:
    """Say whether ``other`` wins every request that both match. Its host covers the part's, so it is never narrower."""
    if other.rule.priority != part.rule.priority:
        return other.rule.priority > part.rule.priority
    return same_host and other.rank < part.rank


def _share(found: list[Candidate[P]]) -> str:
    return "every request that it would" if len(found) == 1 else "some of its requests"


def _why(blocker: Candidate[P], part: Candidate[P]) -> str:
    if blocker.rule.priority != part.rule.priority:
        return f"with the higher priority {blocker.rule.priority} (here {part.rule.priority})"
    if blocker.rank[0] != part.rank[0]:
        return "and a regular expression comes after every other path"
    return "with the same precedence, and comes earlier"


def _contradiction(rule: RouteRule[P]) -> str | None:
    for what, conditions, fold in (
        ("header", rule.headers, str.lower),
        ("query parameter", rule.query, str),
        ("cookie", rule.cookies, str),
    ):
        by_name: dict[str, ValueCondition] = {}
        for condition in conditions:
            before = by_name.setdefault(fold(condition.name), condition)
            if _exclude(before, condition) or _exclude(condition, before):
                return f"its conditions on the {what} {condition.name!r} exclude each other"
    return None


def _exclude(one: ValueCondition, other: ValueCondition) -> bool:
    # Two values do not: a header may have several fields, and each condition needs one of them.
    return one.present is False and other.present is not False and other.none_of is None
