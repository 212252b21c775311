"""What the routing layer has to say about a configuration, with its places."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gateway_core.config import ConfigProblem, GatewayConfig, PlaceOf, RouteConfig, format_path
from gateway_core.regex import Pattern, compile_pattern
from gateway_core.routing import (
    ConditionError,
    Conflict,
    HostError,
    RouterBuilder,
    RouteRule,
    RuleError,
    find_conflicts,
    rule_pattern,
)
from gateway_core.snapshot.rules import redirect_of, rewrite_of, route_rule


def check_routes(config: GatewayConfig, place_of: PlaceOf) -> Iterator[ConfigProblem]:
    """Find routes that cannot be compiled, that can never match, and that are equal to another one."""
    sound: list[RouteRule[int]] = []
    for index, route in enumerate(config.routes):
        rule = route_rule(route, index, index, config.path_policy)
        error = _error_in(route, rule)
        if error is None:
            sound.append(rule)
            yield from _bounded_patterns(rule, f"routes[{index}]", place_of)
        else:
            key_path = f"routes[{index}]{_key_of(error, route)}"
            yield ConfigProblem(place_of(key_path), key_path, str(error), code=error.code)
    yield from _conflicts(sound, place_of)


def _bounded_patterns(rule: RouteRule[int], key_path: str, place_of: PlaceOf) -> Iterator[ConfigProblem]:
    """Warn of regular expressions that refuse long texts of clients."""
    found = [("path_regex", rule.path_regex)]
    for key, conditions in (("headers", rule.headers), ("query", rule.query)):
        found += [(format_path((key, condition.name, "regex")), condition.regex) for condition in conditions]
    for key, text in found:
        problem = None if text is None else compile_pattern(text, Pattern).problem
        if problem is not None:
            place = f"{key_path}.{key}"
            yield ConfigProblem(place_of(place), place, problem, code="regex.not-linear", severity="warning")


def _error_in(route: RouteConfig, rule: RouteRule[int]) -> RuleError | None:
    try:
        RouterBuilder[int]().add(rule)
        pattern = rule_pattern(rule)
        rewrite_of(route, pattern)
        redirect_of(route, pattern)
    except RuleError as error:
        return error
    return None


def _key_of(error: RuleError, route: RouteConfig) -> str:
    """Return the key under a route that an error is about."""
    if isinstance(error, HostError):
        return ".hosts"
    if isinstance(error, ConditionError):
        return ".headers" if route.headers and not route.query else ".query" if not route.headers else ""
    for key in ("rewrite", "redirect", "strip_path") if type(error).__name__ == "RewriteError" else ():
        if getattr(route, key):
            return f".{key}"
    for key in ("path", "path_prefix", "path_regex"):
        if getattr(route, key) is not None:
            return f".{key}"
    return ""


def _conflicts(rules: Iterable[RouteRule[int]], place_of: PlaceOf) -> Iterator[ConfigProblem]:
    rules = list(rules)
    # Ids may be given twice, which is a problem of its own; what matters here is that one of them is found.
    by_id = {rule.id: rule.payload for rule in rules}
    for conflict in find_conflicts(rules):
        key_path = f"routes[{by_id[conflict.route]}]"
        yield ConfigProblem(place_of(key_path), key_path, _told(conflict, by_id, place_of), code="route.unreachable")


def _told(conflict: Conflict, by_id: dict[str, int], place_of: PlaceOf) -> str:
    others = [f"{other!r} is at {place_of(f'routes[{by_id[other]}]')}" for other in conflict.others]
    where = f" ({', '.join(others)})" if others else ""
    return f"route {conflict.route!r} can never match: {conflict.reason}{where}: remove it or change one of them"
