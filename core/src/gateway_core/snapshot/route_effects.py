"""Settings of routes that are valid and change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway_core.config import LimitsConfig, RewriteConfig, RouteConfig, UpstreamConfig
from gateway_core.routing import Pattern, RuleError
from gateway_core.snapshot.no_effect import (
    Found,
    hash_sources_without_effect,
    no_effect,
    retries_without_effect,
    timeouts_without_effect,
    written,
)
from gateway_core.snapshot.request_rewrite import request_rewrite
from gateway_core.snapshot.rules import pattern_of

_OF_REQUESTS: Final = (
    "preserve_host", "timeouts", "retries", "max_body_bytes", "rewrite", "rewrite_response", "buffer_request",
)  # fmt: skip
"""What is for requests that go upstream."""


def targets_of(route: RouteConfig) -> list[str]:
    """Return the targets of a route as they are written."""
    named = [item.target for item in route.targets]
    return named if route.target is None else [route.target, *named]


def params_of(route: RouteConfig) -> tuple[str, ...] | None:
    """Return the names that a route's path captures; None if its path has an error of its own."""
    try:
        return pattern_of(route).params
    except RuleError:
        return None


def route_effects(route: RouteConfig, upstreams: Sequence[UpstreamConfig], limits: LimitsConfig) -> Found:
    """Yield what has no effect, by key paths below the route.

    :param upstreams: those among its targets that are configured.
    """
    yield from _path(route)
    if route.redirect is not None:
        useless = [name for name in written(route, *_OF_REQUESTS) if getattr(route, name)]
        yield from no_effect("", useless, "the route redirects, and sends nothing upstream")
        return
    for index, mirror in enumerate(route.mirror):
        if not mirror.percent:
            where = "mirror" if len(route.mirror) == 1 else f"mirror[{index}]"
            yield f".{where}", "mirror has no effect: percent is 0"
    yield from _targets(route)
    yield from hash_sources_without_effect(route.hash_on, params_of(route))
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
    try:
        pattern = pattern_of(route)
        changes = request_rewrite(route, None, pattern).path is not None
    except RuleError:
        return  # An error of its own.
    if route.strip_path and not changes:
        yield from no_effect("", ["strip_path"], "the path has no literal part before its first parameter")
    if route.rewrite is not None:
        yield from _rewrite(route.rewrite, ".rewrite", route, pattern)
    rewrites = [route.rewrite]
    for index, target in enumerate(route.targets):
        rewrites.append(target.rewrite)
        if target.rewrite is not None:
            yield from _rewrite(target.rewrite, f".targets[{index}].rewrite", route, pattern)
    undo = route.rewrite_response
    if (
        undo is not None
        and undo.cookie_path
        and not changes
        and not any(each and each.changes_path for each in rewrites)
    ):
        yield from no_effect(".rewrite_response", ["cookie_path"], "the path goes upstream as it came")


def _rewrite(rewrite: RewriteConfig, where: str, route: RouteConfig, pattern: Pattern) -> Found:
    prefix = "/" + "/".join([segment.text for segment in pattern.segments[: pattern.literal_count]])
    parent, _, name = where.rpartition(".")
    if rewrite.prefix is not None and rewrite.prefix.rstrip("/") == prefix.rstrip("/"):
        yield from no_effect(*_prefix_or_all(rewrite, parent, name, "prefix"), "it puts the same prefix in its place")
    elif rewrite.template is not None and rewrite.template == route.path:
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
