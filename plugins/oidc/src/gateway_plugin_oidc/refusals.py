"""Why a request is refused, and the response that says no more of it than the client may know."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway_plugin_sdk import PluginContext, Request, Response
from gateway_tokens.refusal_log import RefusalLog

_PRIVATE: Final = "private, no-store"
_SHARED_CACHES: Final = ("Expires", "CDN-Cache-Control", "Surrogate-Control")

_DETAILS: Final = {
    400: "the login could not be completed: begin again",
    401: "a login is required",
    403: "this request is not allowed",
    503: "logins are not possible at the moment",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal; `reason` is a stable code for logs and metrics, never for the client."""

    status: int
    reason: str
    retry_after: float = 0.0
    is_bearer: bool = False
    """Whether it is about a token in Authorization."""

    def response(self, realm: str, *, takes_bearer: bool) -> Response:
        """Return the response: 401 has a challenge, 503 a time to come back, none may be kept."""
        fields = [("Cache-Control", "private, no-store"), ("Referrer-Policy", "no-referrer")]
        if self.status == 401 and takes_bearer:
            error = ', error="invalid_token"' if self.is_bearer else ""
            fields.append(("WWW-Authenticate", f'Bearer realm="{realm}"{error}'))
        elif self.status == 401:
            fields.append(("WWW-Authenticate", f'Cookie realm="{realm}"'))
        if self.status == 503:
            fields.append(("Retry-After", str(math.ceil(min(max(1.0, self.retry_after), 60.0)))))
        return Response.problem(self.status, _DETAILS[self.status], headers=fields)


def away(reason: str, retry_after: float = 5.0) -> Refusal:
    """Return the refusal of what may be right, but cannot be decided now: never 401 for that."""
    return Refusal(503, reason, retry_after)


class Refusals:
    """Refuses requests, and reports the reason to operators: by log, metric and ``request.state["oidc.refusal"]``."""

    def __init__(self, context: PluginContext, realm: str, *, takes_bearer: bool) -> None:
        self._context = context
        self._realm = realm
        self._takes_bearer = takes_bearer
        self._lines = RefusalLog()
        self._total = context.metrics.counter(
            "gateway_oidc_refusals_total", "Requests that oidc refused.", ["binding", "route", "reason"]
        )

    def refuse(self, request: Request, refusal: Refusal) -> Response:
        """Return the response to a refused request."""
        context = self._context
        request.state["oidc.refusal"] = refusal.reason
        self._total.labels(context.binding, route_of(request, context), refusal.reason).inc()
        left_out = self._lines.take(refusal.reason, context.clock.monotonic())
        if left_out is not None:
            more = f", and {left_out} others for this reason before" if left_out else ""
            context.log.info("%s refused %s: %s%s", context.binding, request.request_id, refusal.reason, more)
        return refusal.response(self._realm, takes_bearer=self._takes_bearer)


def route_of(request: Request, context: PluginContext) -> str:
    """Return the route of a request, for labels."""
    return request.route.id if request.route is not None else context.route or ""


def set_cookies(response: Response, cookies: Sequence[str]) -> None:
    """Set cookies, and keep the response out of every cache."""
    headers = response.headers
    headers.extend([("Set-Cookie", cookie) for cookie in cookies])
    headers["Cache-Control"] = _PRIVATE
    for name in _SHARED_CACHES:
        headers.pop(name, "")


def redirect(location: str, cookies: Sequence[str], status: int = 302) -> Response:
    """Return a redirect that sets cookies."""
    response = Response.redirect(location, status, [("Referrer-Policy", "no-referrer")])
    set_cookies(response, cookies)
    return response
