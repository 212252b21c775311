"""From a configured route to the words of the routing layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from gateway_core.config import ConditionConfig, RouteConfig
from gateway_core.messages import Request, Response
from gateway_core.routing import (
    Pattern,
    RedirectOptions,
    RewriteOptions,
    RouteRule,
    UnsafePathError,
    ValueCondition,
    compile_redirect,
    compile_rewrite,
    rule_pattern,
)
from gateway_core.snapshot.route import Redirect, Rewrite

P = TypeVar("P")


def route_rule(config: RouteConfig, order: int, payload: P) -> RouteRule[P]:
    """Return when a route matches."""
    return RouteRule(
        id=config.id,
        payload=payload,
        path=config.path,
        path_prefix=config.path_prefix,
        path_regex=config.path_regex,
        methods=frozenset(config.methods),
        hosts=config.hosts,
        headers=_conditions(config.headers),
        query=_conditions(config.query),
        priority=config.priority,
        order=order,
    )


def _conditions(configured: Mapping[str, ConditionConfig]) -> tuple[ValueCondition, ...]:
    return tuple(
        [
            ValueCondition(name, condition.value, condition.regex, condition.present)
            for name, condition in configured.items()
        ]
    )


def rewrite_of(config: RouteConfig, pattern: Pattern) -> Rewrite | None:
    """Return what makes the path for the upstream, or None if nothing changes.

    :raises RewriteError: the pattern and the rewrite do not go together.
    """
    rewrite = config.rewrite
    options = RewriteOptions(
        strip=config.strip_path,
        prefix=None if rewrite is None else rewrite.prefix,
        template=None if rewrite is None else rewrite.template,
    )
    compiled = compile_rewrite(pattern, options)
    if compiled is None:
        return None
    apply = compiled.apply
    return lambda params, path: apply(path, params)


def redirect_of(config: RouteConfig, pattern: Pattern) -> Redirect | None:
    """Return what answers with the route's redirect, or None if it has none.

    :raises RewriteError: the pattern and the redirect do not go together.
    """
    configured = config.redirect
    if configured is None:
        return None
    path = (
        RewriteOptions(strip=config.strip_path) if configured.path is None else RewriteOptions(template=configured.path)
    )
    options = RedirectOptions(configured.status, configured.scheme, configured.host, path)
    redirect = compile_redirect(pattern, options)

    def answer(request: Request) -> Response:
        try:
            location = redirect.location(request.scheme, request.host, request.path, request.query, request.params)
        except UnsafePathError:
            return Response.problem(400, "the address cannot be redirected")
        return Response(redirect.status, headers={"Location": location})

    return answer


def pattern_of(config: RouteConfig) -> Pattern:
    """Return a route's pattern.

    :raises PatternError: it cannot be matched.
    """
    return rule_pattern(route_rule(config, 0, None))
