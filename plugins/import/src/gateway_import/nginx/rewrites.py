"""``rewrite``: redirects, new paths of the same location, and new paths that another location takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway_import.model import Route
from gateway_import.nginx.content import Content
from gateway_import.nginx.directives import Directive
from gateway_import.nginx.fields import Fields
from gateway_import.nginx.locations import Choice, Region, location_of, whole
from gateway_import.nginx.redirects import is_whole_path, query_template, redirect_keys, template_of
from gateway_import.nginx.values import python_regex

_DECIDING: Final = frozenset({"if", "rewrite", "return", "set", "limit_except", "internal", "try_files"})
"""What a location may do before it sends a request on."""


class Rewrites:
    """Makes the route of each ``rewrite``."""

    def __init__(self, content: Content, fields: Fields, fill: Callable[[Route, Choice], None]) -> None:
        """:param fill: has a route do what a location does."""
        self._content = content
        self._fields = fields
        self._fill = fill

    def route(self, directive: Directive, choice: Choice) -> Route:
        """Return what becomes of the paths that an expression takes."""
        pattern, text, *flags = directive.args
        found = python_regex(pattern)
        route = Route("", choice.keys(), directive.origin)
        region = choice.regex() if not choice.is_regex else None
        if found is None or (choice.is_regex and region is None and choice.location.pattern != pattern):
            reason = "its expression cannot be combined with that of the location"
            self._content.give_up(route, directive, reason, "write routes")
            return route
        inside = Region(choice.location.pattern).regex() if not choice.is_regex else ""
        is_anchored = pattern.startswith(f"^{choice.location.pattern}")
        paths = f"{'' if is_anchored else inside}{whole(found[0])}"
        route.keys = {"path_regex": paths}
        made = template_of(text, found[1])
        if flags in (["permanent"], ["redirect"]) or text.startswith(("http://", "https://", "$scheme")):
            status = 301 if flags == ["permanent"] else 302
            keys = {"redirect": {"status": status, "path": made}} if made else redirect_keys(status, text)
            if keys is not None:
                route.keys |= keys
                self._fields.add_responses(route, choice.location.context, "")
                return route
        elif made is not None and flags == ["break"] and choice.location.context.own("proxy_pass"):
            self._fill(route, choice)
            route.keys |= {"path_regex": paths, "rewrite": {**route.keys.get("rewrite", {}), "template": made}}
            return route
        elif _looks_again(directive, choice) and self._is_taken(route, text, found[1]):
            return route
        self._content.give_up(
            route,
            directive,
            "another location may take the new path, with guards of its own",
            "write a route with `rewrite` and the plugins of that location",
        )
        return route

    def _is_taken(self, route: Route, text: str, groups: dict[str, str]) -> bool:
        """Have a route do what the location of a new path does; False if it is not known, or does more than send on."""
        path, _, query = text.partition("?")
        made = template_of(path, groups)
        taker = None if made is None else location_of(made, self._content.locations)
        parameters = query_template(query, groups)
        if made is None or parameters is None or taker is None:
            return False
        context = taker.context
        passed = context.own("proxy_pass") + context.own("grpc_pass")
        has_more = any(each.name in _DECIDING for each in context.directives)
        if not passed or has_more or not is_whole_path(passed[-1].value):
            return False
        paths = route.keys["path_regex"]
        self._fill(route, Choice(taker))
        rewrite = {**route.keys.get("rewrite", {}), "template": made}
        rewrite |= {"query": {"set": parameters}} if parameters else {}
        route.keys |= {"path_regex": paths, "rewrite": rewrite}
        return True


def _looks_again(directive: Directive, choice: Choice) -> bool:
    """Whether nginx looks for a location with the path that a ``rewrite`` makes, and changes it no further."""
    flags = directive.args[2:]
    if flags:
        return flags == ("last",) or (flags == ("break",) and choice.location.directive.name == "server")
    deciding = [each for each in choice.location.context.directives if each.name in {"rewrite", "if", "return", "set"}]
    return deciding[-1] is directive
