"""Which route takes a request, or why none does."""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple

from gateway_core.errors import TextTooLongError
from gateway_core.messages import Request
from gateway_core.proxy.wire.request_head import RequestHead
from gateway_core.routing import ClientFacts, Match, MethodNotAllowed, NotFound, Router, path_problem
from gateway_core.snapshot import CompiledRoute


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
        found = router.match(method, host, path, query, fields, client)
        problem = flags and path_problem(router, found, method, host, request.raw_path, flags, query, fields, client)
    except TextTooLongError as error:
        return RouteRefusal(error.status, "text-too-long", str(error))
    if isinstance(found, Match):
        if problem:
            return RouteRefusal(400, "path-refused", problem, found.payload)
        found.params = found.params and MappingProxyType(found.params)  # hooks get it
    return found
