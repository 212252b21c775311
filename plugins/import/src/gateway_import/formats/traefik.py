"""``gateway import traefik``: a dynamic configuration of Traefik, as its file provider reads it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from gateway_import.failures import CannotImportError, Origin
from gateway_import.files import Files, SourceText
from gateway_import.formats import Format
from gateway_import.hiding import HIDDEN, hidden_conditions, holds_secret
from gateway_import.model import CONDITIONS, Imported, Listener, Route, keeps_secret
from gateway_import.nodes import Node, read_nodes
from gateway_import.sections import Section
from gateway_import.traefik.keys import canonical
from gateway_import.traefik.middlewares import Applied, Middlewares
from gateway_import.traefik.rules import Conditions, Matcher, RuleError, alternatives, conditions
from gateway_import.traefik.services import Services
from gateway_import.traefik.tls import DEFAULT, TlsOptions, listener_name, option_of

_STATIC: Final = ("entryPoints", "providers", "api", "certificatesResolvers", "entrypoints", "experimental", "global")
_PORTS: Final = {"web": ":80", "http": ":80", "websecure": ":443", "https": ":443"}
_SECURE: Final = frozenset({"websecure", "https"})


def read(source: SourceText, _files: Files, _options: Mapping[str, Any]) -> Imported:
    """Import a dynamic configuration.

    :raises CannotImportError: it is none: a static one, one of version 1, or of another provider.
    """
    root = Section(canonical(_nodes(source)))
    _refuse_others(root)
    return _Importer(source, root).run()


def _nodes(source: SourceText) -> Node:
    if not source.name.endswith(".toml"):
        return read_nodes(source)
    try:
        return _node(tomllib.loads(source.text), source.origin)
    except tomllib.TOMLDecodeError as error:
        raise CannotImportError(source.origin, f"is no TOML: {error}") from None
    except RecursionError:
        raise CannotImportError(source.origin, "is nested too deep") from None


def _node(value: Any, origin: Origin) -> Node:
    if isinstance(value, dict):
        return Node(origin, {key: _node(inner, origin) for key, inner in value.items()})
    if isinstance(value, list):
        return Node(origin, [_node(inner, origin) for inner in value])
    return Node(origin, value if isinstance(value, str | int | float | bool) else str(value))


def _refuse_others(root: Section) -> None:
    def refuse(message: str) -> None:
        raise CannotImportError(root.origin, message)

    if "frontends" in root or "backends" in root:
        refuse("is a configuration of Traefik 1: migrate it to version 2 or 3 first")
    if "apiVersion" in root:
        refuse("is an object of Kubernetes: import the configuration that Traefik made of it (its API: /api/rawdata)")
    if "services" in root and "http" not in root and "_format_version" not in root:
        refuse("is a file of Compose: routers in labels are not read; write them as a file of the file provider")
    found = next((each for each in _STATIC if each in root), None)
    if found is not None and "http" not in root:
        refuse(
            f"has {found!r} and no 'http': it is the static configuration; import the file that providers.file names"
        )
    if not {"http", "tcp", "udp", "tls"} & set(root.names()):
        refuse("is no dynamic configuration of Traefik: 'http' is missing")


class _Importer:
    def __init__(self, source: SourceText, root: Section) -> None:
        self.imported = Imported(
            "Traefik", source.name, comments=["Ports of entry points are in the static configuration: see listen."]
        )
        self._root = root
        self._http = root.section("http")
        self._tls = root.section("tls")
        http = self._http
        transports = http.section("serversTransports") if http else None
        self._services = Services(self.imported, http.section("services") if http else None, transports)
        self._middlewares = Middlewares(self.imported, http.section("middlewares") if http else None, self._services)
        self._entry_points: dict[str, None] = {}
        self._some_tls = False
        self._secure: frozenset[str] = _SECURE
        """Entry points with TLS: those with a usual name, and those of which every router has it."""
        self._over_tls: set[str] = set()
        """Ids of routes of routers with TLS."""
        self._certificates: dict[str, Any] = {}
        self._deciding: set[str] = set()
        """Ids of routes that decide before the one of their router."""

    def run(self) -> Imported:
        routers = self._http.section("routers") if self._http else None
        names = routers.names() if routers else []
        sections = {
            name: section for name in names if routers and (section := routers.section(name, f"router {name!r}"))
        }
        self._some_tls = any("tls" in each for each in sections.values())
        self._secure |= _with_tls(sections.values())
        self._options = TlsOptions(self.imported, self._tls, sections)
        for name, router in sections.items():
            self.imported.routes += self._router(name, router)
        self._ranked()
        self._listeners()
        self._without_https()
        for key in ("tcp", "udp"):
            if key in self._root:
                self.imported.lose(
                    self._root.origin_of(key), key, "the gateway speaks HTTP only", "keep Traefik for it"
                )
                self._root.ignore(key)
        for section in (self._root, self._http):
            for key, node in section.rest() if section else ():
                self.imported.lose(node.origin, repr(key), "it is no part of a dynamic configuration")
        return self.imported

    def _router(self, name: str, router: Section) -> Iterator[Route]:
        rule = router.text("rule") or ""
        priority = router.integer("priority")
        try:
            found = alternatives(rule)
        except RuleError as error:
            raise CannotImportError(router.origin_of("rule"), f"has a rule that cannot be read: {error}") from None
        entry_points = router.texts("entryPoints")
        self._entry_points |= dict.fromkeys(entry_points)
        middlewares, service = router.texts("middlewares"), (router.text("service") or "").removesuffix("@file")
        has_tls = "tls" in router
        options = option_of(router)
        router.ignore("ruleSyntax", "observability")
        # An option that is not known may say who gets through.
        unknown = [
            self.imported.lose_guard(
                node.origin, f"{key!r} of {router.what}", "a route has no such option", "write it by hand", []
            )
            for key, node in router.rest()
        ]
        shown = _shown(rule, found)
        for number, matchers in enumerate(found):
            asked = conditions(matchers)
            hidden = hidden_conditions(self.imported, asked.keys, router.origin_of("rule"))
            if hidden is None:
                asked.lost += [each for each in matchers if each.name.endswith("Regexp")]
                hidden = {key: value for key, value in asked.keys.items() if key not in {"headers", "query"}}
            asked.keys = hidden
            keys: dict[str, Any] = {"listeners": entry_points} if entry_points else {}
            keys |= asked.finish() | {"priority": priority or len(rule)}
            if has_tls or (self._some_tls and not self._secure & set(entry_points)):
                keys["scheme"] = "https" if has_tls else "http"
            route = Route(
                self.imported.route_id(name if number == 0 else f"{name}-{number + 1}"),
                keys,
                router.origin,
                comments=[f"rule: {shown}"],
            )
            if has_tls:
                self._over_tls.add(route.id)
            for each in unknown:
                self.imported.close(route, each)
            yield from self._filled(route, router, asked, middlewares, service, options)

    def _filled(
        self,
        route: Route,
        router: Section,
        asked: Conditions,
        middlewares: list[str],
        service: str,
        options: str | None,
    ) -> Iterator[Route]:
        self._lose_conditions(route, router, asked, options)
        found = self._services.keys(service)
        if found is None:
            if service.endswith("@internal"):
                reason = "it is a part of Traefik"
            elif self._services.has(service):
                reason = "it has no servers, or services that have none"
            else:
                reason = "it is not in the file"
            self.imported.close(
                route,
                self.imported.lose(router.origin, f"service {service!r} of {router.what}", reason, "write a target"),
            )
        else:
            route.keys |= found
        applied = Applied(route, asked.prefixes)
        for each in middlewares:
            self._middlewares.apply(applied, each, router)
        if applied.template is not None and not route.is_closed:
            route.keys["rewrite"] = {"template": applied.template}
            if applied.pattern is not None:
                given = route.keys.get("path_regex")
                route.keys["path_regex"] = applied.pattern if given is None else f"(?={given}$){applied.pattern}"
        if route.is_closed:
            yield route
        else:
            yield from self._with_redirects(route, applied)

    def _with_redirects(self, route: Route, applied: Applied) -> Iterator[Route]:
        """Yield a route behind those that decide before it, without the ones to which they leave no request."""
        before = list(self._before(route, applied))
        yield from before
        if applied.to_scheme is not None:
            redirect = self._to_scheme(route, applied.to_scheme)
            if redirect is not None:
                if not _is_taken(redirect, before):
                    yield redirect
                if route.keys.get("scheme") == redirect.keys["scheme"]:
                    return
                route.keys["scheme"] = applied.to_scheme.keys["redirect"]["scheme"]
        if not _is_taken(route, before):
            yield route

    def _lose_conditions(self, route: Route, router: Section, asked: Conditions, options: str | None) -> None:
        for matcher in asked.lost:
            text = f"{'!' * matcher.negated}{matcher.name} of {router.what}"
            self.imported.lose_guard(
                router.origin,
                text,
                "it has no counterpart: the other conditions take more requests",
                "write conditions on the route",
                [route],
            )
        if options is not None and options != DEFAULT and not self._options.holds_for(router, options):
            self._lose_options(route, router, options)

    def _to_scheme(self, route: Route, redirect: Route) -> Route | None:
        """Return the redirect of requests of another scheme; None if the route takes none of them."""
        goes_to = redirect.keys["redirect"]["scheme"]
        if route.keys.get("scheme") == goes_to:
            return None
        kept = {"listeners", "hosts", "headers", "query", "methods", "client_ip", "path_regex", "priority"}
        same = {key: value for key, value in route.keys.items() if key in kept}
        keys = same | {"scheme": {"https": "http", "http": "https"}[goes_to]} | redirect.keys
        return Route(self.imported.route_id(f"{route.id}-to-{goes_to}"), keys, redirect.origin, redirect.plugins)

    def _before(self, route: Route, applied: Applied) -> Iterator[Route]:
        """Yield the routes for some requests of a route, which decide before it."""
        for each in applied.before:
            asked = {key: value for key, value in each.keys.items() if key != "redirect"}
            if "scheme" in asked and route.keys.get("scheme", asked["scheme"]) != asked["scheme"]:
                continue
            given = route.keys.get("path_regex")
            if given is not None and "path_regex" in asked and not _is_within(asked["path_regex"], given):
                asked["path_regex"] = f"(?={given}$){asked['path_regex']}"
            if "redirect" in each.keys:
                keys = {key: value for key, value in route.keys.items() if key in CONDITIONS}
                plugins = each.plugins
            else:
                keys, plugins = route.keys, route.plugins
            kind = "redirect" if "redirect" in each.keys else "rewritten"
            made = {**keys, **asked} | {key: value for key, value in each.keys.items() if key == "redirect"}
            found = Route(self.imported.route_id(f"{route.id}-{kind}"), made, each.origin, plugins)
            self._deciding.add(found.id)
            yield found

    def _without_https(self) -> None:
        """Leave out what only HTTPS would get to where no entry point has it.

        In Traefik one address takes both, and gives requests over TLS to the routers that have it.
        """
        secure = {each.keys["name"] for each in self.imported.listeners if "tls" in each.keys}
        for each in [each for each in self.imported.routes if each.id in self._over_tls]:
            names = each.keys.get("listeners")
            if names and not secure & set(names):
                self.imported.routes.remove(each)
                reason = "its entry point has routers without TLS too, and here a listener has TLS or not"
                proposal = "add a listener with tls at another address, and the route"
                self.imported.lose(each.origin, f"route {each.id!r} for https", reason, proposal)
        if secure:
            return
        for each in [each for each in self.imported.routes if each.keys.get("scheme") == "https"]:
            self.imported.routes.remove(each)
            reason, proposal = "no router and no entry point has TLS", "add a listener with tls, and the route"
            self.imported.note(each.origin, f"route {each.id!r} for https", reason, proposal)

    def _ranked(self) -> None:
        """Have routes for some requests of another one decide before it, and between the same neighbours."""
        for each in self.imported.routes if self._deciding else ():
            if "priority" in each.keys:
                each.keys["priority"] = 2 * each.keys["priority"] + (each.id in self._deciding)

    def _lose_options(self, route: Route, router: Section, name: str) -> None:
        what = f"tls.options {name!r} of {router.what}"
        reason = "they are of hosts that its rule names, of no other router with other options, and in the file"
        if self._options.asks_for_certificates(name):
            proposal = "write a listener with `hosts` and `client_ca`, one file of authorities"
            self.imported.lose_guard(router.origin, what, reason, proposal, [route])
        else:
            self.imported.lose(router.origin, what, reason, "write a listener with `hosts` and `tls`")

    # -- listeners

    def _listeners(self) -> None:
        names = list(self._entry_points) or (["web", "websecure"] if self._some_tls else ["web"])
        tls = self._listener_tls()
        for name in names:
            keys: dict[str, Any] = {"name": name, "address": _PORTS.get(name, "127.0.0.1:0")}
            if name not in _PORTS:
                keys["default"] = False
                self.imported.lose(
                    self._root.origin,
                    f"entry point {name!r}",
                    "its address is in the static configuration",
                    "write it, and `default: true` if routers without entry points use it",
                )
            if name in self._secure:
                keys["tls"] = tls
            self.imported.listeners.append(Listener(keys, self._root.origin))
            own = self._options.listeners(name) if name in self._secure else {}
            for option, hosts in own.items():
                beside = keys | {"name": listener_name(name, option), "hosts": hosts}
                beside["tls"] = self._certificates | (self._options.keys(option) or {})
                comments = [f"tls.options {option!r}"]
                self.imported.listeners.append(Listener(beside, self._root.origin, comments))
                for route in self.imported.routes:
                    if name in route.keys.get("listeners", ()):
                        route.keys["listeners"] = [*route.keys["listeners"], beside["name"]]

    def _listener_tls(self) -> dict[str, Any]:
        pairs = []
        stores = self._tls.section("stores") if self._tls else None
        store = stores.section("default") if stores is not None else None
        chosen = store.section("defaultCertificate") if store is not None else None
        if chosen is not None:
            pairs.append({"cert": chosen.text("certFile") or "", "key": chosen.text("keyFile") or ""})
        for each in self._tls.sections("certificates") if self._tls else ():
            pair = {"cert": each.text("certFile") or "", "key": each.text("keyFile") or ""}
            if pair not in pairs:
                pairs.append(pair)
            each.ignore("stores")
        if not pairs:
            pairs = [{"cert": "/etc/gateway/tls.crt", "key": "/etc/gateway/tls.key"}]
            if self._some_tls:
                self.imported.lose(
                    self._root.origin,
                    "certificates",
                    "they are not in the file: an ACME resolver or a default one",
                    "put them where `tls` says, or change it",
                )
        self._certificates = dict(pairs[0]) | ({"certificates": pairs[1:]} if len(pairs) > 1 else {})
        options = self._options.keys(DEFAULT)
        if options is None and self._options.has(DEFAULT):
            reason, proposal = "one file of authorities, and certificates that are verified", "write `client_ca`"
            self.imported.lose_guard(
                self._options.origin_of(DEFAULT), "clientAuth", reason, proposal, self.imported.routes
            )
        return self._certificates | (options or {})


def _is_taken(route: Route, before: list[Route]) -> bool:
    """Whether routes that decide before one take all of its requests: they ask for the same, or for each scheme."""
    schemes = {each.keys.get("scheme") for each in before if _asked(each) == _asked(route)}
    return bool(schemes & {None, route.keys.get("scheme")}) or schemes == {"http", "https"}


def _asked(route: Route) -> dict[str, Any]:
    """Return what a route asks for of requests, apart from their scheme."""
    return {key: value for key, value in route.keys.items() if key in CONDITIONS and key not in {"priority", "scheme"}}


def _with_tls(routers: Iterable[Section]) -> set[str]:
    """Return the entry points of which every router has TLS."""
    found: dict[str, bool] = {}
    everywhere = True
    for router in routers:
        given = [str(each.value) for each in Section(router.node, router.what).nodes("entryPoints")]
        for name in given:
            found[name] = found.get(name, True) and "tls" in router
        everywhere = everywhere and (bool(given) or "tls" in router)
    return {name for name, all_of_them in found.items() if all_of_them and everywhere}


def _is_within(pattern: str, given: str) -> bool:
    """Whether what an expression takes begins as another one has it, which takes whatever follows."""
    return given.endswith(".*") and "|" not in given and pattern.startswith(given[:-2])


def _shown(rule: str, found: Iterable[tuple[Matcher, ...]]) -> str:
    """Return a rule without the values in it that may be secrets."""
    for each in (matcher for matchers in found for matcher in matchers):
        if not each.name.startswith(("Header", "Query")) or not each.args:
            continue
        name, values = (each.args[0], each.args[1:]) if len(each.args) > 1 else each.args[0].partition("=")[::2]
        for value in (values,) if isinstance(values, str) else values:
            if value and (keeps_secret(name, value) or holds_secret(name, value)):
                rule = rule.replace(value, HIDDEN)
    return rule


FORMAT: Final = Format(
    read,
    "Import a dynamic configuration of Traefik 2 or 3, in YAML, TOML or JSON: routers, services, middlewares, TLS.\n",
)
