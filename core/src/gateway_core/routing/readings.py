"""Check that a matched path may go upstream: its route's policy allows it, and servers read it as the route does."""

from __future__ import annotations

from gateway_core.messages.path import NAMELESS, other_readings, read_path
from gateway_core.routing.conditions import ClientFacts, HeaderLookup
from gateway_core.routing.patterns import rule_pattern
from gateway_core.routing.router import Router, params_of
from gateway_core.routing.rules import P
from gateway_core.routing.tree import Match


def path_problem(
    router: Router[P],
    found: object,
    method: str,
    host: str,
    raw_path: str,
    flags: int,
    query: str,
    header: HeaderLookup,
    client: ClientFacts | None = None,
) -> str | None:
    """Return why a request is refused whose path has flags and that a route takes; None if it is not.

    Beside the route's own policy: ``/;v/admin`` matches as ``/admin``, but a server without path parameters takes it
    for ``/:tenant/admin``. What one route is for must not be had by way of another. Where the other route would take
    the path in either reading, as ``/`` does, the one found is the more specific, and the request is that one's.

    :param found: what the router returned for the same request.
    :raises TextTooLongError: a text of the request is too long for a regular expression that has to judge it.
    """
    if not flags or not isinstance(found, Match):
        return None
    rule = found.rule
    problem: str | None = rule.policy.problem(flags)
    if problem is not None or not flags & NAMELESS:
        return problem
    for path in other_readings(raw_path, rule.policy.folds_case):
        other = router.match(method, host, path, query, header, client)
        if not isinstance(other, Match) or other.rule.order == rule.order:
            continue
        if params_of(rule_pattern(other.rule), read_path(raw_path, rule.policy.folds_case)[0]) is None:
            return f"path has a segment of path parameters only: where it is kept this is a path of {other.rule.id!r}"
    return None
