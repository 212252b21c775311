"""Responses of routes that send nothing upstream: redirects, fixed responses, and 404 where no plugin has responded."""

from __future__ import annotations

from gateway_core.config import RouteConfig
from gateway_core.messages import Request, Response
from gateway_core.reasons import NO_ROUTE, PATH_REFUSED
from gateway_core.routing import (
    PathPolicy,
    Pattern,
    Redirect,
    RedirectOptions,
    RewriteOptions,
    UnsafePathError,
    compile_query_rewrite,
    compile_redirect,
    host_captures,
)
from gateway_core.snapshot.route import OwnResponse


def own_response_of(config: RouteConfig, pattern: Pattern, policy: PathPolicy) -> OwnResponse:
    """Return what responds for a route, for one of its paths.

    :raises RewriteError: the pattern and the redirect do not go together.
    """
    return _redirect_of(config, pattern, policy) or _respond_of(config) or _no_response


def _redirect_of(config: RouteConfig, pattern: Pattern, policy: PathPolicy) -> OwnResponse | None:
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


def _respond_of(config: RouteConfig) -> OwnResponse | None:
    configured = config.respond
    if configured is None:
        return None
    status, body = configured.status, configured.body.encode()
    headers = dict(configured.headers)
    if body and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "text/plain; charset=utf-8"
    return lambda _request: _of_gateway(Response(status, headers=headers, body=body))


def _no_response(_request: Request) -> Response:
    """Respond for a route without target none of whose bindings responded."""
    return _of_gateway(Response.problem(404, "there is no such resource"), NO_ROUTE)


def _of_gateway(response: Response, failure: str | None = None) -> Response:
    """Return a response as one that the gateway made.

    :param failure: the code of why it is not what was asked for; None for what the route says.
    """
    response.produced_by, response.failure = "gateway", failure
    return response
