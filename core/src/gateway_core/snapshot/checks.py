"""Problems of a configuration that routing finds, with their locations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gateway_core.config import ConfigProblem, GatewayConfig, Place, PlaceOf, RouteConfig, format_path
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
from gateway_core.snapshot.listeners import ListenerRoutes
from gateway_core.snapshot.request_rewrite import request_rewrite
from gateway_core.snapshot.rules import redirect_of, route_rule


def check_routes(config: GatewayConfig, place_of: PlaceOf) -> Iterator[ConfigProblem]:
    """Find routes that cannot be compiled, that can never match, and that are equal to another one."""
    sound: list[RouteRule[int]] = []
    cookies = {item.name: item.sticky_cookie.name for item in config.upstreams if item.sticky_cookie is not None}
    for index, route in enumerate(config.routes):
        rule = route_rule(route, index, index, config.path_policy)
        errors = list(_errors_in(route, rule))
        for key, error in errors:
            key_path = f"routes[{index}]{key}"
            yield ConfigProblem(place_of(key_path), key_path, str(error), code=error.code)
        if not errors:
            sound.append(rule)
            yield from _bounded_patterns(rule, f"routes[{index}]", place_of)
        yield from _same_cookie(route, f"routes[{index}]", cookies, place_of)
    yield from _conflicts(config, sound, place_of)


def _same_cookie(
    route: RouteConfig, key_path: str, cookies: Mapping[str, str], place_of: PlaceOf
) -> Iterator[ConfigProblem]:
    """Find a cookie that both the route and one of its upstreams would set, each over the other's."""
    name = None if route.sticky_cookie is None else route.sticky_cookie.name
    for target in route.targets:
        if name is not None and cookies.get(target.target) == name:
            where = f"{key_path}.sticky_cookie.name"
            message = f"{name!r} is the sticky_cookie of upstream {target.target!r} as well: give them different names"
            yield ConfigProblem(place_of(where), where, message, code="value.inconsistent")
            return


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


def _errors_in(route: RouteConfig, rule: RouteRule[int]) -> Iterator[tuple[str, RuleError]]:
    """Yield what cannot be compiled, with the key under the route that it is about."""
    try:
        RouterBuilder[int]().add(rule)
        pattern = rule_pattern(rule)
        request_rewrite(route, None, pattern)
        redirect_of(route, pattern)
    except RuleError as error:
        yield _key_of(error, route), error
        return
    for index, target in enumerate(route.targets):
        try:
            request_rewrite(route, target.rewrite, pattern)
        except RuleError as error:
            yield f".targets[{index}].rewrite", error


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


def _conflicts(config: GatewayConfig, rules: Sequence[RouteRule[int]], place_of: PlaceOf) -> Iterator[ConfigProblem]:
    """Find routes that can match at none of the listeners at which they count."""
    tables: ListenerRoutes[int] = ListenerRoutes(config.listen, config.routes)
    views = {rule.payload: tables.views_of(config.routes[rule.payload]) for rule in rules}
    found: dict[int, list[Conflict]] = {}
    for view in tables.views:
        for conflict in find_conflicts([rule for rule in rules if view in views[rule.payload]]):
            found.setdefault(conflict.order, []).append(conflict)
    for index, counts in views.items():
        key_path = f"routes[{index}]"
        related: tuple[Place, ...] = ()
        if not counts:
            message = (
                f"route {config.routes[index].id!r} can never match: every listener has default: false: "
                "name one of them in listeners"
            )
        elif len(found.get(index, ())) == len(counts):
            message = _conflict_message(found[index][0], place_of)
            related = tuple(place_of(f"routes[{order}]") for order in found[index][0].other_orders)
        else:
            continue
        yield ConfigProblem(place_of(key_path), key_path, message, code="route.unreachable", related=related)


def _conflict_message(conflict: Conflict, place_of: PlaceOf) -> str:
    others = [
        f"{other!r} is at {place_of(f'routes[{order}]')}"
        for other, order in zip(conflict.others, conflict.other_orders, strict=True)
    ]
    where = f" ({', '.join(others)})" if others else ""
    return f"route {conflict.route!r} can never match: {conflict.reason}{where}: remove it or change one of them"
