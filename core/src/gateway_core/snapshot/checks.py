"""Routes that routing refuses or that can never match, and texts that name what is not there.

Texts of `respond` and `error_pages` are sent as they are, so what stands for a value elsewhere reaches the client.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from gateway_core.config import (
    ConfigProblem,
    ErrorPageConfig,
    GatewayConfig,
    Place,
    PlaceOf,
    RouteConfig,
    format_path,
    is_url,
)
from gateway_core.config.address import target_name
from gateway_core.regex import Pattern, compile_pattern
from gateway_core.routing import (
    Conflict,
    RouteRule,
    RuleError,
    ValueCondition,
    find_conflicts,
    parse_host,
    rule_pattern,
)
from gateway_core.routing import Pattern as RoutePattern
from gateway_core.routing.conditions import compile_conditions, param_reader
from gateway_core.routing.router import host_keys
from gateway_core.snapshot.listeners import ListenerRoutes
from gateway_core.snapshot.own_response import compiled_redirect
from gateway_core.snapshot.route import request_rewrite, route_rules


def check_routes(config: GatewayConfig, place_of: PlaceOf) -> Iterator[ConfigProblem]:
    """Find routes that cannot be compiled, that can never match, and that are equal to another one."""
    sound: list[RouteRule[int]] = []
    cookies = {item.name: item.sticky_cookie.name for item in config.upstreams if item.sticky_cookie is not None}
    upstreams = {item.name for item in config.upstreams}
    for index, route in enumerate(config.routes):
        key_path = f"routes[{index}]"
        rules = route_rules(route, index, index, config.path_policy)
        errors = dict(_errors_in(route, rules, upstreams))  # what several paths have in common is reported once
        for key, error in errors.items():
            where = f"{key_path}{key}"
            yield ConfigProblem(place_of(where), where, error.reason, code=error.code, remedy=error.remedy)
        if not errors:
            sound += rules if route.enabled else ()
            yield from _bounded_patterns(rules[0], route, key_path, place_of)
        yield from _same_cookie(route, key_path, cookies, place_of)
    yield from _conflicts(config, sound, place_of)


def _same_cookie(
    route: RouteConfig, key_path: str, cookies: Mapping[str, str], place_of: PlaceOf
) -> Iterator[ConfigProblem]:
    """Find a cookie that both the route and one of its upstreams would set, each over the other's."""
    name = None if route.sticky_cookie is None else route.sticky_cookie.name
    for target in route.targets:
        if name is not None and cookies.get(target.target) == name:
            where = f"{key_path}.sticky_cookie.name"
            message = f"{name!r} is the sticky_cookie of upstream {target.target!r} as well"
            yield ConfigProblem(
                place_of(where), where, message, code="value.inconsistent", remedy="give them different names"
            )
            return


def _bounded_patterns(
    rule: RouteRule[int], route: RouteConfig, key_path: str, place_of: PlaceOf
) -> Iterator[ConfigProblem]:
    """Warn of regular expressions that refuse long texts of clients."""
    found = [(path_key(route, each), each[2]) for each in route.written_paths if each[0] == "path_regex"]
    for key, conditions in _value_conditions(rule):
        found += [(format_path((key, each.name, "regex")), each.regex) for each in conditions if each.regex is not None]
    for key, text in found:
        problem = compile_pattern(text, Pattern).problem
        if problem is not None:
            place = f"{key_path}.{key}"
            yield ConfigProblem(place_of(place), place, problem, code="regex.not-linear", severity="warning")


def path_key(route: RouteConfig, written: tuple[str, int, str]) -> str:
    """Return the key path below a route of one of its `written_paths`."""
    key, index, _ = written
    return key if key == "grpc" or len(getattr(route, key)) == 1 else f"{key}[{index}]"


def _value_conditions(rule: RouteRule[int]) -> tuple[tuple[str, tuple[ValueCondition, ...]], ...]:
    return (
        ("headers", rule.headers), ("query", rule.query), ("cookies", rule.cookies), ("params", rule.params),
    )  # fmt: skip


def _errors_in(
    route: RouteConfig, rules: Sequence[RouteRule[int]], upstreams: Collection[str]
) -> Iterator[tuple[str, RuleError]]:
    """Yield what cannot be compiled, with the key under the route that it is about."""
    error: RuleError | None = None
    for key, compile_part in _conditions(route, rules):
        try:
            compile_part()
        except RuleError as found:
            error = found
            yield f".{key}", found
    if error is not None:
        return
    for rule in rules:
        yield from _errors_of_path(route, rule, rule_pattern(rule), upstreams)


def _errors_of_path(
    route: RouteConfig, rule: RouteRule[int], pattern: RoutePattern, upstreams: Collection[str]
) -> Iterator[tuple[str, RuleError]]:
    changes: list[tuple[str, Callable[[], object]]] = [
        (format_path(("params", each.name)), partial(param_reader, each.name, pattern, rule.hosts))
        for each in rule.params
    ]
    named = None if route.target is None or is_url(route.target) else target_name(route.target)
    if named is not None and route.target not in upstreams:
        changes += [("target", partial(param_reader, name, pattern, rule.hosts)) for name in named.params]
    listed = [("plugins", route.plugins)]
    listed += [(f"targets[{index}].plugins", target.plugins) for index, target in enumerate(route.targets)]
    for key, bindings in listed:
        for index, binding in enumerate(bindings):
            for name in {} if binding.when is None else binding.when.params:
                where = f"{key}[{index}].when.{format_path(('params', name))}"
                changes.append((where, partial(param_reader, name, pattern, rule.hosts)))
    changes += [
        ("hosts", lambda: host_keys(rule.hosts, pattern)),
        ("rewrite" if route.rewrite else "strip_path", lambda: request_rewrite(route, None, pattern)),
    ]
    if route.redirect is not None:
        changes.append(("redirect", partial(compiled_redirect, route, pattern)))
    for index, target in enumerate(route.targets):
        changes.append((f"targets[{index}].rewrite", partial(request_rewrite, route, target.rewrite, pattern)))
    for key, compile_part in changes:
        try:
            compile_part()
        except RuleError as found:
            yield f".{key}", found
            return


def _conditions(route: RouteConfig, rules: Sequence[RouteRule[int]]) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield the keys that say when a route matches, each with what compiles it."""
    for written, rule in zip(route.written_paths, rules, strict=False):
        yield path_key(route, written), partial(rule_pattern, rule)
    for index, host in enumerate(route.hosts):
        yield f"hosts[{index}]", partial(parse_host, host)
    for key, conditions in _value_conditions(rules[0]):
        for condition in conditions:
            yield format_path((key, condition.name)), partial(compile_conditions, (condition,), ())


def _conflicts(config: GatewayConfig, rules: Sequence[RouteRule[int]], place_of: PlaceOf) -> Iterator[ConfigProblem]:
    """Find routes that can match at none of the listeners at which they count."""
    tables: ListenerRoutes[int] = ListenerRoutes(config.listen, config.routes)
    numbers = Counter(rule.payload for rule in rules)
    views = {rule.payload: tables.views_of(config.routes[rule.payload]) for rule in rules}
    found: dict[int, list[Conflict]] = {}
    for view in tables.views:
        of_view = [rule for rule in rules if view in views[rule.payload]]
        if len(of_view) < 2 and not any(rule.has_conditions for rule in of_view):
            continue  # There is nothing that could hide it, and nothing in it to exclude something else.
        for conflict in find_conflicts(of_view):
            found.setdefault(conflict.order, []).append(conflict)
    for index, counts in views.items():
        key_path = f"routes[{index}]"
        related: tuple[Place, ...] = ()
        remedy = "name one of them in listeners"
        if not counts:
            message = f"route {config.routes[index].id!r} can never match, as every listener has default: false"
        elif len(found.get(index, ())) == len(counts) * numbers[index]:
            # Every path of the route is taken by others, at every listener.
            message = _conflict_message(found[index][0], place_of)
            remedy = "remove it, change one of them, or give it a higher priority"
            related = tuple(place_of(f"routes[{order}]") for order in found[index][0].other_orders)
        else:
            continue
        place, code = place_of(key_path), "route.unreachable"
        yield ConfigProblem(place, key_path, message, code=code, remedy=remedy, related=related)


def _conflict_message(conflict: Conflict, place_of: PlaceOf) -> str:
    others = [
        f"{other!r} is at {place_of(f'routes[{order}]')}"
        for other, order in zip(conflict.others, conflict.other_orders, strict=True)
    ]
    where = f" ({', '.join(others)})" if others else ""
    return f"route {conflict.route!r} can never match: {conflict.reason}{where}"


_PLACEHOLDER: Final = re.compile(
    # nginx, APISIX
    r"\$(?:remote_addr|host|server_name|request_uri|uri|scheme|args|request_id|request_method|status)\b"
    r"|\$(?:http|arg|cookie)_\w"
    # Caddy, and the templates of the plugin headers
    r"|\{http\.[\w.-]{1,80}\}|\{(?:client_ip|remote_host|identity|request_id)\}|\{(?:header|param|query|claim|cookie):[\w.-]{1,80}\}"
    # Envoy, HAProxy
    r"|%[A-Z][A-Z_]{2,80}(?:\([^%()\s]{0,80}\))?%|%\[[a-z][^\[\]\s]{0,80}\]"
)


def check_placeholders(config: GatewayConfig, place_of: PlaceOf) -> Iterator[ConfigProblem]:
    """Warn of texts that were probably meant to depend on the request."""
    texts = list(_pages("error_pages", config.error_pages))
    for index, route in enumerate(config.routes):
        where = f"routes[{index}]"
        texts += _pages(f"{where}.error_pages", route.error_pages)
        if route.respond is not None:
            texts.append((f"{where}.respond.body", route.respond.body))
            headers = route.respond.headers.items()
            texts += [(f"{where}.{format_path(('respond', 'headers', name))}", value) for name, value in headers]
    for key_path, text in texts:
        if found := _PLACEHOLDER.search(text):
            yield ConfigProblem(
                place_of(key_path),
                key_path,
                f"has {found[0]!r}, which is sent literally",
                code="value.placeholder",
                remedy="leave it out, as such texts are the same for all requests: the plugin headers sets fields of "
                "responses to values of the request",
                severity="warning",
            )


def _pages(where: str, pages: Sequence[ErrorPageConfig]) -> Iterator[tuple[str, str]]:
    for index, page in enumerate(pages):
        if page.body is not None:
            yield f"{where}[{index}].body", page.body
