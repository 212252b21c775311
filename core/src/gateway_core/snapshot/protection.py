"""What protects a route, and requests that bypass it: pure decisions over a configuration.

A route is protected by the bindings of its chain that decide who may pass (`PluginDescription.access_control`). If one
of its conditions fails, the router goes on to the next best route. Where that route sends the request to the same
target without the same protection, a client that leaves out a header field or uses another method bypasses it.

These requests are found by trying them with the router itself: for each protected route, requests are made that meet
its path and fail one of its conditions. So precedence, and routes in between, count as they do in traffic.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final
from urllib.parse import urlencode

from gateway_core.config import (
    BindingConfig,
    ConfigProblem,
    GatewayConfig,
    PlaceOf,
    PluginCatalog,
    RouteConfig,
    effective_chain,
    is_url,
)
from gateway_core.config.address import target_name
from gateway_core.config.suggestions import listed, quote
from gateway_core.messages.path import encode_match_text, read_path
from gateway_core.routing import (
    Match,
    Pattern,
    Router,
    RouterBuilder,
    RouteRule,
    RuleError,
    rule_pattern,
)
from gateway_core.routing.patterns import Shape
from gateway_core.snapshot.listeners import ListenerRoutes
from gateway_core.snapshot.probes import Probe, failed, failing_otherwise, host_for, meeting, path_for
from gateway_core.snapshot.route import arrival_policy_of, request_rewrite, route_rules

_METHODS: Final = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")
_SEGMENTS: Final = ("1", "example", "x-gateway-example")
"""What stands for a parameter; the first that no other route takes."""

_MOST_NEIGHBOURS: Final = 50
"""Routes to the same target whose conditions are compared with each protected route."""

_STRANGER: Final = "other.example"


@dataclass(frozen=True, slots=True)
class WayRound:
    """A request that reaches a protected route's target by another route."""

    protected: int
    """Position of the protected route."""
    other: int
    """Position of the route that takes the request."""
    missing: tuple[str, ...]
    """Ids of the bindings that the other route lacks."""
    probe: Probe


@dataclass(frozen=True, slots=True)
class _Route:
    index: int
    number: int
    """Which it is: a route with several paths is one for each."""
    config: RouteConfig
    rule: RouteRule[int]
    pattern: Pattern
    guards: Mapping[str, str]
    """What is protected against, with the binding's id."""
    targets: frozenset[str]


_Taken = tuple[Probe, Match[int]]
"""A request, and how a route takes it."""


def ways_round(config: GatewayConfig, catalog: PluginCatalog) -> Iterator[WayRound]:
    """Find requests that reach what a protected route protects without its bindings; one for each pair of routes."""
    routes = list(_routes(config, catalog))
    tables: ListenerRoutes[int] = ListenerRoutes(config.listen, config.routes)
    found: set[tuple[int, int]] = set()
    # What another listener serves is another door, which its routes open on purpose.
    for view in tables.views:
        for way in _ways_round([route for route in routes if view in tables.views_of(route.config)]):
            if (way.protected, way.other) not in found:
                found.add((way.protected, way.other))
                yield way


def _ways_round(routes: Sequence[_Route]) -> Iterator[WayRound]:
    """Find them among the routes of one listener."""
    enabled = [route for route in routes if route.config.enabled]
    weaker = _Weaker(enabled)
    if not (exposed := [route for route in routes if route.guards and weaker.than(route)]):
        return
    router = Router.build(route.rule for route in enabled)
    by_number = {route.number: route for route in routes}
    if len(enabled) < len(routes):
        yield from _disabled([route for route in exposed if not route.config.enabled], routes, router)
        exposed = [route for route in exposed if route.config.enabled]
    named = {method for route in routes for method in route.config.methods}
    methods = [*_METHODS, *sorted(named.difference(_METHODS))]
    for route in exposed:
        if (taken := _taken_by(route, router)) is not None:
            base, own = taken
            probes = _probes(route, base, weaker.with_conditions(route), methods)
            rewritten = _rewritten(route, own, base, weaker.with_another_path(route))
            yield from _around(route, taken, chain(probes, rewritten), router, by_number)


def _disabled(exposed: Iterable[_Route], routes: Sequence[_Route], router: Router[int]) -> Iterator[WayRound]:
    """Find requests of routes that are not enabled, which the routes beside them take."""
    with_all = Router.build(route.rule for route in routes)
    by_number = {route.number: route for route in routes}
    for route in exposed:
        if (taken := _taken_by(route, with_all)) is not None:
            methods = route.config.methods or _METHODS
            probes = [replace(taken[0], method=method, way="the route is not enabled") for method in methods]
            yield from _around(route, taken, probes, router, by_number)


class _Weaker:
    """Finds what is less protected by target: comparing all pairs of 10,000 routes would take half a minute."""

    def __init__(self, routes: Sequence[_Route]) -> None:
        self._guards: dict[str, set[frozenset[str]]] = {}
        self._conditional: dict[str, list[_Route]] = {}
        self._by_path: dict[tuple[str, bool], list[_Route]] = {}
        for route in routes:
            for target in route.targets:
                self._guards.setdefault(target, set()).add(frozenset(route.guards))
                if route.rule.condition_count or route.rule.query:
                    self._conditional.setdefault(target, []).append(route)
                self._by_path.setdefault((target, _rewrites(route.config)), []).append(route)

    def than(self, route: _Route) -> bool:
        """Whether some route reaches the same target with less protection."""
        return any(
            not route.guards.keys() <= guards for target in route.targets for guards in self._guards.get(target, ())
        )

    def with_conditions(self, route: _Route) -> list[_Route]:
        """Return some routes of that kind that have conditions of their own."""
        return self._near(route, [self._conditional.get(target, []) for target in route.targets])

    def with_another_path(self, route: _Route) -> list[_Route]:
        """Return some routes of that kind that may send another path as what this one sends."""
        kinds = (True, False) if _rewrites(route.config) else (True,)
        return self._near(route, [self._by_path.get((target, kind), []) for target in route.targets for kind in kinds])

    def _near(self, route: _Route, found: Iterable[list[_Route]]) -> list[_Route]:
        near = chain.from_iterable(others[:_MOST_NEIGHBOURS] for others in found)
        return [other for other in near if other.index != route.index and _lacks(other, route)]


def kept_slashes(config: GatewayConfig, catalog: PluginCatalog) -> Iterator[tuple[int, int]]:
    """Find routes that keep encoded slashes beside one that is protected more, with the same target.

    An upstream that decodes ``%2F`` before it looks up the path may serve what the other route protects. Yields
    the positions of both, one pair for each route that keeps them.
    """
    if arrival_policy_of(config).encoded_slash == "reject":
        return
    routes = [route for route in _routes(config, catalog) if route.config.enabled]
    # One route of each kind of protection is enough: tables are long, kinds are few.
    kinds = {(frozenset(route.guards), route.targets): route for route in reversed(routes) if route.guards}
    for route in routes:
        if route.rule.policy.encoded_slash == "keep":
            protected = next((other for other in kinds.values() if _lacks(route, other)), None)
            if protected is not None:
                yield route.index, protected.index


def _around(
    route: _Route, taken: _Taken, probes: Iterable[Probe], router: Router[int], routes: Mapping[int, _Route]
) -> Iterator[WayRound]:
    """Yield the requests that another route sends where this one sends its own, with less protection."""
    (base, own), found = taken, {route.number}
    for probe in probes:
        match = _match(router, probe)
        if match is None or match.payload in found:
            continue
        other = routes[match.payload]
        if (
            other.index != route.index
            and _lacks(other, route)
            and _sent(other, match, probe.path) == _sent(route, own, base.path)
        ):
            found.add(other.number)
            missing = tuple(binding for kind, binding in route.guards.items() if kind not in other.guards)
            yield WayRound(route.index, other.index, tuple(dict.fromkeys(missing)), probe)


def _lacks(other: _Route, route: _Route) -> bool:
    """Whether ``other`` reaches the same target with less protection."""
    return bool(other.targets & route.targets) and not route.guards.keys() <= other.guards.keys()


# --- routes ----------------------------------------------------------------------------------------------------------


def _routes(config: GatewayConfig, catalog: PluginCatalog) -> Iterator[_Route]:
    """Yield the routes that can be compiled, those that are not enabled included."""
    origins = {
        upstream.name: frozenset(endpoint.url for endpoint in upstream.endpoints) | {upstream.name}
        for upstream in config.upstreams
    }
    shared: Mapping[str, str] | None = None
    number = 0
    for index, route in enumerate(config.routes):
        try:
            rules = route_rules(route, index, index, config.path_policy)
            patterns = [rule_pattern(rule) for rule in rules]
            for rule in rules:
                RouterBuilder[int]().add(rule)
        except RuleError:
            continue  # An error of its own.
        has_own = bool(route.plugins) or any(target.plugins for target in route.targets)
        if has_own or shared is None:
            guards = _guards(config, route, catalog)
            shared = guards if not has_own else shared
        else:
            guards = shared
        names = [target for target in (route.target, *(item.target for item in route.targets)) if target is not None]
        named = None if route.target is None or route.target in origins else target_name(route.target)
        if named is not None and not is_url(route.target or ""):
            names = named.among(origins)
        targets = frozenset(origin for name in names for origin in origins.get(name, frozenset({name})))
        for rule, pattern in zip(rules, patterns, strict=True):
            yield _Route(index, number, route, rule.carrying(number), pattern, guards, targets)
            number += 1


def _guards(config: GatewayConfig, route: RouteConfig, catalog: PluginCatalog) -> Mapping[str, str]:
    """Return what a route is protected against, with the binding's id: what holds for each of its targets."""
    bindings = [target.plugins for target in route.targets] or [()]
    of_targets = [_guards_of(config, route, of_target, catalog) for of_target in bindings]
    first = of_targets[0]
    return {kind: binding for kind, binding in first.items() if all(kind in guards for guards in of_targets)}


def _guards_of(
    config: GatewayConfig, route: RouteConfig, of_target: Sequence[BindingConfig], catalog: PluginCatalog
) -> Mapping[str, str]:
    guards: dict[str, str] = {}
    for entry in effective_chain(config.plugins, route.plugins, 0, of_target):
        binding: BindingConfig = entry.binding
        description = catalog.describe(binding.name) if binding.mode == "enforce" and binding.when is None else None
        if description is None or description.load_error is not None or not description.access_control:
            continue
        provides = description.provides_of(binding.config) if description.provides_of else description.provides
        # Who provides the same (an identity) protects against the same.
        for kind in sorted(provides) or [binding.name]:
            guards.setdefault(kind, binding.id)
    return guards


# --- requests --------------------------------------------------------------------------------------------------------


def _probes(route: _Route, base: Probe, neighbours: Sequence[_Route], methods: Sequence[str]) -> Iterator[Probe]:
    own = route.config.methods or methods
    for method in methods:
        if method not in own:
            yield replace(base, method=method, way="another method")
    for probe in _failing(route, base):
        for method in own:
            yield replace(probe, method=method)
    for other in neighbours:
        met = meeting(other.rule, replace(base, way=f"the conditions of route {other.config.id!r}"))
        for method in own:
            yield replace(met, method=method)


def _taken_by(route: _Route, router: Router[int]) -> _Taken | None:
    """Return a request that the route takes, to be changed, and its match; None if none is found."""
    host = host_for(route.config.hosts[0]) if route.config.hosts else ""
    for text in _SEGMENTS:
        path = path_for(route.pattern, text)
        method = route.config.methods[0] if route.config.methods else "GET"
        probe = meeting(route.rule, Probe(method, host, path, {}, {}))
        match = _match(router, probe)
        if match is not None and match.payload == route.number:
            return probe, match
    return None


def _failing(route: _Route, base: Probe) -> Iterator[Probe]:
    """Yield requests that fail one condition of the route beside its methods."""
    for condition in route.rule.headers:
        way = f"{'with' if condition.present is False else 'without'} the header {condition.name}"
        yield replace(base, headers=failed(base.headers, condition), way=way)
    for condition in route.rule.query:
        way = f"{'with' if condition.present is False else 'without'} the parameter {condition.name}"
        yield replace(base, query=failed(base.query, condition), way=way)
    yield from failing_otherwise(route.rule, base)
    for host in route.config.hosts:
        labels = (host.partition(".")[2] if host.startswith((":", "*.")) else host).split(".")
        for start in range(1, len(labels)):
            yield replace(base, host=".".join(["other", *labels[start:]]), way="another host")
        yield replace(base, host=_STRANGER, way="another host")
    if route.pattern.shape is not Shape.PREFIX and base.path != "/":
        yield replace(base, path=base.path + "/", way="a / behind the path")


def _rewrites(config: RouteConfig) -> bool:
    return config.strip_path or (config.rewrite is not None and config.rewrite.changes_path)


def _rewritten(route: _Route, own: Match[int], base: Probe, others: Sequence[_Route]) -> Iterator[Probe]:
    """Yield requests of which other routes make, by a rewrite, what this one sends."""
    sent = read_path(_sent(route, own, base.path) or "/")[0] if others else ""
    for other in others:
        path = _source(other, sent)
        if path is not None:
            host = host_for((other.config.hosts or (base.host,))[0])
            method = (other.config.methods or (base.method,))[0]
            way = f"rewritten to {sent}" if _rewrites(other.config) else f"what {quote(route.config.id)} rewrites to"
            yield meeting(other.rule, Probe(method, host, path, base.headers, base.query, way))


def _source(route: _Route, sent: str) -> str | None:
    """Return a path that a route rewrites to another one, in simple cases; the router decides whether it matches."""
    if not _rewrites(route.config):
        return sent
    rewrite, literals = route.config.rewrite, route.pattern.segments[: route.pattern.literal_count]
    prefix = "" if rewrite is None else rewrite.prefix
    if prefix is None or not sent.startswith(prefix := f"{prefix.rstrip('/')}/"):
        return None
    return "".join(["/" + segment.text for segment in literals]) + "/" + sent[len(prefix) :]


def _match(router: Router[int], probe: Probe) -> Match[int] | None:
    query = urlencode(probe.query)
    found = router.match(probe.method, probe.host, probe.path, query, probe.header_values, probe)
    return found if isinstance(found, Match) else None


def _sent(route: _Route, match: Match[int], path: str) -> str:
    """Return the path that the upstream gets from this route."""
    rewrite = request_rewrite(route.config, None, route.pattern).path
    # Whether there is a / at its end makes no difference to most upstreams.
    raw = encode_match_text(path)
    return (raw if rewrite is None else rewrite(match.params, raw)).rstrip("/")


def check_protection(config: GatewayConfig, place_of: PlaceOf, catalog: PluginCatalog) -> Iterator[ConfigProblem]:
    """Warn of requests that reach what a route protects without its bindings."""
    for found in ways_round(config, catalog):
        key_path, other_path = f"routes[{found.protected}]", f"routes[{found.other}]"
        route, other = config.routes[found.protected].id, config.routes[found.other].id
        bindings = listed([quote(binding) for binding in found.missing], last="and")
        it = "it" if len(found.missing) == 1 else "them"
        message = (
            f"route {quote(route)} is protected by {bindings}, but {found.probe} ({found.probe.way}) is "
            f"taken by route {quote(other)} at {place_of(other_path)}, which sends it to the same target "
            f"without {it}"
        )
        yield ConfigProblem(
            place_of(key_path),
            key_path,
            message,
            code="route.protection-bypassed",
            severity="warning",
            related=(place_of(other_path),),
            remedy=f"bind {bindings} there too, or add a route with {it} for these requests",
        )
    for index, protected in kept_slashes(config, catalog):
        key_path, other_path = f"routes[{index}]", f"routes[{protected}]"
        message = (
            f"route {quote(config.routes[index].id)} keeps encoded slashes, and an upstream that decodes "
            f"them may find what route {quote(config.routes[protected].id)} at {place_of(other_path)} "
            "protects at the same target"
        )
        yield ConfigProblem(
            place_of(key_path),
            key_path,
            message,
            code="route.encoded-slash-kept",
            severity="warning",
            related=(place_of(other_path),),
            remedy="bind the same plugins here, or write path_policy: {encoded_slash: reject}",
        )
