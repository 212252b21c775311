"""The hooks of the gateway: this file is their reference.

A hook is a method of a `Plugin` that is marked with ``@hookimpl``. A plain ``def`` runs inline and is what you want; an
``async def`` runs in a task of its own and may await, and so does what a plain ``def`` returns if that is awaitable. A
hook may leave out arguments that it does not need.

pluggy checks names and arguments when a configuration is loaded. Requests run tuples of bound functions in the order of
the configuration, so ``wrapper``, ``firstresult``, ``tryfirst`` and ``trylast`` of pluggy have no meaning here.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final

import pluggy

if TYPE_CHECKING:
    from gateway_core.messages import Record, Request, Response, RouteInfo, UpstreamAttempt

    HookResult = Response | Awaitable[Response | None] | None

PROJECT: Final = "gateway"
"""The name under which pluggy knows our markers."""

ENTRY_POINT_GROUP: Final = "gateway.plugins"
"""The entry-point group of plugins and extensions."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class RequestHooks:
    """Hooks that a binding implements, one for each phase of a request."""

    @hookspec
    def gateway_request(self, request: Request) -> HookResult:
        """Look at a request before it is matched to a route.

        Runs once per request, first of all, for gateway-wide bindings only: no route is known yet.

        :param request: the request in progress; ``method``, ``raw_path``, ``query_string`` and ``headers`` may be
            changed, and what is matched is what the last hook left.
        :returns: ``None`` to go on, or a response to send instead. Later bindings are skipped; the response phase
            still runs for the bindings that were called.
        """

    @hookspec
    def gateway_route_match(self, request: Request, route: RouteInfo | None) -> HookResult | str | Awaitable[str]:
        """Look at the route that was chosen, and perhaps choose another.

        Runs once per request after the match, for gateway-wide bindings and those of the matched route.

        :param request: the request in progress; ``path_params`` holds the pattern's parameters.
        :param route: the route, or ``None`` if none matches.
        :returns: ``None`` to go on, a response to send instead, or the id of a route to take in this one's place. The
            id ends the phase; an unknown id counts as a failure of the binding.
        """

    @hookspec
    def gateway_pre_proxy(self, request: Request) -> HookResult:
        """Decide whether a routed request may go upstream, and in what shape.

        Runs once per request after routing and before an endpoint is picked, for gateway-wide bindings and the
        route's own, in the order in which the configuration lists them. Access control, limits and transformations
        belong here. A request for which there is no route, or whose body is too large, does not come here.

        :param request: the request in progress; ``headers``, ``method``, ``raw_path``, ``query_string`` and
            ``upstream`` may be changed. A changed ``raw_path`` is what goes upstream, and no other route is looked for.
        :returns: ``None`` to go on, or a response to send instead. Later bindings are skipped; the response phase
            still runs for the bindings that were called.
        """

    @hookspec
    def gateway_attempt(self, request: Request, attempt: UpstreamAttempt) -> Awaitable[None] | None:
        """Sign one attempt, or give it credentials.

        Runs once per attempt, retries included, last before its head is written: for gateway-wide bindings (``order:
        before``), the route's, gateway-wide ones (``order: after``), the target's and the upstream's. Mirrored copies,
        fetches and error pages run only the upstream's. A failing hook follows ``on_error``; nothing is retried then.

        :param request: what is sent; `Request.read` gives the body that goes upstream.
        :param attempt: endpoint, path, query and host are final; ``headers`` may be changed, for this attempt alone.
        :returns: nothing, or an awaitable of nothing.
        """

    @hookspec
    def gateway_response(self, request: Request, response: Response) -> HookResult:
        """Look at a response's head before it goes to the client, and perhaps change it.

        Runs once per request in reverse order, for the bindings whose earlier phases ran; the response may be the
        upstream's, a plugin's or the gateway's own.

        :param request: the request, for reading.
        :param response: the response; ``status`` and ``headers`` may be changed, and ``add_body_filter`` changes the
            body as it passes. Date, X-Request-Id and, in an upstream's, Via are set already. The framing fields
            (``Content-Length``, ``Transfer-Encoding``, ``Connection``) are the gateway's.
        :returns: ``None`` to go on, or a response to send in its place, which the remaining bindings then see.
        """

    @hookspec
    def gateway_log(self, request: Request, response: Response, record: Record) -> Awaitable[None] | None:
        """Note down a request that is over.

        Runs once per request, after the last byte or the abort, for every binding of the route (the gateway-wide
        ones if there was no route). Nothing that it does affects the response; keep it short, or hand the work on.

        :param request: the request, for reading.
        :param response: the response, for reading; its status is 499 if the client left before there was one.
        :param record: sizes, timings, attempts and who produced the response.
        """


REQUEST_PHASES: Final = (
    "gateway_request",
    "gateway_route_match",
    "gateway_pre_proxy",
    "gateway_attempt",
    "gateway_response",
    "gateway_log",
)
"""The hooks of a request, in the order in which their phases run."""
