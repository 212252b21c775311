"""Routes that can never match: equal to another one, or hidden behind one that takes everything that they would.

A route is reported only if it is certain. It is cut into parts, one per host and method; each part must be covered by a
single other route that matches whatever the part matches, and precedes it for every such request. Near-linear: covering
routes are found in an index (`CoverIndex`), not by comparing pairs. Not looked for: paths that
several other paths cover only together, and what the texts of regular expressions mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, combinations
from typing import Generic

from gateway_core.routing.hosts import ANY_HOST, parse_host, wider_hosts
from gateway_core.routing.patterns import Kind, Pattern, Segment, Shape, path_rank, rule_pattern
from gateway_core.routing.rules import AddressCondition, P, RouteRule, ValueCondition

_MOST_CONDITIONS = 8
"""Up to this many conditions every subset is looked up; beyond it only all of them, each alone, and none."""

ConditionSet = frozenset[tuple[str, "ValueCondition | AddressCondition | str"]]


class Candidate(Generic[P]):
    """A route in the form in which routes are compared."""

    __slots__ = ("conditions", "hosts", "methods", "pattern", "rank", "rule")

    def __init__(self, rule: RouteRule[P]) -> None:
        self.rule = rule
        self.pattern = rule_pattern(rule)
        hosts = {parse_host(host) for host in rule.hosts}
        self.hosts: tuple[str, ...] = tuple(sorted(hosts)) or (ANY_HOST,)
        self.methods: tuple[str | None, ...] = tuple(sorted(rule.methods)) or (None,)
        self.conditions = _NO_CONDITIONS
        if rule.has_conditions:
            self.conditions = frozenset(
                chain(
                    [("header", _named(condition, condition.name.lower())) for condition in rule.headers],
                    [("query", condition) for condition in rule.query],
                    [("cookie", condition) for condition in rule.cookies],
                    # A name does not say what it stands for: what two routes call :id may be other segments.
                    [(f"param of {rule.path or rule.path_regex}", condition) for condition in rule.params],
                    [("client_ip", rule.client_ip)] if rule.client_ip is not None else [],
                    [("scheme", rule.scheme)] if rule.scheme is not None else [],
                )
            )
        rest = (not rule.methods, -rule.condition_count, -len(rule.query), rule.order)
        self.rank = (path_rank(self.pattern, rule.order), rest)

    def is_equal_to(self, other: Candidate[P]) -> bool:
        """Say whether both match exactly the same requests with the same precedence, file order apart."""
        return (
            self.rule.priority == other.rule.priority
            and (self.hosts, self.methods, self.conditions) == (other.hosts, other.methods, other.conditions)
            and _shape(self.pattern) == _shape(other.pattern)
        )


Bucket = dict[tuple[ConditionSet, "str | None"], Candidate[P]]
"""For each set of conditions and each method the route that comes first."""


class _Node(Generic[P]):
    """A node: what may follow, and the routes that end here exactly, as a prefix, or with ``*rest``."""

    __slots__ = ("affixed", "exact", "literals", "param", "prefix", "rest")

    def __init__(self) -> None:
        self.literals: dict[str, _Node[P]] | None = None
        self.affixed: dict[str, _Node[P]] | None = None
        self.param: _Node[P] | None = None
        self.exact: Bucket[P] | None = None
        self.prefix: Bucket[P] | None = None
        self.rest: Bucket[P] | None = None


class CoverIndex(Generic[P]):
    """Routes by host, path, conditions and method."""

    __slots__ = ("_regexes", "_roots")

    def __init__(self) -> None:
        self._roots: dict[str, _Node[P]] = {}
        self._regexes: dict[tuple[str, str], Bucket[P]] = {}

    def add(self, candidate: Candidate[P]) -> None:
        """Put a route into the index, for each of its hosts and methods."""
        for host in candidate.hosts:
            bucket = self._bucket(host, candidate.pattern)
            for method in candidate.methods:
                key = (candidate.conditions, method)
                first = bucket.get(key)
                if first is None or _order(candidate) < _order(first):
                    bucket[key] = candidate

    def covering(self, host: str, part: Candidate[P], method: str | None) -> Iterator[Candidate[P]]:
        """Yield routes for exactly this host whose path, method and conditions match whatever those of ``part`` do."""
        for bucket in self._buckets(host, part.pattern):
            for conditions in _weaker(part.conditions):
                for name in {method, None}:
                    found = bucket.get((conditions, name))
                    if found is not None:
                        yield found

    def _bucket(self, host: str, pattern: Pattern) -> Bucket[P]:
        if pattern.shape is Shape.REGEX:
            return self._regexes.setdefault((host, pattern.text), {})
        node = self._roots.setdefault(host, _Node())
        for segment in pattern.segments:
            if segment.kind is Kind.REST:
                node.rest = bucket = {} if node.rest is None else node.rest
                return bucket
            node = _grow(node, segment)
        if pattern.shape is Shape.PREFIX:
            node.prefix = bucket = {} if node.prefix is None else node.prefix
        else:
            node.exact = bucket = {} if node.exact is None else node.exact
        return bucket

    def _buckets(self, host: str, pattern: Pattern) -> Iterator[Bucket[P]]:
        root = self._roots.get(host)
        if pattern.shape is Shape.REGEX:
            found = self._regexes.get((host, pattern.text))
            everything = [] if root is None else [root.prefix, root.rest]
            yield from [bucket for bucket in (found, *everything) if bucket]
        elif root is not None:
            yield from _covering_nodes(root, pattern)


def _covering_nodes(root: _Node[P], pattern: Pattern) -> Iterator[Bucket[P]]:
    fixed = [segment for segment in pattern.segments if segment.kind is not Kind.REST]
    ends_open = len(fixed) < len(pattern.segments)
    pending = [(root, 0)]
    while pending:
        node, depth = pending.pop()
        if node.prefix:
            yield node.prefix
        # *rest needs a segment of its own: one is left, or the pattern takes one too; every path has a first one.
        if node.rest and (depth < len(fixed) or ends_open or depth == 0):
            yield node.rest
        if depth < len(fixed):
            pending += [(child, depth + 1) for child in _wider_children(node, fixed[depth])]
        elif node.exact and pattern.shape is Shape.EXACT and not ends_open:
            yield node.exact


def _wider_children(node: _Node[P], segment: Segment) -> Iterator[_Node[P]]:
    literal = segment.kind is Kind.LITERAL
    if literal and node.literals is not None and segment.text in node.literals:
        yield node.literals[segment.text]
    if node.affixed is not None:
        # A start covers longer literals, and starts that are as long or longer.
        for length in range(1, len(segment.text) + (not literal)):
            child = node.affixed.get(segment.text[:length])
            if child is not None:
                yield child
    if node.param is not None and (segment.text or not literal):
        yield node.param


def _grow(node: _Node[P], segment: Segment) -> _Node[P]:
    if segment.kind is Kind.PARAM:
        if node.param is None:
            node.param = _Node()
        return node.param
    if segment.kind is Kind.AFFIXED:
        node.affixed = {} if node.affixed is None else node.affixed
        return node.affixed.setdefault(segment.text, _Node())
    node.literals = {} if node.literals is None else node.literals
    return node.literals.setdefault(segment.text, _Node())


def _order(candidate: Candidate[P]) -> tuple[int, int]:
    return (-candidate.rule.priority, candidate.rule.order)


def _weaker(conditions: ConditionSet) -> Iterator[ConditionSet]:
    """Yield sets of conditions that hold whenever ``conditions`` do."""
    if not conditions:
        yield conditions
        return
    implied = conditions | {
        (what, ValueCondition(condition.name, present=True))
        for what, condition in conditions
        if isinstance(condition, ValueCondition) and condition.present is None and condition.none_of is None
    }
    sizes = range(len(implied) + 1) if len(implied) <= _MOST_CONDITIONS else (0, 1)
    for size in sizes:
        yield from map(frozenset, combinations(implied, size))
    if len(implied) > _MOST_CONDITIONS:
        yield conditions


def _named(condition: ValueCondition, name: str) -> ValueCondition:
    if condition.name == name:
        return condition
    return replace(condition, name=name)


def _shape(pattern: Pattern) -> tuple[object, ...]:
    if pattern.shape is Shape.REGEX:
        return (pattern.text,)
    return (pattern.shape, *[(segment.kind, segment.text) for segment in pattern.segments])


_NO_CONDITIONS: ConditionSet = frozenset()


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

    :raises RuleError: a path or a host is none. Conditions are compared as they are written.
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
