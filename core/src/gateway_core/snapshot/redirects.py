"""Redirects that lead to themselves, and redirects to HTTPS that more specific routes keep requests from.

A client would follow the former until it gives up.
A sample of the requests that a redirecting route takes is redirected, and what a client would send next is matched
again. Redirects whose new location depends on what a regular expression captures are not judged.

Routes are ranked by their paths, whatever their order: of a host whose every path is redirected to HTTPS, a route for
``/api`` without a condition on the scheme takes its requests over HTTP as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from gateway_core.config import ConfigProblem, GatewayConfig, ListenConfig, PlaceOf, RouteConfig
from gateway_core.config.suggestions import quote
from gateway_core.errors import BadPathError, TextTooLongError
from gateway_core.messages.path import encode_match_text, read_path
from gateway_core.routing import (
    Match,
    Pattern,
    Router,
    RouteRule,
    RuleError,
    UnsafePathError,
    normalize_host,
    parse_host,
    rule_pattern,
)
from gateway_core.routing.hosts import host_rank
from gateway_core.snapshot.listeners import DEFAULT_LISTENER, ListenerRoutes
from gateway_core.snapshot.own_response import compiled_redirect
from gateway_core.snapshot.probes import Probe, host_for, meeting, path_for
from gateway_core.snapshot.route import route_rules

_SAMPLE = "sample"
_HOST = "host.invalid"
_DEFAULT_PORTS = {"http": 80, "https": 443}
_MOST_PATHS = 20
"""Paths of a route that are tried at most."""
_MOST_HOSTS = 20
"""Hosts of redirects that are tried at most with a route that takes many."""


def check_redirects(config: GatewayConfig, place_of: PlaceOf) -> Iterator[ConfigProblem]:
    """Find redirects that lead to themselves."""
    tables: ListenerRoutes[int] | None = None
    for index, route in enumerate(config.routes):
        if route.redirect is None or not route.enabled:
            continue
        try:
            own: ListenerRoutes[int] = ListenerRoutes(config.listen, [route])
            for rule in route_rules(route, index, index, config.path_policy):
                own.add(route, rule)
            if not any(_loops(config, route, index, own)):
                continue
            tables = tables or _all_routes(config)
            location = next(_loops(config, route, index, tables), None)
        except RuleError:
            continue  # An error of its own.
        if location is not None:
            where = f"routes[{index}].redirect"
            is_elsewhere = _may_be_elsewhere(config, route)
            here = ", if clients reach this gateway by that host" if is_elsewhere else ""
            yield ConfigProblem(
                place_of(where),
                where,
                f"leads to itself, as its own route takes the new location, such as {location}{here}",
                code="route.redirect-loop",
                remedy="give the route conditions that the new location does not meet, or redirect to another one",
                severity="warning" if is_elsewhere else "error",
            )


def _may_be_elsewhere(config: GatewayConfig, route: RouteConfig) -> bool:
    """Whether a redirect names a host that nothing in the configuration says is served here."""
    if route.redirect is None or route.redirect.host is None or route.hosts:
        return False
    served = [host for listener in config.listen for host in listener.hosts]
    served += [host for other in config.routes for host in other.hosts]
    host = normalize_host(route.redirect.host)
    return host_rank([parse_host(each) for each in served], host) is None


def _all_routes(config: GatewayConfig) -> ListenerRoutes[int]:
    tables: ListenerRoutes[int] = ListenerRoutes(config.listen, config.routes)
    for index, route in enumerate(config.routes):
        if not route.enabled:
            continue
        try:
            for rule in route_rules(route, index, index, config.path_policy):
                tables.add(route, rule)
        except RuleError:
            continue  # An error of its own.
    return tables


def _loops(config: GatewayConfig, route: RouteConfig, index: int, tables: ListenerRoutes[int]) -> Iterator[str]:
    """Yield locations of the redirect that its own route takes."""
    for listener in config.listen or (DEFAULT_LISTENER,):
        if not (route.listeners and listener.name in route.listeners) and (route.listeners or not listener.default):
            continue
        router = tables.router_for(listener)
        for rule in route_rules(route, index, index, config.path_policy)[:_MOST_PATHS]:
            pattern = rule_pattern(rule)
            for probe in _samples(route, rule, pattern, listener):
                location = _location(route, pattern, probe, router, index)
                if location is not None and _takes(config, route, index, tables, listener, probe, location):
                    yield location


def _samples(route: RouteConfig, rule: RouteRule[int], pattern: Pattern, listener: ListenConfig) -> Iterator[Probe]:
    scheme = rule.scheme or ("http" if listener.tls is None else "https")
    method = route.methods[0] if route.methods else "GET"
    for host in route.hosts or (_HOST,):
        base = Probe(method, host_for(host), path_for(pattern, _SAMPLE), {}, {}, scheme=scheme)
        yield meeting(rule, base)


def _location(route: RouteConfig, pattern: Pattern, probe: Probe, router: Router[int], index: int) -> str | None:
    """Return where a request is redirected, as a whole URL; None if the route does not take it."""
    redirect = compiled_redirect(route, pattern)
    found = _match(router, probe)
    if redirect is None or found is None or found.payload != index:
        return None
    try:
        made = redirect.location(
            probe.scheme, probe.host, encode_match_text(probe.path), probe.query_string, found.params
        )
    except UnsafePathError:
        return None
    return f"{probe.scheme}://{probe.host}{made}" if made.startswith("/") else made


def _takes(
    config: GatewayConfig,
    route: RouteConfig,
    index: int,
    tables: ListenerRoutes[int],
    listener: ListenConfig,
    probe: Probe,
    location: str,
) -> bool:
    """Whether the request that a client sends to the new location is the same route's."""
    parts = urlsplit(location)
    try:
        path = read_path(parts.path or "/", config.path_policy.case == "insensitive")[0]
    except BadPathError:
        return False
    assert route.redirect is not None
    method = probe.method
    if (route.redirect.status == 303 and method != "HEAD") or (
        route.redirect.status in {301, 302} and method == "POST"
    ):
        method = "GET"  # what clients make of it (RFC 9110 section 15.4)
    following = replace(probe, method=method, host=parts.hostname or "", path=path, scheme=parts.scheme)
    for other in _listeners_of(config, listener, probe.scheme, parts.scheme, parts.port):
        found = _match(tables.router_for(other), following, parts.query)
        if found is not None and found.payload == index:
            return True
    return False


def _listeners_of(
    config: GatewayConfig, listener: ListenConfig, scheme: str, new_scheme: str, port: int | None
) -> Sequence[ListenConfig]:
    """Return where a client connects to: the same listener, unless another scheme or port is named."""
    if port is not None:
        return [each for each in config.listen if not each.parsed.path and each.parsed.port == port]
    if scheme == new_scheme:
        return [listener]
    likely = _DEFAULT_PORTS.get(new_scheme)
    return [each for each in config.listen if each.parsed.port == likely] or config.listen


def _match(router: Router[int], probe: Probe, query: str | None = None) -> Match[int] | None:
    text = probe.query_string if query is None else query
    try:
        found = router.match(probe.method, probe.host, probe.path, text, probe.header_values, probe)
    except TextTooLongError:
        return None
    return found if isinstance(found, Match) else None


# --- redirects to HTTPS, and what passes them by ------------------------------------------------------------------


def check_redirect_gaps(config: GatewayConfig, place_of: PlaceOf) -> Iterator[ConfigProblem]:
    """Warn of redirects to HTTPS beside routes that serve a part of their requests over HTTP."""
    redirecting = [index for index, route in enumerate(config.routes) if _redirects_http(route)]
    listeners = [each for each in config.listen or (DEFAULT_LISTENER,) if each.tls is None and not each.https_redirect]
    if not redirecting or not listeners:
        return
    hosts = tuple(dict.fromkeys(host for index in redirecting for host in config.routes[index].hosts))[:_MOST_HOSTS]
    passed: dict[int, dict[int, Probe]] = {}
    try:
        alone, all_routes = _tables(config, redirecting), _tables(config, range(len(config.routes)))
        for index, probe in _samples_over_http(config, hosts):
            for listener in listeners:
                redirect = _taker(alone, listener, probe)
                if redirect is not None and _taker(all_routes, listener, probe) == index:
                    passed.setdefault(redirect, {}).setdefault(index, probe)
    except RuleError:
        return  # An error of its own.
    for redirect, found in passed.items():
        yield _passed_by(config, redirect, found, place_of)


def _redirects_http(route: RouteConfig) -> bool:
    is_to_https = route.redirect is not None and route.redirect.scheme == "https"
    return route.enabled and is_to_https and route.effective_scheme == "http"


def _tables(config: GatewayConfig, indices: Iterable[int]) -> ListenerRoutes[int]:
    tables: ListenerRoutes[int] = ListenerRoutes(config.listen, config.routes)
    for index in indices:
        route = config.routes[index]
        if route.enabled:
            for rule in route_rules(route, index, index, config.path_policy):
                tables.add(route, rule)
    return tables


def _samples_over_http(config: GatewayConfig, hosts: tuple[str, ...]) -> Iterator[tuple[int, Probe]]:
    """Yield requests over HTTP that routes without a condition on the scheme may serve.

    :param hosts: those of redirects, for routes that take more than one.
    """
    for index, route in enumerate(config.routes):
        if not route.enabled or route.scheme is not None or route.redirect is not None or route.respond is not None:
            continue
        method = route.methods[0] if route.methods else "GET"
        named = [host for host in route.hosts if not host.startswith(("*.", ":"))]
        tried = named if route.hosts and len(named) == len(route.hosts) else [*route.hosts, *hosts, _HOST]
        for rule in route_rules(route, index, index, config.path_policy)[:_MOST_PATHS]:
            path = path_for(rule_pattern(rule), _SAMPLE)
            for host in tried:
                yield index, meeting(rule, Probe(method, host_for(host), path, {}, {}))


def _taker(tables: ListenerRoutes[int], listener: ListenConfig, probe: Probe) -> int | None:
    found = _match(tables.router_for(listener), probe)
    return None if found is None else found.payload


def _passed_by(config: GatewayConfig, index: int, passed: dict[int, Probe], place_of: PlaceOf) -> ConfigProblem:
    where = f"routes[{index}].redirect.scheme"
    first, probe = next(iter(passed.items()))
    others = f" and {len(passed) - 1} more" if len(passed) > 1 else ""
    most = max(config.routes[each].priority for each in passed) + 1
    return ConfigProblem(
        place_of(where),
        where,
        f"does not redirect requests such as {probe}: route {quote(config.routes[first].id)}{others} comes first",
        code="route.redirect-passed-by",
        remedy=f"write priority: {most} on the redirect, https_redirect: true on the listener for all routes, or "
        "scheme: http on the other route if that is meant",
        severity="warning",
        related=tuple(place_of(f"routes[{each}]") for each in passed),
    )
