"""Which route takes a request, or why none does."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from gateway_core.errors import TextTooLongError
from gateway_core.messages import Request, Response
from gateway_core.messages.path import NAMELESS
from gateway_core.proxy.downstream.client import Client
from gateway_core.proxy.gateway_responses import gateway_response
from gateway_core.proxy.wire.request_head import RequestHead
from gateway_core.routing import (
    ClientFacts,
    HeaderLookup,
    HttpsRedirect,
    Match,
    MethodNotAllowed,
    NotFound,
    Router,
    UnsafePathError,
    path_problem,
)
from gateway_core.snapshot import CompiledRoute, RouteTarget, Snapshot


class RouteRefusal(NamedTuple):
    """Why a request is not routed."""

    status: int
    reason: str
    """A code of `gateway_core.reasons`."""
    detail: str
    route: CompiledRoute | None = None
    """The route that refuses it; for logs."""


Unmatched = NotFound | MethodNotAllowed
Found = Match[CompiledRoute] | Unmatched | RouteRefusal
Missing: TypeAlias = Match[CompiledRoute] | Unmatched
"""Why a request has no route; or where a preflight goes if no hook of the route that it asks for responds."""

ChosenTarget: TypeAlias = tuple[RouteTarget | None, RouteTarget | None]
"""The target of a split, and the same if a cookie is to keep the client on it."""


class Destination(NamedTuple):
    """Where a request goes."""

    target: RouteTarget
    sticky_target: RouteTarget | None
    """The target, if a cookie is to keep the client on it."""


def find_first(head: RequestHead, client: Client, snapshot: Snapshot) -> Found | None:
    """Return where a request goes by its head alone; None if something comes before its route."""
    if snapshot.global_chain.request or head.responder or head.refusal is not None:
        return None
    host = head.facts.host
    return find_route(client.router_in(snapshot, host), host, head)


def find_route(
    router: Router[CompiledRoute], host: str, request: Request | RequestHead, client: ClientFacts | None = None
) -> Found:
    """Return the route that takes a request, or why there is none.

    :param router: the routes of the listener that the request belongs to.
    :param request: the head will do as long as no hook has seen the request.
    :param client: where a request comes from that is no head.
    """
    client = client or request.origin  # type: ignore[union-attr]  # only heads come without
    path, fields = request.path, request.header_values
    method, query, flags = request.method, request.query_string, request.path_flags
    try:
        if method == "OPTIONS" and not flags & NAMELESS and (asked := _asked_method(fields)) is not None:
            preflight = _route_of_preflight(router, asked, host, request, client)
            if preflight is not None:
                return preflight
        found = router.match(method, host, path, query, fields, client)
        problem = flags and path_problem(router, found, method, host, request.raw_path, flags, query, fields, client)
    except TextTooLongError as error:
        return RouteRefusal(error.status, "text-too-long", str(error))
    if problem and isinstance(found, Match):
        return RouteRefusal(400, "path-refused", problem, found.payload)
    return found


def _asked_method(fields: HeaderLookup) -> str | None:
    """Return the method that a preflight asks for; None if the request is none (Fetch standard, section 3.2.2)."""
    asked = fields("access-control-request-method")
    return asked[0] if len(asked) == 1 and fields("origin") else None


def _route_of_preflight(
    router: Router[CompiledRoute], asked: str, host: str, request: Request | RequestHead, client: ClientFacts
) -> Found | None:
    """Return the route of the request that a preflight asks for; None if there is none.

    A route that does not admit OPTIONS is returned only for its route-match hooks, one of which may respond.
    """
    found = router.match_preflight(asked, host, request.path, client)
    if not isinstance(found, Match):
        return None
    if request.path_flags and (problem := found.rule.policy.problem(request.path_flags)):
        return RouteRefusal(400, "path-refused", problem, found.payload)
    if not admits_options(found) and not found.payload.chain.route_match:
        return for_options(router, found, host, request, client)
    return found


def admits_options(found: Match[CompiledRoute]) -> bool:
    """Whether a route takes OPTIONS, which the route of a preflight need not."""
    return not found.rule.methods or "OPTIONS" in found.rule.methods


def for_options(
    router: Router[CompiledRoute],
    asked: Match[CompiledRoute],
    host: str,
    request: Request | RequestHead,
    client: ClientFacts,
) -> Missing:
    """Return where a preflight goes that nothing responded to: to a route that lists OPTIONS, or nowhere.

    :param asked: the route of the request that it asks for, which does not admit OPTIONS.
    """
    found = router.match("OPTIONS", host, request.path, request.query_string, request.header_values, client)
    if not isinstance(found, Match):
        return found if isinstance(found, MethodNotAllowed) else MethodNotAllowed(tuple(sorted(asked.rule.methods)))
    if "OPTIONS" not in found.rule.methods or found.rule.policy.problem(request.path_flags):
        return MethodNotAllowed(tuple(sorted(asked.rule.methods)))
    return found


def https_redirect(redirect: HttpsRedirect, head: RequestHead) -> Response | None:
    """Return the response that redirects a request to HTTPS; None if its Host cannot be repeated."""
    try:
        location = redirect.location(head.facts.host, head.target)
    except UnsafePathError:
        return None
    response = gateway_response(redirect.status)
    response.headers["Location"] = location
    return response
