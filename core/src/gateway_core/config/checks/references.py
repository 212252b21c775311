"""Names: those that must be unique, and those that refer to something in the document or to what is installed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from pydantic import ValidationError

from gateway_core.config.address import UNIX, is_host, parse_origin, target_name
from gateway_core.config.checks.listeners import listeners
from gateway_core.config.checks.scope import Scope, bindings, mappings, targets_of, text
from gateway_core.config.model_errors import explain_model_errors
from gateway_core.config.models.route import is_url
from gateway_core.config.models.upstream import DnsDiscoveryConfig
from gateway_core.config.problems import KeyPath
from gateway_core.config.suggestions import listed, quote, there_are
from gateway_core.config.values import InvalidValueError

STRATEGIES: Final = frozenset({"round-robin", "weighted-round-robin", "random", "least-requests", "consistent-hash"})
"""The strategies that need no extension."""

DISCOVERIES: Final = frozenset({"dns"})
"""The discoveries that need no extension."""


def check_targets(scope: Scope) -> None:
    """Report targets that are no upstream's name."""
    names = {name for _, item in mappings(scope.document, "upstreams") if (name := text(item, "name"))}
    for path, target in (*_targets(scope.document), *_targets_of_pages(scope.document)):
        if is_url(target) or target.startswith("//") or target in names:
            continue
        named = target_name(target) if path[0] == "routes" and len(path) == 3 else None  # of routes[i].target alone
        if named is not None:
            if not named.among(names):
                message = f"{scope.shown(path, target)} names no upstream, whatever its parameters are"
                scope.add(path, message, code="upstream.unknown", remedy=known_upstreams(names))
            continue
        remedy = scope.suggestion(target, names) or known_upstreams(names)
        host, _, port = target.rpartition(":")
        if port.isdecimal() and is_host(host):
            remedy = f"write http://{target}"
        if "{" in target or "$" in target:
            remedy = "write :name for what the route's path or host captures, as in users-:tenant"
        scope.add(path, f"{scope.shown(path, target)} is not an upstream", code="upstream.unknown", remedy=remedy)


def check_grpc_targets(scope: Scope) -> None:
    """Report targets of routes for gRPC that speak HTTP/1: calls of gRPC have trailers, which only HTTP/2 carries."""
    protocols = {text(item, "name"): item.get("protocol", "http1") for _, item in mappings(scope.document, "upstreams")}
    for path, route in mappings(scope.document, "routes"):
        if isinstance(route.get("grpc"), Mapping):
            for inner, item in ((path, route), *mappings(route, "targets", path)):
                _check_grpc_target(scope, (*inner, "target"), text(item, "target") or "", protocols)


def _check_grpc_target(scope: Scope, path: KeyPath, target: str, protocols: Mapping[str | None, object]) -> None:
    if is_url(target):
        message = f"{scope.shown(path, target)} is spoken to in HTTP/1, which cannot carry gRPC"
        remedy = "add it under upstreams with protocol: http2, and write the upstream's name here"
    elif protocols.get(target) == "http1":
        message = f"upstream {scope.shown(path, target)} is spoken to in HTTP/1, which cannot carry gRPC"
        remedy = "write protocol: http2 on the upstream"
    else:
        return
    scope.add(path, message, code="grpc.http1", remedy=remedy)


def known_upstreams(names: set[str]) -> str:
    """Return what there is, or what to do where there is nothing, for the end of a problem."""
    return there_are(names, "none is configured, add it under upstreams or write a URL such as http://127.0.0.1:8081")


def _targets(document: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    for path, route in mappings(document, "routes"):
        if target := text(route, "target"):
            yield (*path, "target"), target
        for inner, item in mappings(route, "targets", path):
            if target := text(item, "target"):
                yield (*inner, "target"), target
        mirror = route.get("mirror")
        if isinstance(mirror, Mapping) and (target := text(mirror, "target")):
            yield (*path, "mirror", "target"), target
        for inner, item in mappings(route, "mirror", path):
            if target := text(item, "target"):
                yield (*inner, "target"), target


def _targets_of_pages(document: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    for path, parent in (((), document), *mappings(document, "routes")):
        for inner, page in mappings(parent, "error_pages", path):
            if target := text(page, "target"):
                yield (*inner, "target"), target


def unix_sockets(document: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Yield the unix sockets that endpoints and targets are."""
    named = [*_targets(document), *_targets_of_pages(document)]
    for path, upstream in mappings(document, "upstreams"):
        for inner, endpoint in mappings(upstream, "endpoints", path):
            named.append(((*inner, "url"), text(endpoint, "url") or ""))
    yield from ((path, address) for path, address in named if address.startswith(UNIX))


def check_upstreams(scope: Scope) -> None:
    """Report strategies and discoveries that nothing provides."""
    for path, upstream in mappings(scope.document, "upstreams"):
        strategy = text(upstream, "strategy")
        if strategy is not None and strategy not in scope.strategies:
            remedy = scope.suggestion(strategy, scope.strategies) or there_are(scope.strategies)
            message = f"{scope.shown((*path, 'strategy'), strategy)} is not a strategy"
            scope.add((*path, "strategy"), message, code="strategy.not-installed", remedy=remedy)
        discovery = upstream.get("discovery")
        if isinstance(discovery, Mapping):
            _check_discovery(scope, (*path, "discovery"), discovery)


def check_sets(scope: Scope) -> None:
    """Warn of sets of plugins that are used nowhere, and of defaults for no route."""
    for path, entry in mappings(scope.document, "plugin_sets"):
        name = text(entry, "name")
        if name is not None and name not in scope.used_sets:
            message = f"the set {scope.shown((*path, 'name'), name)} is used nowhere"
            scope.warn(path, message, code="setting.no-effect", remedy=f"write {{use: {name}}} in a list of plugins")
    if scope.document.get("route_defaults") and not scope.document.get("routes"):
        message = "route_defaults have no effect: there are no routes"
        scope.warn(("route_defaults",), message, code="setting.no-effect", remedy="write them beside the routes")


def check_tracing(scope: Scope) -> None:
    """Warn of routes that say how their traces are sampled where there are none; once of what defaults say for all."""
    if scope.document.get("tracing") is not None:
        return
    seen: set[int] = set()
    for path, route in mappings(scope.document, "routes"):
        own = route.get("tracing")
        if own is not None and id(own) not in seen:
            seen.add(id(own))
            message = "has no effect: nothing is traced without the section tracing of the gateway"
            scope.warn(
                (*path, "tracing"), message, code="setting.no-effect", remedy="add tracing: {}, or leave this out"
            )


SOURCES: Final = frozenset({"http", "https"})
"""The schemes of sources that need no extension."""


def check_sources(scope: Scope) -> None:
    """Report sources that nothing provides."""
    offered = {*SOURCES, *(name for section, name in scope.factories if section == "source")}
    for path, entry in mappings(scope.document, "sources"):
        scheme, is_url, _ = (text(entry, "url") or "").partition("://")
        if is_url and scheme not in offered:
            where = (*path, "url")
            remedy = scope.install_hint(where, scheme) or scope.suggestion(scheme, offered) or there_are(offered)
            message = f"{quote(scheme)} is not a source of configuration that is installed"
            scope.add(where, message, code="source.not-installed", remedy=remedy)


def check_certificates(scope: Scope) -> None:
    """Report certificates that no extension offers."""
    offered = sorted(name for section, name in scope.factories if section == "certificates")
    for path, listener in listeners(scope.document):
        for inner, entry in mappings(listener.get("tls"), "certificates", (*path, "tls")):
            name = text(entry, "name")
            if name is not None and name not in offered:
                where = (*inner, "name")
                remedy = scope.suggestion(name, offered) or there_are(offered)
                message = f"no installed extension offers certificates called {scope.shown(where, name)}"
                scope.add(where, message, code="certificates.unknown", remedy=remedy)


def _check_discovery(scope: Scope, path: KeyPath, discovery: Mapping[str, Any]) -> None:
    name = text(discovery, "name")
    if name is None:
        return
    if name == "dns":
        _check_dns(scope, (*path, "config"), discovery.get("config") or {})
    elif name not in scope.discoveries:
        installed = listed(sorted(scope.discoveries), last="and")
        all_of_them = f"installed {'is' if len(scope.discoveries) == 1 else 'are'} {installed}"
        advice = scope.install_hint((*path, "name"), name)
        remedy = advice or scope.suggestion(name, scope.discoveries) or all_of_them
        message = f"no discovery {scope.shown((*path, 'name'), name)} is installed"
        scope.add((*path, "name"), message, code="discovery.not-installed", remedy=remedy)


def _check_dns(scope: Scope, path: KeyPath, config: object) -> None:
    if not isinstance(config, Mapping):
        return
    try:
        DnsDiscoveryConfig.model_validate(config)
    except ValidationError as error:

        def show(inner: KeyPath, value: object) -> str:
            return scope.shown((*path, *inner), value)

        for finding in explain_model_errors(DnsDiscoveryConfig, error, show):
            scope.report(finding, path, "dns discovery")


def check_names(scope: Scope) -> None:
    """Report every name that is given twice where it may be given once."""
    document = scope.document
    routes = list(mappings(document, "routes"))
    upstreams = list(mappings(document, "upstreams"))
    _unique(scope, "id", ((path, text(route, "id")) for path, route in routes), "a route's id")
    _unique(scope, "name", ((path, text(item, "name")) for path, item in upstreams), "an upstream's name")
    for path, upstream in upstreams:
        endpoints = ((inner, _endpoint_id(item)) for inner, item in mappings(upstream, "endpoints", path))
        _unique(scope, "id", endpoints, "an endpoint's id")
    _unique_bindings(scope, document, ())
    for path, parent in (*routes, *targets_of(document), *upstreams, *mappings(document, "plugin_sets")):
        _unique_bindings(scope, parent, path)
    listeners = ((path, text(item, "name")) for path, item in mappings(document, "listen"))
    _unique(scope, "name", listeners, "a listener's name")


def _unique(scope: Scope, key: str, items: Iterable[tuple[KeyPath, str | None]], what: str) -> None:
    first: dict[str, KeyPath] = {}
    for path, name in items:
        if name is None:
            continue
        if name in first:
            value = scope.shown((*path, key), name)
            message = f"{value} is already {what} at {scope.place((*first[name], key))}"
            remedy = "give one of them another"
            scope.add((*path, key), message, code="name.duplicate", remedy=remedy, related=[(*first[name], key)])
        else:
            first[name] = path


def _endpoint_id(endpoint: Mapping[str, Any]) -> str | None:
    url = text(endpoint, "url")
    if endpoint.get("id") is not None or url is None:
        return text(endpoint, "id")
    try:
        return parse_origin(url).authority
    except InvalidValueError:
        return None


def _unique_bindings(scope: Scope, parent: object, path: KeyPath) -> None:
    first: dict[str, KeyPath] = {}
    for binding in bindings(parent, path):
        if binding.id in first:
            place = scope.place(first[binding.id])
            message = f"{quote(binding.id)} is already a binding in this list at {place}"
            scope.add(
                (*binding.path, "id"),
                message,
                code="name.duplicate",
                related=[first[binding.id]],
                remedy="give one of them another id",
            )
        else:
            first[binding.id] = binding.path
