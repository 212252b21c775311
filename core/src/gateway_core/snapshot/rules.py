"""From a configured route to the words of the routing layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TypeVar

from gateway_core.config import ConditionConfig, GatewayConfig, PathPolicyConfig, RouteConfig
from gateway_core.config.models.grpc import GRPC_CONTENT_TYPE, GRPC_METHOD
from gateway_core.messages import Request, Response
from gateway_core.routing import (
    DEFAULT_POLICY,
    PathPolicy,
    Pattern,
    RedirectOptions,
    RewriteOptions,
    RouteRule,
    UnsafePathError,
    ValueCondition,
    arrival_policy,
    compile_redirect,
    rule_pattern,
)
from gateway_core.snapshot.route import PathChange, Redirect

P = TypeVar("P")

_DEFAULT_POLICY = PathPolicyConfig()
_IS_GRPC = ValueCondition("content-type", regex=GRPC_CONTENT_TYPE)


def path_policy(config: PathPolicyConfig, route: RouteConfig | None = None) -> PathPolicy:
    """Return the policy of a document, or of one of its routes: what that does not say is as in the document."""
    if route is None or route.path_policy is None:
        return _policy_of(config)
    return replace(_policy_of(config), **route.path_policy.model_dump(exclude_none=True))


@lru_cache(8)
def _policy_of(config: PathPolicyConfig) -> PathPolicy:
    return PathPolicy(**config.model_dump())


def arrival_policy_of(config: GatewayConfig) -> PathPolicy:
    """Return what is refused before a route is known."""
    own = [path_policy(config.path_policy, route) for route in config.routes if route.path_policy is not None]
    return arrival_policy([path_policy(config.path_policy), *own])


def route_rule(
    config: RouteConfig, order: int, payload: P, document: PathPolicyConfig = _DEFAULT_POLICY
) -> RouteRule[P]:
    """Return when a route matches.

    :param document: the path policy of the document that the route stands in.
    """
    grpc = config.grpc
    return RouteRule(
        id=config.id,
        payload=payload,
        path=config.path if grpc is None else grpc.path,
        path_prefix=config.path_prefix,
        path_regex=config.path_regex,
        methods=frozenset(config.methods if grpc is None else (GRPC_METHOD,)),
        hosts=config.hosts,
        headers=_conditions(config.headers) if grpc is None else (_IS_GRPC, *_conditions(config.headers)),
        query=_conditions(config.query),
        priority=config.priority,
        order=order,
        policy=path_policy(document, config),
    )


def _conditions(configured: Mapping[str, ConditionConfig]) -> tuple[ValueCondition, ...]:
    return tuple(
        [
            ValueCondition(name, condition.value, condition.regex, condition.present)
            for name, condition in configured.items()
        ]
    )


def sent_path_of(rewrite: PathChange | None, policy: PathPolicy) -> PathChange:
    """Return what makes the path that goes upstream of a path as it was sent."""
    if rewrite is None:
        return lambda _params, path: policy.sent(path)
    return lambda params, path: policy.sent(rewrite(params, path))


def redirect_of(config: RouteConfig, pattern: Pattern, policy: PathPolicy = DEFAULT_POLICY) -> Redirect | None:
    """Return the hook that responds with the route's redirect, or None if it has none.

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

    def respond(request: Request) -> Response:
        path = policy.sent(request.raw_path)
        try:
            location = redirect.location(request.scheme, request.host, path, request.query_string, request.path_params)
        except UnsafePathError:
            return Response.problem(400, "the address cannot be redirected")
        return Response(redirect.status, headers={"Location": location})

    return respond


def pattern_of(config: RouteConfig, document: PathPolicyConfig = _DEFAULT_POLICY) -> Pattern:
    """Return a route's pattern; arguments as for `route_rule`.

    :raises PatternError: it cannot be matched.
    """
    return rule_pattern(route_rule(config, 0, None, document))
