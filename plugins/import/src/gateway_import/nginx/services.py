"""Locations that others name: the service of ``auth_request``, and the pages of ``error_page``."""

from __future__ import annotations

from typing import Any, Final

from gateway_import.nginx.content import set_values
from gateway_import.nginx.directives import Context, Directive
from gateway_import.nginx.locations import Location, ordered
from gateway_import.nginx.redirects import place_of
from gateway_import.nginx.upstreams import Upstreams
from gateway_import.nginx.values import substituted

_SERVICE_FIELDS: Final = frozenset(
    [
        "host",
        "content-length",
        "connection",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-uri",
        "x-forwarded-method",
        "x-original-url",
        "x-original-method",
    ]
)
"""What `forward-auth` sends to the service by itself."""


def page_target(locations: list[Location], path: str, upstreams: Upstreams) -> str | None:
    """Return the upstream that serves a path of the server; None if none does."""
    for choice in ordered(locations):
        location = choice.location
        if (location.kind in {"", "^~"} and path.startswith(location.pattern)) or (
            location.kind == "=" and path == location.pattern
        ):
            passed = location.context.own("proxy_pass")
            place = place_of(substituted(passed[-1].value, set_values(location.context))) if passed else None
            return (
                None
                if place is None or place[2]
                else upstreams.target(place[0], place[1], passed[-1], location.context)
            )
    return None


def auth_service(
    directive: Directive, locations: list[Location], upstreams: Upstreams, server: Context
) -> dict[str, Any] | None:
    """Return how `forward-auth` asks what ``auth_request`` asks; None if it asks in a way of its own."""
    path = directive.value.partition("?")[0]
    location = next((each for each in locations if each.kind in {"=", "", "^~"} and each.pattern == path), None)
    passed = location.context.own("proxy_pass") if location is not None else []
    if location is None or not passed:
        return None
    place = place_of(substituted(passed[-1].value, set_values(location.context)))
    fields = [each for each in location.context.own("proxy_set_header") if each.args[1:] and each.args[1]]
    if place is None or any(each.value.lower() not in _SERVICE_FIELDS for each in fields):
        return None
    config: dict[str, Any] = {
        "target": upstreams.target(place[0], place[1], passed[-1], location.context),
        "path": directive.value if place[2] in {None, "$request_uri"} else place[2],
        "request_headers": "all",
    }
    kept = sorted(set(captured(_context_of(directive, locations, server)).values()))
    if kept:
        config["upstream_headers"] = kept
    return config


def _context_of(directive: Directive, locations: list[Location], server: Context) -> Context:
    for each in locations:
        if directive in each.context.directives:
            return each.context
    return server


def captured(context: Context) -> dict[str, str]:
    """Return fields of the response of ``auth_request``'s service by the variables that keep them."""
    start = "$upstream_http_"
    return {
        each.value.lstrip("$"): each.args[1].removeprefix(start).replace("_", "-")
        for each in context.all("auth_request_set")
        if len(each.args) == 2 and each.args[1].startswith(start)
    }
