"""Settings of routes that are valid and change nothing, priorities among them, and the messages about them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from gateway_core.config import (
    ConfigModel,
    GatewayConfig,
    LimitsConfig,
    RetriesConfig,
    RewriteConfig,
    RouteConfig,
    RouteTimeoutsConfig,
    TimeoutsConfig,
    UpstreamConfig,
)
from gateway_core.routing import Pattern, RuleError, host_captures
from gateway_core.routing.patterns import Kind, Shape
from gateway_core.snapshot.route import patterns_of, request_rewrite, targets_of

_OF_REQUESTS: Final = (
    "preserve_host", "timeouts", "retries", "max_body_bytes", "rewrite", "rewrite_response", "buffer_request",
)  # fmt: skip
"""What is for requests that go upstream."""


def params_of(route: RouteConfig) -> tuple[str, ...] | None:
    """Return the names that a route's paths and hosts capture; None if a path has an error of its own."""
    try:
        names = [name for pattern in patterns_of(route) for name in pattern.params]
    except RuleError:
        return None
    return tuple(dict.fromkeys([*names, *host_captures(route.hosts)]))


def route_effects(
    route: RouteConfig, upstreams: Sequence[UpstreamConfig], limits: LimitsConfig, stripped: Collection[str] = ()
) -> Found:
    """Yield what has no effect, by key paths below the route.

    :param upstreams: those among its targets that are configured.
    :param stripped: see `stripped_fields`.
    """
    yield from _path(route)
    if not route.sends_upstream:
        useless = [name for name in written(route, *_OF_REQUESTS) if getattr(route, name)]
        if route.redirect is None and route.respond is None and route.plugins:
            # A plugin that responds itself may ask for the path that would go upstream, as `static` does.
            useless = [name for name in useless if name != "rewrite"]
        why = "redirects, and" if route.redirect is not None else "responds itself, and"
        yield from no_effect("", useless, f"the route {why} sends nothing upstream")
        return
    for index, mirror in enumerate(route.mirror):
        if not mirror.percent:
            where = "mirror" if len(route.mirror) == 1 else f"mirror[{index}]"
            yield f".{where}", "mirror has no effect: percent is 0"
    yield from _targets(route)
    if route.hash_on:
        yield from hash_sources_without_effect(route.hash_on, params_of(route), stripped)
    yield from _host(route, upstreams)
    most = limits.max_body_bytes if route.max_body_bytes is None else route.max_body_bytes
    if route.buffer_request and 0 < most < route.buffer_request:
        yield ".buffer_request", f"{route.buffer_request} is never reached: max_body_bytes is {most}"
    if route.retries is not None:
        replaces = any(upstream.retries is not None for upstream in upstreams)
        yield from retries_without_effect(route.retries, replaces=replaces)
    if route.timeouts is not None:
        total = route.timeouts.total
        if total is None and len(upstreams) == 1:
            total = upstreams[0].timeouts.total
        yield from timeouts_without_effect(route.timeouts, total)


def _targets(route: RouteConfig) -> Found:
    if len(route.targets) == 1:
        yield from no_effect(".targets[0]", written(route.targets[0], "weight"), "there is no other target")
        kept = [name for name in ("sticky_cookie", "hash_on") if getattr(route, name)]
        yield from no_effect("", kept, "there is no other target than the one that is kept")
    if route.targets and route.rewrite is not None and all(target.rewrite is not None for target in route.targets):
        yield from no_effect("", ["rewrite"], "every target has its own, which replaces it")


def _host(route: RouteConfig, upstreams: Sequence[UpstreamConfig]) -> Found:
    endpoints = [endpoint for upstream in upstreams for endpoint in upstream.endpoints]
    are_sockets = all(endpoint.origin.is_unix for endpoint in endpoints)
    is_known = len(upstreams) == len(targets_of(route)) and all(upstream.discovery is None for upstream in upstreams)
    if is_known and are_sockets:
        yield from no_effect("", written(route, "preserve_host"), "unix sockets get the client's Host in any case")


def _path(route: RouteConfig) -> Found:
    if not written(route, "strip_path", "rewrite", "rewrite_response", "targets"):
        return
    try:
        patterns = patterns_of(route)
        changes = any(request_rewrite(route, None, pattern).path is not None for pattern in patterns)
    except RuleError:
        return  # An error of its own.
    if route.strip_path and not changes:
        yield from no_effect("", ["strip_path"], "the path has no literal part before its first parameter")
    if route.rewrite is not None:
        yield from _rewrite(route.rewrite, ".rewrite", route, patterns)
    rewrites = [route.rewrite]
    for index, target in enumerate(route.targets):
        rewrites.append(target.rewrite)
        if target.rewrite is not None:
            yield from _rewrite(target.rewrite, f".targets[{index}].rewrite", route, patterns)
    undo = route.rewrite_response
    if (
        undo is not None
        and undo.cookie_path
        and not changes
        and not any(each and each.changes_path for each in rewrites)
    ):
        yield from no_effect(".rewrite_response", ["cookie_path"], "the path goes upstream as it came")


def _rewrite(rewrite: RewriteConfig, where: str, route: RouteConfig, patterns: Sequence[Pattern]) -> Found:
    prefixes = {
        "/" + "/".join([each.text for each in pattern.segments[: pattern.literal_count]]) for pattern in patterns
    }
    parent, _, name = where.rpartition(".")
    if rewrite.prefix is not None and {rewrite.prefix.rstrip("/")} == {prefix.rstrip("/") for prefix in prefixes}:
        yield from no_effect(*_prefix_or_all(rewrite, parent, name, "prefix"), "it puts the same prefix in its place")
    elif rewrite.template is not None and (rewrite.template,) == route.path:
        yield from no_effect(*_prefix_or_all(rewrite, parent, name, "template"), "the template is the path")
    query = rewrite.query
    for index, removed in enumerate(() if query is None else query.remove):
        if query is not None and (removed in query.set or removed in query.remove[:index]):
            why = "it is set, which replaces it" if removed in query.set else "it stands there already"
            yield f"{where}.query.remove[{index}]", f"{removed} has no effect: {why}"


def _prefix_or_all(rewrite: RewriteConfig, parent: str, name: str, key: str) -> tuple[str, list[str]]:
    """Return the key that has no effect: the whole section if it has nothing else."""
    alone = rewrite.host is None and rewrite.query is None
    return (parent, [name]) if alone else (f"{parent}.{name}", [key])


Found = Iterator[tuple[str, str]]
"""Key paths below what is looked at, and messages."""


def written(model: ConfigModel | None, *names: str) -> list[str]:
    """Return those of the keys that were written."""
    return [] if model is None else [name for name in names if name in model.model_fields_set]


def no_effect(prefix: str, names: Sequence[str], why: str) -> Found:
    """Yield that keys below ``prefix`` have no effect."""
    for name in names:
        yield f"{prefix}.{name}", f"{name} has no effect: {why}"


def retries_without_effect(retries: RetriesConfig, *, replaces: bool = False) -> Found:
    """Find settings of retries that change nothing.

    :param replaces: whether they stand in the place of others, so that no retries are an effect.
    """
    rest = written(retries, *sorted(RetriesConfig.model_fields.keys() - {"attempts"}))
    nothing = [name for name in ("attempts", "on", "methods") if not getattr(retries, name)]
    if nothing and (rest or not replaces):
        yield ".retries", f"retries has no effect: {nothing[0]} is {'0' if nothing[0] == 'attempts' else 'empty'}"
    elif not nothing and not retries.budget_percent and not retries.budget_minimum:
        yield ".retries", "retries has no effect: budget_percent and budget_minimum are 0"
    elif retries.attempts == 1:
        # The first pause is backoff_base at most.
        yield from no_effect(".retries", written(retries, "backoff_max"), "the pause grows only with a second retry")
    elif not retries.backoff_base:
        yield from no_effect(".retries", written(retries, "backoff_max"), "backoff_base is 0, and stays so")


def timeouts_without_effect(timeouts: TimeoutsConfig | RouteTimeoutsConfig, total: float | None) -> Found:
    """Find timeouts that the total ends before."""
    for name in written(timeouts, "connect", "response", "idle"):
        value = getattr(timeouts, name)
        if total and value is not None and value >= total:
            yield f".timeouts.{name}", f"{value:g}s is never reached: total is {total:g}s"


def hash_sources_without_effect(
    sources: Sequence[str], params: Iterable[str] | None = None, stripped: Collection[str] = ()
) -> Found:
    """Find sources behind one that every request has, and those that no request has.

    :param params: what the paths of the routes capture; None if that is not known.
    :param stripped: what no request has once clients' fields are removed (`stripped_fields`).
    """
    for index, source in enumerate(sources):
        if index and "client_ip" in sources[:index]:
            yield f".hash_on[{index}]", f"{source} is never looked at: every request has a client_ip"
        elif source in sources[:index]:
            yield f".hash_on[{index}]", f"{source} stands there already"
        elif params is not None and source.startswith("param:") and source.removeprefix("param:") not in params:
            where = ".hash_on" if len(sources) == 1 else f".hash_on[{index}]"
            known = ", ".join(f"param:{name}" for name in sorted(params)) or "none"
            yield where, f"no request has {source}: the paths of its routes capture {known}"
        elif source.startswith("header:") and _spelt_one_way(source.removeprefix("header:")) in stripped:
            where = ".hash_on" if len(sources) == 1 else f".hash_on[{index}]"
            yield where, f"no request has {source}: strip_headers removes it, and no plugin sets it"


_INSTEAD: Final = {
    "x-forwarded-proto": "write scheme, or trusted_proxies",
    "x-forwarded-for": "write client_ip, or trusted_proxies",
    "x-forwarded-host": "write hosts, or trusted_proxies",
}
_BY_PROXIES: Final = ("x-forwarded-", "x-real-ip", "forwarded")
"""What fields begin with that only trusted peers may send, as far as routes are chosen by them."""


def conditions_without_effect(config: GatewayConfig, route: RouteConfig) -> Found:
    """Find conditions on fields that no request has when its route is looked for."""
    if config.plugins:
        return  # One of them may set the field before the match.
    stripped = set(map(_spelt_one_way, config.strip_headers))
    trusts = bool(config.trusted_proxies or any(listen.trusted_proxies for listen in config.listen))
    for name, condition in route.headers.items():
        if condition.present is False or condition.none_of is not None:
            continue  # These hold without the field.
        spelt = _spelt_one_way(name)
        if spelt in stripped:
            yield f".headers.{name}", f"no request has {name}: strip_headers removes it"
        elif not trusts and spelt.startswith(_BY_PROXIES):
            instead = _INSTEAD.get(spelt, "name the proxies in trusted_proxies")
            yield f".headers.{name}", f"no request has {name}: it is removed, as no peer is trusted: {instead}"


def stripped_fields(config: GatewayConfig, routes: Iterable[RouteConfig]) -> frozenset[str]:
    """Return the fields of ``strip_headers`` that no request of the routes has; none if a plugin may set them."""
    if config.plugins or any(route.plugins or any(target.plugins for target in route.targets) for route in routes):
        return frozenset()
    return frozenset(map(_spelt_one_way, config.strip_headers))


def _spelt_one_way(name: str) -> str:
    return name.lower().replace("_", "-")


_MOST_PAIRS: Final = 200_000
"""Pairs of routes that are compared at most; beyond it there is no warning."""


def idle_priorities(config: GatewayConfig) -> Iterator[tuple[str, str]]:
    """Yield key paths and messages. What may overlap counts as overlapping, so that no useful priority is reported."""
    given = [index for index, route in enumerate(config.routes) if route.priority]
    if not given or len(given) * len(config.routes) > _MOST_PAIRS:
        return
    try:
        patterns = [patterns_of(route) for route in config.routes]
    except RuleError:
        return  # An error of its own.
    for index in given:
        route = config.routes[index]
        rivals = (
            other.priority != route.priority and _may_meet(route, patterns[index], other, patterns[position])
            for position, other in enumerate(config.routes)
            if position != index
        )
        if not any(rivals):
            why = "no route of another priority takes the same requests"
            yield f"routes[{index}].priority", f"priority has no effect: {why}"


def _may_meet(
    route: RouteConfig, patterns: Sequence[Pattern], other: RouteConfig, other_patterns: Sequence[Pattern]
) -> bool:
    """Whether a request may exist that both take. Conditions beside the methods are not compared."""
    if route.methods and other.methods and not set(route.methods) & set(other.methods):
        return False
    hosts, other_hosts = _names(route), _names(other)
    if hosts and other_hosts and not any(_same_host(one, two) for one in hosts for two in other_hosts):
        return False
    return any(paths_may_meet(one, two) for one in patterns for two in other_patterns)


def _names(route: RouteConfig) -> list[str]:
    # What takes one label is compared as what takes any.
    hosts = [f"*.{host.partition('.')[2]}" if host.startswith(":") else host for host in route.hosts]
    return [host.lower().removesuffix(".") for host in hosts]


def _same_host(one: str, two: str) -> bool:
    if one.startswith("*.") and two.startswith("*."):
        return one.endswith(two[1:]) or two.endswith(one[1:])
    if one.startswith("*."):
        return two.endswith(one[1:])
    return one.endswith(two[1:]) if two.startswith("*.") else one == two


def paths_may_meet(one: Pattern, two: Pattern) -> bool:
    """Whether a path may exist that both patterns take; a regular expression may take any."""
    if Shape.REGEX in {one.shape, two.shape}:
        return True
    for first, second in zip(one.segments, two.segments, strict=False):
        if Kind.REST in {first.kind, second.kind}:
            return True
        if first.kind is Kind.LITERAL and second.kind is Kind.LITERAL and first.text.lower() != second.text.lower():
            return False
    # What is left of the longer one must fit behind the end of the shorter one.
    shorter, longer = sorted((one, two), key=lambda pattern: len(pattern.segments))
    rest = longer.segments[len(shorter.segments) :]
    return shorter.shape is Shape.PREFIX or all(segment.kind is Kind.REST for segment in rest)
