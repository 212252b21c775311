"""Makes routes of servers: each location is one, in nginx's order, by priorities."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from gateway_import.failures import CannotImportError
from gateway_import.files import Files, SourceText
from gateway_import.hiding import hidden_conditions
from gateway_import.model import CONDITIONS, Finding, Imported, Route
from gateway_import.nginx.conditions import alternatives, may_guard, returned
from gateway_import.nginx.content import Content
from gateway_import.nginx.directives import Context, Directive, read_directives
from gateway_import.nginx.fields import Fields
from gateway_import.nginx.guards import Guards
from gateway_import.nginx.listeners import Listeners
from gateway_import.nginx.locations import Choice, Location, locations_of, ordered
from gateway_import.nginx.lookups import lookups_of, users_of
from gateway_import.nginx.pages import body_size, cache, compression, error_pages
from gateway_import.nginx.rewrites import Rewrites
from gateway_import.nginx.servers import Address, Group, Server, addresses_of, groups_of, names_of
from gateway_import.nginx.services import auth_service, captured, page_target
from gateway_import.nginx.upstreams import Upstreams

_STEP: Final = 1000
"""Priorities between two places in the order of names; a server with more routes has a wider step."""
_MAIN: Final = frozenset({"http", "events", "stream", "mail", "server", "upstream"})


@dataclass(slots=True)
class Draft:
    """A route before it is known for which hosts it is."""

    route: Route
    label: str


class NginxImporter:
    """Reads one configuration."""

    def __init__(self, source: SourceText, files: Files) -> None:
        self.imported = Imported("nginx", source.name)
        directives = read_directives(source, files)
        blocks = [each for each in directives if each.name == "http"]
        if not blocks and not any(each.name in {"server", "upstream"} for each in directives):
            raise CannotImportError(
                source.origin, "has no `http`, `server` or `upstream`: is it a configuration of nginx?"
            )
        self._main = [each for each in directives if each.name in {"stream", "mail"}]
        inner = [inside for block in blocks for inside in block.inside()]
        self._http = Context(
            [*inner, *(each for each in directives if not blocks and each.name not in _MAIN - {"server", "upstream"})]
        )
        named = {each.value: each for each in self._http.own("upstream")}
        zones = {
            f"{each.name} {arg.removeprefix('zone=').partition(':')[0]}": each
            for each in self._http.directives
            for arg in each.args
            if each.name in {"limit_req_zone", "limit_conn_zone"} and arg.startswith("zone=")
        }
        self._lookups = lookups_of(self._http.directives)
        folder = files.folder
        self._upstreams = Upstreams(self.imported, named)
        self._content = Content(self.imported, self._upstreams, folder)
        self._guards = Guards(self.imported, folder, zones)
        self._fields = Fields(self.imported)
        self._rewriting = Rewrites(self._content, self._fields, self._fill)
        self._listeners = Listeners(self.imported, self._content.file)
        self._default_body: int | str = 0
        self._locations: list[Location] = []

    def run(self) -> Imported:
        """Fill the imported configuration."""
        for each in self._main:
            self.imported.lose(each.origin, each.name, "the gateway speaks HTTP only", "keep nginx for it")
        self._lose_lookups()
        servers = [Server(each, Context(each.inside(), self._http)) for each in self._http.own("server")]
        for number, server in enumerate(servers, 1):
            names_of(server, number)
        addresses = addresses_of(servers)
        self._document()
        for address in addresses:
            self._listeners.add(address)
        places: list[tuple[tuple[int, int], int, list[Route]]] = []
        for number, server in enumerate(servers):
            for is_default in (True, False):
                at = [each for each in server.addresses if (each.default is server) is is_default]
                if at:
                    places += self._server(server, at, servers, is_default=is_default, number=number)
        self._rank(places)
        return self.imported

    def _lose_lookups(self) -> None:
        """Record the variables that something other than an ``if`` asks for."""
        for each in self._http.directives:
            is_of_upgrade = each.name == "map" and "$http_upgrade" in each.args
            if each.name not in {"map", "geo", "split_clients"} or is_of_upgrade or not each.args:
                continue
            name = each.args[-1].lstrip("$")
            user = next(users_of(self._http.directives, name), None)
            if user is not None or name not in self._lookups:
                used = "" if user is None else f", which {user.name} in line {user.origin.line} needs"
                reason = f"there are no variables of one's own{used}"
                self.imported.lose(
                    each.origin, str(each), reason, "write conditions on routes, or `targets` with weights"
                )

    def _document(self) -> None:
        document = self.imported.document
        self._default_body = body_size(self._http, self.imported)
        document["limits"] = {"max_body_bytes": self._default_body}
        trusted = [each.value for each in self._http.all("set_real_ip_from") if each.value]
        if trusted:
            document["trusted_proxies"] = trusted
            field = self._http.text("real_ip_header", "X-Real-IP")
            if field == "proxy_protocol":
                self.imported.note(
                    self._http.all("real_ip_header")[-1].origin, "real_ip_header", "the listener reads it"
                )
            elif field.lower() != "x-forwarded-for":
                document["client_address"] = {"header": field.lower()}
        merge = self._http.one("merge_slashes")
        if merge is not None and merge.is_off:
            self.imported.note(
                merge.origin, str(merge), "runs of slashes count as one for matching, and are sent as they are"
            )

    def _rank(self, places: list[tuple[tuple[int, int], int, list[Route]]]) -> None:
        """Give routes their priorities: by the names of their servers, then by their locations."""
        strengths = sorted({(strength, -number) for strength, number, _ in places})
        step = max([_STEP, *(len(routes) + 1 for _, _, routes in places)])
        for strength, number, routes in sorted(places, key=lambda each: each[1]):
            base = strengths.index((strength, -number)) * step
            for position, route in enumerate(routes):
                route.keys["priority"] = base + len(routes) - position
            self.imported.routes += routes
        if len(self.imported.routes) == 1:
            del self.imported.routes[0].keys["priority"]

    # -- one server

    def _server(
        self, server: Server, at: list[Address], servers: list[Server], *, is_default: bool, number: int
    ) -> Iterator[tuple[tuple[int, int], int, list[Route]]]:
        others = [each for each in servers if any(address in each.addresses for address in at)]
        listeners = self._listeners.names(server, at)
        drafts = list(self._drafts(server))
        for name in server.lost_names:
            finding = self.imported.lose(name.origin, str(name), "Python has no such expression", "write `hosts`")
            for draft in drafts:
                self.imported.close(draft.route, finding)
        self._client_certificates(server, drafts)
        for group in groups_of(server, others, is_default=is_default):
            routes = [each for draft in drafts for each in self._placed(draft, group, listeners, at)]
            yield group.strength, number, list(_reached(routes))

    def _client_certificates(self, server: Server, drafts: list[Draft]) -> None:
        found = server.context.one("ssl_verify_client")
        has_authority = server.context.one("ssl_client_certificate") or server.context.one("ssl_trusted_certificate")
        lost = found is not None and (
            found.value not in {"on", "optional", "off"} or (not found.is_off and not has_authority)
        )
        if found is not None and not found.is_off and any(name.regex for name in server.names):
            lost = True
        if found is not None and lost:
            self.imported.lose_guard(
                found.origin,
                str(found),
                "certificates are verified against `client_ca`, for hosts",
                "write a listener with `client_ca`",
                [each.route for each in drafts],
            )

    def _placed(self, draft: Draft, group: Group, listeners: list[str], at: list[Address]) -> Iterator[Route]:
        route = draft.route
        keys: dict[str, Any] = {"listeners": listeners} if listeners else {}
        keys |= copy.deepcopy(group.keys)
        for key, value in route.keys.items():
            if value is not None:
                keys[key] = {**keys.get(key, {}), **value} if key == "headers" else value
        for each in self._by_scheme(keys, at):
            name = self.imported.route_id(draft.label)
            yield Route(name, each, route.origin, route.plugins, route.comments, route.closed_by)

    def _by_scheme(self, keys: dict[str, Any], at: list[Address]) -> Iterator[dict[str, Any]]:
        """Yield a route for requests of the other scheme than a redirect's, and one for those of the same.

        A redirect to a scheme leaves the latter to the next route, which may ask for less. nginx redirects them as
        well: where nothing but the scheme changes that never ends, so nothing is served there.
        """
        redirect = keys.get("redirect", {})
        scheme = redirect.get("scheme")
        if scheme is None or "scheme" in keys:
            yield keys
            return
        # A proxy says which scheme a client used, whatever the address.
        has_any = "trusted_proxies" in self.imported.document
        if has_any or any(each.is_tls != (scheme == "https") for each in at):
            yield keys
        if has_any or any(each.is_tls == (scheme == "https") for each in at):
            same = {**keys, "scheme": scheme}
            if not redirect.keys() & {"host", "port"}:
                del same["redirect"]
                same["respond"] = {"status": 403}
            yield same

    def _drafts(self, server: Server) -> Iterator[Draft]:
        """Yield the routes of a server, the one that decides first."""
        context = server.context
        everything = Choice(Location("", "/", server.directive, context))
        self._locations = locations_of(context.directives, context)
        self._content.locations = self._locations
        self._guards.auth_service = lambda directive: auth_service(directive, self._locations, self._upstreams, context)
        closing: list[Finding] = []
        for draft in self._rewrites(everything, server.label, closing):
            yield self._closed(draft, closing)
        if context.own("return"):
            return
        for each in self._locations:
            if each.pattern != "/" and each.pattern.endswith("/") and _is_proxied(each):
                yield self._closed(self._slash(each, server), closing)
        for choice in ordered(self._locations):
            if choice.regex() is None:
                # Which paths it would have taken is not known: every later location might have been less protected.
                reason = "Python has no such expression"
                origin = choice.location.directive.origin
                closing.append(
                    self.imported.lose_guard(origin, choice.location.name, reason, "write its paths as routes", [])
                )
                continue
            label = f"{server.label}-{choice.location.pattern}"
            own: list[Finding] = []
            if choice.is_regex and choice.location.nested:
                # Paths of an expression within an expression have no place in the order of routes.
                reason = "it has locations within an expression"
                origin = choice.location.directive.origin
                own.append(
                    self.imported.lose_guard(origin, choice.location.name, reason, "write their paths as routes", [])
                )
            for draft in [*self._rewrites(choice, label, own), *self._location(choice, label)]:
                yield self._closed(draft, [*closing, *own])
        if not any(each.pattern in {"/", ""} and each.kind in {"", "^~"} for each in self._locations):
            yield self._closed(self._fallback(everything, server), closing)

    def _closed(self, draft: Draft, findings: list[Finding]) -> Draft:
        for each in findings:
            self.imported.close(draft.route, each)
        return draft

    def _fallback(self, everything: Choice, server: Server) -> Draft:
        """Return what takes the paths that no location takes; without it they would be another server's."""
        route = Route("", {}, server.directive.origin)
        self._fill(route, everything)
        return Draft(route, f"{server.label}-other")

    def _slash(self, location: Location, server: Server) -> Draft:
        """Return the redirect that nginx makes of a path that lacks the slash of a proxied location."""
        path = location.pattern.removesuffix("/")
        route = Route(
            "", {"path": path, "redirect": {"status": 301, "path": location.pattern}}, location.directive.origin
        )
        self._fields.add_responses(route, location.context, "")
        return Draft(route, f"{server.label}-{path}-slash")

    # -- one location

    def _location(self, choice: Choice, label: str) -> Iterator[Draft]:
        context = choice.location.context
        if any(each.name == "return" for each in context.directives):
            return  # which comes before everything else, and is one of `_rewrites`
        limited = context.own("limit_except")
        route = Route("", choice.keys(), choice.location.directive.origin)
        if context.own("internal"):
            route.keys["respond"] = {"status": 404}
            self._fields.add_responses(route, context, "")
            yield Draft(route, label)
            return
        if limited:
            methods = [each.upper() for each in limited[-1].args]
            free = Route(
                "", choice.keys() | {"methods": methods + (["HEAD"] if "GET" in methods else [])}, route.origin
            )
            self._fill(free, choice)
            yield Draft(free, label)
            inner = Context(limited[-1].inside(), context)
            self._guards.unknown(route, inner)
            self._guards.add(route, inner)
            label = f"{label}-other-methods"
        self._fill(route, choice, with_access=not limited)
        yield Draft(route, label)

    def _fill(self, route: Route, choice: Choice, *, with_access: bool = True) -> None:
        context = choice.location.context
        guards, route.plugins = route.plugins, []
        named = {each.pattern: each for each in self._locations if each.kind == "@"}
        compression(context, route)
        self._fields.add_responses(route, context, _prefix(context, named))
        route.plugins += guards
        self._guards.unknown(route, context)
        if with_access:
            self._guards.add(route, context)
        prefix = self._content.add(route, choice, named)
        sending = _sending(context, named)
        if sending is not context:
            self._guards.passed_on(route, context, sending)
        if route.keys.get("respond") == {"status": 404}:
            route.plugins = []
        cache(context, route, self.imported)
        self._fields.add_request(route, sending, prefix, captured(sending))
        size = body_size(context, self.imported)
        if size != self._default_body and "target" in route.keys:
            route.keys["max_body_bytes"] = size
        pages = error_pages(self.imported, context, lambda path: page_target(self._locations, path, self._upstreams))
        if pages and not route.is_closed and "respond" not in route.keys:
            route.keys["error_pages"] = pages

    def _rewrites(self, choice: Choice, label: str, closing: list[Finding]) -> Iterator[Draft]:
        """Yield what ``if``, ``return`` and ``rewrite`` of a block decide.

        :param closing: gets what closes everything that follows: guards whose conditions are not known.
        """
        context = choice.location.context
        for each in context.directives:
            if each.name == "return":
                route = Route("", choice.keys(), each.origin)
                self._content.respond(route, each, context)
                self._guards.unknown(route, context)
                self._fields.add_responses(route, context, "")
                yield Draft(route, label)
                return
            if each.name == "if":
                yield from self._if(each, choice, label, closing)
            elif each.name == "rewrite" and len(each.args) >= 2:
                yield Draft(self._rewriting.route(each, choice), f"{label}-rewrite")

    def _if(self, block: Directive, choice: Choice, label: str, closing: list[Finding]) -> Iterator[Draft]:
        found, inner = alternatives(block, self._lookups), returned(block)
        if found is not None:
            hidden = [hidden_conditions(self.imported, each, block.origin) for each in found]
            found = None if None in hidden else [each for each in hidden if each is not None]
        reason = "its condition or its effect has no counterpart"
        if found is not None and inner is not None:
            for asked in found:
                route = Route("", choice.keys() | asked, block.origin)
                self._content.respond(route, inner, choice.location.context)
                self._fields.add_responses(route, choice.location.context, "")
                yield Draft(route, f"{label}-if")
        elif not may_guard(block):
            self.imported.lose(block.origin, str(block), reason, "write a route with conditions")
        else:
            proposal = "write a route with conditions, or bind a plugin with `when`"
            finding = self.imported.lose_guard(block.origin, str(block), reason, proposal, [])
            if found is None:
                closing.append(finding)
            else:
                for asked in found:
                    route = Route("", choice.keys() | asked, block.origin)
                    yield self._closed(Draft(route, f"{label}-if"), [finding])


def _prefix(context: Context, named: dict[str, Location]) -> str:
    for name in ("proxy", "grpc"):
        if context.own(f"{name}_pass"):
            return name
    tried = context.own("try_files")
    return "proxy" if tried and tried[-1].args and tried[-1].args[-1] in named else ""


def _sending(context: Context, named: dict[str, Location]) -> Context:
    """Return the block that sends requests on: that of the named location where ``try_files`` ends at one."""
    tried = context.own("try_files")
    last = tried[-1].args[-1] if tried and tried[-1].args else ""
    return named[last].context if last in named else context


def _reached(routes: list[Route]) -> Iterator[Route]:
    """Leave out routes whose conditions an earlier one has: they would get nothing, in nginx as well."""
    seen: list[dict[str, Any]] = []
    for route in routes:
        found = {key: value for key, value in route.keys.items() if key in CONDITIONS}
        if found not in seen:
            seen.append(found)
            yield route


def _is_proxied(location: Location) -> bool:
    return location.kind in {"", "^~"} and any(each.name.endswith("_pass") for each in location.context.directives)
