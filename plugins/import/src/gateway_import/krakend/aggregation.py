"""Endpoints whose response is made of parts: of several backends, or of some fields of one, as calls of `aggregate`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from gateway_import.hiding import query_value
from gateway_import.krakend.shapes import ShapeError, members, shape_of
from gateway_import.model import Binding, Finding, Imported, Route
from gateway_import.sections import Section

LARGEST_RESPONSE: Final = "1MiB"
"""What a call may have: KrakenD bounds nothing."""
_ALL_RESPONSES: Final = "16MiB"
_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_PARAMETER: Final = re.compile(r"\{([^{}]*)\}")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EARLIER: Final = re.compile(r"resp(\d{1,2})_([A-Za-z0-9_.-]+)")
_FIELD: Final = re.compile(r"[A-Za-z0-9!#$%&'^_`|~+-]+")
_LITERAL: Final = "!$&'()*+,;=:@/-._~%"
_WRITTEN: Final = frozenset(
    ["accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "host", "range",
     "te", "traceparent", "tracestate", "trailer", "transfer-encoding", "upgrade", "via", "x-request-id"]
)  # fmt: skip
"""Fields that a call has anyway, or must not have."""
_USUAL: Final = ["Accept", "Accept-Language", "Authorization", "Cookie", "User-Agent"]
"""What ``input_headers: ["*"]`` becomes, as fields of a call are listed by name."""
_ENCODINGS: Final = frozenset({"json", "fast-json", "safejson"})


class AggregationError(ValueError):
    """What an endpoint makes of its backends cannot be made by calls; the text is the reason."""


class Aggregation:
    """The calls of one endpoint."""

    def __init__(self, imported: Imported, endpoint: Section, target: Callable[[Section], str | None]) -> None:
        """:param target: returns the name of a backend's upstream; None if there is none, which was reported."""
        self._imported = imported
        self._endpoint = endpoint
        self._target = target
        self._headers = endpoint.texts("input_headers") or endpoint.texts("headers_to_pass")
        self._query = endpoint.texts("input_query_strings") or endpoint.texts("querystring_params")

    def add(self, route: Route, backends: list[Section], settings: Section | None, method: str, timeout: str) -> None:
        """Bind `aggregate` to a route; closes it if its backends make what calls cannot."""
        is_sequential = settings is not None and bool(settings.boolean("sequential"))
        calls: list[dict[str, Any]] = []
        parameters = set(re.findall(r"[:*]([A-Za-z_][A-Za-z0-9_]*)", str(route.keys.get("path", ""))))
        for number, backend in enumerate(backends, 1):
            backend.what = f"backend {number} of {self._endpoint.what}" if len(backends) > 1 else backend.what
            try:
                calls.append(
                    self._call(backend, f"backend{number}", method, parameters, calls if is_sequential else [])
                )
            except (ShapeError, AggregationError) as reason:
                self._close(route, backend, str(reason))
                backend.ignore(*backend.names())
        for finding in self._conflicts(calls):
            self._imported.close(route, finding)
        if not route.is_closed:
            config: dict[str, Any] = {"calls": calls, "timeout": timeout, "max_total_bytes": _ALL_RESPONSES}
            static = None if settings is None else self._static(settings)
            config |= {"static": static} if static else {}
            route.plugins.append(Binding("aggregate", config, self._endpoint.origin))
        elif settings is not None:
            settings.ignore("static")

    def _close(self, route: Route, place: Section, reason: str) -> Finding:
        proposal = "bind the plugin aggregate on the route, or write a plugin"
        return self._imported.lose_guard(place.origin, place.what, reason, proposal, [route])

    def _call(
        self, backend: Section, name: str, method: str, parameters: set[str], earlier: list[dict[str, Any]]
    ) -> dict[str, Any]:
        encoding = (backend.text("encoding") or "json").lower()
        if encoding not in _ENCODINGS:
            raise AggregationError(f"its response is decoded from {encoding!r}, and a call takes JSON")
        sent = (backend.text("method") or method).upper()
        if sent not in _METHODS:
            raise AggregationError(f"it is asked by {sent}")
        target = self._target(backend)
        call: dict[str, Any] = {"name": name, "target": target or "none"}
        path, query = self._place(backend, parameters, [each["name"] for each in earlier])
        call["path"] = path
        if sent != "GET":
            call |= {"method": sent, "client_body": True}
        if query:
            call["query"] = query
        call |= self._of_client(backend, query)
        if earlier:
            call["depends_on"] = [earlier[-1]["name"]]
        # KrakenD responds with what the others give, unless none gives anything.
        call |= {"required": False, "max_body_bytes": LARGEST_RESPONSE, **shape_of(backend)}
        return call

    def _place(self, backend: Section, parameters: set[str], earlier: list[str]) -> tuple[str, dict[str, Any]]:
        """Return the path of a backend, and the query that its pattern has, as templates."""
        pattern = backend.text("url_pattern") or "/"
        path, _, query = pattern.partition("?")

        def placeholder(found: re.Match[str]) -> str:
            name = found[1]
            later = _EARLIER.fullmatch(name)
            if later is not None and int(later[1]) < len(earlier):
                return f"{{call:{earlier[int(later[1])]}.{later[2]}}}"
            if name in parameters and _NAME.fullmatch(name):
                return f"{{param:{name}}}"
            raise AggregationError(f"its url_pattern {path!r} takes {found[0]}, which is no parameter of the path")

        def template(text: str) -> str:
            parts = _PARAMETER.split(text)
            if any(set(part) & set("{}") for part in parts[::2]):
                raise AggregationError(f"its url_pattern {path!r} has a brace without its partner")
            return _PARAMETER.sub(placeholder, text)

        path = path if path.startswith("/") else f"/{path}"
        made = "".join(
            part if number % 2 else quote(part, safe=_LITERAL)
            for number, part in enumerate(re.split(r"(\{[^{}]*\})", template(path)))
        )
        origin = backend.origin_of("url_pattern")
        return made, {
            name: query_value(self._imported, name, template(value), origin)
            for name, value in parse_qsl(query, keep_blank_values=True)
        }

    def _of_client(self, backend: Section, query: dict[str, Any]) -> dict[str, Any]:
        """Return what of the client's request a call gets: what the endpoint lists, and of it what the backend does."""
        made: dict[str, Any] = {}
        for key, theirs, listed in (
            ("client_headers", "input_headers", self._headers),
            ("client_query", "input_query_strings", self._query),
        ):
            names = backend.texts(theirs) or listed
            if "*" in names and listed != ["*"] and "*" not in listed:
                names = listed
            if "*" in names:
                self._imported.lose(
                    self._endpoint.origin_of(theirs),
                    f"'*' of {theirs!r} of {backend.what}",
                    "a call passes on what it lists by name",
                    f"list the names in {key} of the call",
                )
                names = _USUAL if key == "client_headers" else []
            if key == "client_headers":
                names = [each for each in names if each.lower() not in _WRITTEN and _FIELD.fullmatch(each)]
            names = [each for each in dict.fromkeys(names) if each not in query]
            made |= {key: names} if names else {}
        return made

    def _conflicts(self, calls: list[dict[str, Any]]) -> Iterator[Finding]:
        owners: dict[str, str] = {}
        for call in calls:
            for name in sorted(members(call)):
                if name in owners:
                    reason = f"two backends make the member {name!r} of the response"
                    yield self._lost(reason)
                owners[name] = call["name"]
        if sum("method" in call for call in calls) > 1:
            yield self._lost("several backends change something, and nothing undoes the one if the other fails")

    def _lost(self, reason: str) -> Finding:
        endpoint, proposal = self._endpoint, "have a service of your own do it, or write a plugin"
        return self._imported.lose_guard(endpoint.origin, endpoint.what, reason, proposal, [])

    def _static(self, settings: Section) -> dict[str, Any] | None:
        static = settings.section("static", f"static of {settings.what}")
        if static is None:
            return None
        strategy, data = static.text("strategy") or "always", static.take("data")
        found = None if data is None else data.plain()
        if strategy == "always" and isinstance(found, dict):
            return found
        self._imported.lose(
            static.origin,
            static.what,
            f"members are static always, and not {strategy!r}",
            "write required: false and default on a call",
        )
        return None
