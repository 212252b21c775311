"""Why a request goes where it goes: the winner, and what the nearest others lacked. For people, not for traffic."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import nsmallest
from operator import itemgetter
from typing import Generic

from gateway_core.errors import BadPathError, TextTooLongError
from gateway_core.messages.path import DEFAULT_POLICY, NAMELESS, PathPolicy
from gateway_core.routing.conditions import ClientFacts, HeaderLookup, RequestValues, compile_conditions, compile_tests
from gateway_core.routing.hosts import ANY_HOST, host_rank, normalize_host, parse_host
from gateway_core.routing.patterns import Kind, Pattern, path_rank, rule_pattern
from gateway_core.routing.readings import path_problem
from gateway_core.routing.router import MethodNotAllowed, NotFound, Router
from gateway_core.routing.rules import P, RouteRule
from gateway_core.routing.search import reachable
from gateway_core.routing.tree import Entry, Match, Tree


@dataclass(frozen=True, slots=True)
class Loser(Generic[P]):
    """A route that did not take the request, and every reason why."""

    rule: RouteRule[P]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation(Generic[P]):
    """The outcome for one request.

    ``outcome`` is a reason (for 400) if its path is refused before matching, and an error if a text is too long for
    a pattern that no linear-time engine runs.
    """

    outcome: Match[P] | NotFound | MethodNotAllowed | TextTooLongError | str
    losers: tuple[Loser[P], ...]


@dataclass(frozen=True, slots=True)
class _Request:
    """A request as conditions see it: host normalized, path as it is matched."""

    method: str
    host: str
    path: str
    values: RequestValues
    header: HeaderLookup


def explain(
    rules: Iterable[RouteRule[P]],
    method: str,
    host: str,
    path: str,
    query: str,
    header: HeaderLookup,
    *,
    router: Router[P] | None = None,
    policy: PathPolicy = DEFAULT_POLICY,
    client: ClientFacts | None = None,
    limit: int = 5,
) -> Explanation[P]:
    """Match a request and explain why the nearest other routes lost; arguments as for :meth:`Router.match`.

    :param path: as it was sent.
    :param router: the table of ``rules`` if the caller has it; otherwise it is built.
    :param policy: what is refused on arrival (`arrival_policy`); after the match the route's own policy decides.
    :param limit: at most how many losers to report. Nearest are those that match but rank lower, then those whose path
        matches and that fail the fewest conditions, then those whose path agrees in more of its segments.
    """
    rules = list(rules)
    raw_path, router = path, router or Router.build(rules)
    try:
        path, flags = policy.read(raw_path)
        outcome = router.match(method, host, path, query, header, client)
        problem = path_problem(router, outcome, method, host, raw_path, flags, query, header, client)
    except BadPathError as error:
        return Explanation(str(error), ())
    except TextTooLongError as error:
        return Explanation(error, ())
    request = _Request(method, normalize_host(host), path, RequestValues(query, path, host, client), header)
    winner = outcome.rule if isinstance(outcome, Match) else None
    if winner is not None and problem is not None:
        return Explanation(
            f"{problem} (route {winner.id!r})" if flags & NAMELESS else f"{problem} of route {winner.id!r}", ()
        )
    others = (rule for rule in rules if winner is None or rule.order != winner.order)
    judged: dict[int, tuple[tuple[int, int, int], Loser[P]]] = {}
    for rule in others:
        # Of a route with several paths the nearest one speaks.
        found = _judge(rule, winner, request)
        if rule.order not in judged or found[0] < judged[rule.order][0]:
            judged[rule.order] = found
    nearest = nsmallest(limit, judged.values(), key=itemgetter(0))
    return Explanation(outcome, tuple([loser for _, loser in nearest]))


def _judge(rule: RouteRule[P], winner: RouteRule[P] | None, request: _Request) -> tuple[tuple[int, int, int], Loser[P]]:
    """Return how far a route is from matching, and why it lost."""
    pattern = rule_pattern(rule)
    agreement = _agreement(pattern, request.path)
    path_failures = _path_failures(rule, pattern, request.path, agreement)
    failures = [*path_failures, *_host_failures(rule, request), *_other_failures(rule, pattern, request)]
    if failures or winner is None:
        # A path weighs more than all conditions: "another path" is farther away than "but for a header and the method".
        return (len(failures) + 100 * len(path_failures), -agreement, rule.order), Loser(rule, tuple(failures))
    return (0, -agreement, rule.order), Loser(rule, (_lower_rank(rule, winner, request.host),))


def _path_failures(rule: RouteRule[P], pattern: Pattern, path: str, agreement: int) -> list[str]:
    if agreement or not pattern.segments:
        tree: Tree[P] = Tree()
        tree.insert(pattern, Entry(rule, pattern))
        try:
            if any(True for _ in reachable(tree, path)):
                return []
        except TextTooLongError:
            return [f"path: it is too long for {pattern.text}"]
    return [f"path: {path} is not matched by {pattern.text}"]


def _agreement(pattern: Pattern, path: str) -> int:
    """Count the segments that agree from the start on; a regex counts as agreeing in one."""
    if pattern.regex is not None:
        return 1
    count = 0
    for segment, text in zip(pattern.segments, path.split("/")[1:], strict=False):
        if segment.kind is Kind.REST:
            return count + 1
        if segment.kind is Kind.LITERAL and segment.text != text:
            return count
        if segment.kind is not Kind.LITERAL and not (text.startswith(segment.text) and len(text) > len(segment.text)):
            return count
        count += 1
    return count


def _host_failures(rule: RouteRule[P], request: _Request) -> list[str]:
    if not rule.hosts or host_rank([parse_host(host) for host in rule.hosts], request.host) is not None:
        return []
    return [f"hosts: {request.host or 'no host'} is not one of {', '.join(rule.hosts)}"]


def _other_failures(rule: RouteRule[P], pattern: Pattern, request: _Request) -> list[str]:
    failures = []
    if rule.methods and request.method not in rule.methods:
        failures.append(f"methods: {request.method} is not one of {', '.join(sorted(rule.methods))}")
    conditions = compile_conditions(rule.headers, rule.query, compile_tests(rule, pattern))
    return failures if conditions is None else failures + conditions.failures(request.header, request.values)


def _lower_rank(rule: RouteRule[P], winner: RouteRule[P], host: str) -> str:
    """Say at which step of the order of precedence a route that matches falls behind the winner."""
    if rule.priority != winner.priority:
        return f"priority: {rule.priority} is lower than {winner.priority} of {winner.id!r}"
    if _rank_for(rule, host) != _rank_for(winner, host):
        return (
            f"hosts: {', '.join(rule.hosts) or 'any'} is less specific than {', '.join(winner.hosts)} of {winner.id!r}"
        )
    mine, others = rule_pattern(rule), rule_pattern(winner)
    if path_rank(mine, rule.order) != path_rank(others, winner.order):
        return f"path: {mine.text} is less specific than {others.text} of {winner.id!r}"
    for what, one, other in (
        ("methods", bool(rule.methods), bool(winner.methods)),
        ("conditions", rule.condition_count, winner.condition_count),
        ("query", len(rule.query), len(winner.query)),
    ):
        if one != other:
            return f"{what}: {winner.id!r} has {'a condition' if what == 'methods' else 'more conditions'}"
    return f"order: {winner.id!r} comes earlier"


def _rank_for(rule: RouteRule[P], host: str) -> int | None:
    return host_rank([parse_host(pattern) for pattern in rule.hosts] or [ANY_HOST], host)
