"""From a configured route to the words of the routing layer, and what its target stands for."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Final, TypeVar

from gateway_core.config import (
    AddressConditionConfig,
    EndpointConfig,
    GatewayConfig,
    PathPolicyConfig,
    RouteConfig,
    RouteTimeoutsConfig,
    TimeoutsConfig,
    UpstreamConfig,
)
from gateway_core.config.models.grpc import GRPC_CONTENT_TYPE, GRPC_METHOD
from gateway_core.messages import Request, Response
from gateway_core.reasons import NO_ROUTE, PATH_REFUSED
from gateway_core.routing import (
    DEFAULT_POLICY,
    AddressCondition,
    PathPolicy,
    Pattern,
    Redirect,
    RedirectOptions,
    RewriteOptions,
    RouteRule,
    UnsafePathError,
    ValueCondition,
    arrival_policy,
    compile_query_rewrite,
    compile_redirect,
    host_captures,
    rule_pattern,
)
from gateway_core.snapshot.route import OwnResponse, PathChange

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
    routes = [route for route in config.routes if route.enabled and route.path_policy is not None]
    own = [path_policy(config.path_policy, route) for route in routes]
    return arrival_policy([path_policy(config.path_policy), *own])


def route_rules(
    config: RouteConfig, order: int, payload: P, document: PathPolicyConfig = _DEFAULT_POLICY
) -> tuple[RouteRule[P], ...]:
    """Return when a route matches: one rule for each of its paths, in the order in which they are written.

    :param document: the path policy of the document that the route stands in.
    """
    grpc = config.grpc
    first: RouteRule[P] = RouteRule(
        id=config.id,
        payload=payload,
        methods=frozenset(config.methods if grpc is None else (GRPC_METHOD,)),
        hosts=config.hosts,
        headers=ValueCondition.of(config.headers) if grpc is None else (_IS_GRPC, *ValueCondition.of(config.headers)),
        query=ValueCondition.of(config.query),
        cookies=ValueCondition.of(config.cookies),
        params=ValueCondition.of(config.params),
        client_ip=_address_condition(config.client_ip),
        scheme=config.effective_scheme,
        priority=config.priority,
        order=order,
        policy=path_policy(document, config),
    )
    found = [replace(first, path=text) for text in (config.path if grpc is None else (grpc.path,))]
    found += [replace(first, path_prefix=text) for text in config.path_prefix]
    found += [replace(first, path_regex=text) for text in config.path_regex]
    return tuple(found) or (first,)


def _address_condition(configured: AddressConditionConfig | None) -> AddressCondition | None:
    return None if configured is None else AddressCondition(configured.one_of or (), configured.none_of or ())


def sent_path_of(rewrite: PathChange | None, policy: PathPolicy) -> PathChange:
    """Return what makes the path that goes upstream of a path as it was sent."""
    if rewrite is None:
        return lambda _params, path: policy.sent(path)
    return lambda params, path: policy.sent(rewrite(params, path))


def redirect_of(config: RouteConfig, pattern: Pattern, policy: PathPolicy = DEFAULT_POLICY) -> OwnResponse | None:
    """Return what responds with the route's redirect, or None if it has none.

    :raises RewriteError: the pattern and the redirect do not go together.
    """
    redirect = compiled_redirect(config, pattern)
    if redirect is None:
        return None

    def respond(request: Request) -> Response:
        path = policy.sent(request.raw_path)
        try:
            location = redirect.location(request.scheme, request.host, path, request.query_string, request.path_params)
        except UnsafePathError:
            return _of_gateway(Response.problem(400, "the address cannot be redirected"), PATH_REFUSED)
        return _of_gateway(Response(redirect.status, headers={"Location": location}))

    return respond


def compiled_redirect(config: RouteConfig, pattern: Pattern) -> Redirect | None:
    """Return a route's redirect for one of its paths, or None if it has none.

    :raises RewriteError: the pattern and the redirect do not go together.
    """
    configured = config.redirect
    if configured is None:
        return None
    is_stripped = config.strip_path and configured.path is None and configured.prefix is None
    path = RewriteOptions(strip=is_stripped, prefix=configured.prefix, template=configured.path)
    query, hosts = configured.query, host_captures(config.hosts)
    return compile_redirect(
        pattern,
        RedirectOptions(
            configured.status,
            configured.scheme,
            configured.host,
            configured.port,
            path,
            None
            if query is None
            else compile_query_rewrite(query.remove, query.set, (*pattern.params, *hosts), query.keep),
            hosts,
        ),
    )


def respond_of(config: RouteConfig) -> OwnResponse | None:
    """Return what responds with the route's fixed response, or None if it has none."""
    configured = config.respond
    if configured is None:
        return None
    status, body = configured.status, configured.body.encode()
    headers = dict(configured.headers)
    if body and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "text/plain; charset=utf-8"
    return lambda _request: _of_gateway(Response(status, headers=headers, body=body))


def no_response(_request: Request) -> Response:
    """Respond for a route without target none of whose bindings responded."""
    return _of_gateway(Response.problem(404, "there is no such resource"), NO_ROUTE)


def _of_gateway(response: Response, failure: str | None = None) -> Response:
    """Return a response as one that the gateway made.

    :param failure: the code of why it is not what was asked for; None for what the route says.
    """
    response.produced_by, response.failure = "gateway", failure
    return response


def patterns_of(config: RouteConfig, document: PathPolicyConfig = _DEFAULT_POLICY) -> tuple[Pattern, ...]:
    """Return the patterns of a route's paths, in order; arguments as for `route_rules`.

    :raises PatternError: one cannot be matched.
    """
    return tuple([rule_pattern(rule) for rule in route_rules(config, 0, None, document)])


DEFAULT_TIMEOUTS: Final = TimeoutsConfig()
"""Of targets that are URLs."""


def timeouts_of(upstream: TimeoutsConfig, route: RouteTimeoutsConfig | None) -> TimeoutsConfig:
    """Return an upstream's timeouts with what a route changes in them."""
    return upstream if route is None else upstream.model_copy(update=route.model_dump(exclude_none=True))


def config_for_url(url: str) -> UpstreamConfig:
    """Return the upstream that a target stands for which is a URL: one endpoint, and no policies."""
    # Its name is the URL, which no configured upstream may be called.
    return UpstreamConfig.model_construct(name=url, endpoints=(EndpointConfig(url=url),))
