"""The plugin: responds to preflights, and says in responses which origin may read them (Fetch section 3.2).

A preflight is matched to the route of the method that it asks for, and gets its response in the route-match phase,
before access control: browsers send preflights without credentials. Fields of CORS that an upstream sets are removed,
since a browser refuses a response that has one of them twice; this plugin alone decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gateway_plugin_sdk import (
    ConfigFinding,
    EarlyHead,
    EarlyPass,
    FieldBlock,
    FieldNames,
    Plugin,
    PluginContext,
    Request,
    Response,
    RouteInfo,
    hookimpl,
)

from gateway_plugin_cors.config import ANY, NULL, SAFELISTED_METHODS, CorsConfig, OriginPattern
from gateway_plugin_cors.origins import LONGEST, compile_origins

_OWN: Final = (
    "access-control-allow-origin", "access-control-allow-credentials", "access-control-allow-methods",
    "access-control-allow-headers", "access-control-expose-headers", "access-control-max-age",
    "access-control-allow-private-network",
)  # fmt: skip
_OWN_FIELDS: Final = FieldNames(_OWN)
_OWN_AND_VARY: Final = FieldNames([*_OWN, "vary"])
_PREFLIGHT: Final = "cors.preflight"
_MOST_KNOWN: Final = 1024
"""Origins whose fields are remembered."""
_FOREIGN: Final = "https://no-host-of-anybody.invalid"
"""An origin that only a pattern for all of them takes (RFC 2606 section 2)."""
_MOST_HEADERS: Final = 4096
"""Characters of the list of fields that a preflight may ask for."""


class Cors(Plugin[CorsConfig]):
    """Lets pages of other origins use a route."""

    name = "cors"
    config_model = CorsConfig
    responses = "all"
    early_headers = frozenset()

    def __init__(self, config: CorsConfig, context: PluginContext) -> None:
        super().__init__(config, context)
        self._allows = compile_origins(config.origins)
        self._for_any = ANY in config.origins
        self._known: dict[bytes, FieldBlock] = {}
        self._without_origin = FieldBlock({} if self._for_any else {"Vary": "Origin"})
        self._pass_without = EarlyPass(announced=(self._without_origin, _OWN_AND_VARY))
        self._passes: dict[bytes, EarlyPass] = {}
        self._methods = frozenset(config.methods)
        self._headers = frozenset(config.headers)

    @classmethod
    def check_config(cls, config: CorsConfig) -> Iterable[ConfigFinding]:
        """Warn of what lets every page act for users nearly as ``*`` would, which is refused."""
        if config.credentials and NULL in config.origins:
            message = (
                "credentials and the origin null: a sandboxed frame of any page has that origin, and acts for users"
            )
            place: tuple[str | int, ...] = ("origins", config.origins.index(NULL))
            yield ConfigFinding(place, message, code="null-credentials", severity="warning")
        for index, each in enumerate(config.origins):
            if config.credentials and isinstance(each, OriginPattern) and compile_origins([each])(_FOREIGN):
                message = (
                    "credentials and a pattern for every origin would let every page of the web act for your users"
                )
                place = ("origins", index, "regex")
                yield ConfigFinding(place, message, code="any-origin", remedy="name the hosts in the pattern")

    @hookimpl
    def gateway_route_match(self, request: Request, route: RouteInfo | None) -> Response | None:
        """Respond to a preflight; announce what the responses to other requests get."""
        if request.method != "OPTIONS" or route is None:
            request.announced[self] = self._fields_of(request), _OWN_AND_VARY
            return None
        origins = request.header_values("Origin")
        method = request.headers.get("Access-Control-Request-Method")
        if not origins or method is None:
            return None
        fields = self._preflight_fields(request, origins, method)
        if self.config.forward_preflights:
            request.state[_PREFLIGHT] = fields
            return None
        request.state[_PREFLIGHT] = {}
        return Response(204, headers=fields)

    def passes_early(self, head: EarlyHead) -> EarlyPass | None:
        """Announce what the response gets, unless it is to a preflight or to an origin that was not seen before."""
        if head.method == "OPTIONS":
            return None
        origin = head.first_received("Origin")
        if origin is None:
            return self._pass_without
        return self._passes.get(origin) if head.count_received("Origin") == 1 else None

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        """Say which origin may read the response."""
        preflight = request.state.get(_PREFLIGHT) if request.method == "OPTIONS" else None
        if preflight is not None:
            self._finish_preflight(response, preflight)
            return
        announced = request.announced.get(self)
        fields = self._fields_of(request) if announced is None else announced[0]
        if response.add_fields(fields, unless=_OWN_AND_VARY):
            return
        headers, origin = response.headers, request.received.first_value("Origin")
        headers.remove_any(_OWN_FIELDS)
        if origin is not None and (allowed := self._allowed_fields(origin.decode("latin-1"), request)):
            headers.extend(allowed)
        if not self._for_any:
            headers.add_vary("Origin")

    def _finish_preflight(self, response: Response, fields: dict[str, str]) -> None:
        """Put the fields into a response that the upstream gave to a preflight; ours has them already."""
        if fields:
            headers = response.headers
            headers.remove_any(_OWN_FIELDS)
            headers.extend((name, value) for name, value in fields.items() if name != "Vary")
            headers.add_vary(fields["Vary"])

    def _fields_of(self, request: Request) -> FieldBlock:
        """Return what a response gets that has no such field yet, Vary included."""
        # What the client sent: another plugin may keep Origin from the upstream.
        origin = request.received.first_value("Origin")
        return self._without_origin if origin is None else self._fields_for(origin, request)

    def _fields_for(self, origin: bytes, request: Request) -> FieldBlock:
        """Return the same for a request with an Origin."""
        if len(origin) > LONGEST or request.received.headers.count("Origin") > 1:
            return self._without_origin  # and such a text is not remembered
        fields = self._known.get(origin)
        if fields is None:
            allowed = self._allowed_fields(origin.decode("latin-1"), request)
            fields = FieldBlock(allowed | ({} if self._for_any else {"Vary": "Origin"}))
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()  # whatever clients send, it stays small
                self._passes.clear()
            self._known[origin] = fields
            self._passes[origin] = EarlyPass(announced=(fields, _OWN_AND_VARY))
        return fields

    def _allowed_fields(self, origin: str, request: Request) -> dict[str, str]:
        config = self.config
        if request.received.headers.count("Origin") > 1 or not self._allows(origin):
            return {}
        fields = {"Access-Control-Allow-Origin": ANY if self._for_any else origin}
        if config.credentials:
            fields["Access-Control-Allow-Credentials"] = "true"
        if config.expose:
            fields["Access-Control-Expose-Headers"] = ", ".join(config.expose)
        return fields

    def _preflight_fields(self, request: Request, origins: list[str], method: str) -> dict[str, str]:
        """Return the fields of the response to a preflight; what is not allowed gets none but Vary."""
        config = self.config
        asked = request.headers.joined("Access-Control-Request-Headers") or ""
        wants_private = request.headers.get("Access-Control-Request-Private-Network") == "true"
        fields = {"Vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}
        if config.private_network:
            fields["Vary"] += ", Access-Control-Request-Private-Network"
        is_allowed = (
            len(origins) == 1
            and self._allows(origins[0])
            and (ANY in self._methods or method in self._methods or method in SAFELISTED_METHODS)
            and self._allows_headers(asked)
            and (config.private_network or not wants_private)
        )
        if not is_allowed:
            return fields
        fields["Access-Control-Allow-Origin"] = ANY if self._for_any else origins[0]
        if config.credentials:
            fields["Access-Control-Allow-Credentials"] = "true"
        # Beside credentials a browser takes "*" literally, so what it asked for is named.
        fields["Access-Control-Allow-Methods"] = method if ANY in self._methods else ", ".join(config.methods)
        if asked:
            fields["Access-Control-Allow-Headers"] = asked
        if config.max_age is not None:
            fields["Access-Control-Max-Age"] = str(int(config.max_age))
        if wants_private:
            fields["Access-Control-Allow-Private-Network"] = "true"
        return fields

    def _allows_headers(self, asked: str) -> bool:
        if len(asked) > _MOST_HEADERS:
            return False
        if not asked or ANY in self._headers:
            return True
        return all(
            not name or name in self._headers for name in (part.strip(" \t").lower() for part in asked.split(","))
        )
