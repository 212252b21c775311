"""Names that refer to something else in the document, or to something that is installed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from pydantic import ValidationError

from gateway_core.config.checks.scope import Scope
from gateway_core.config.document_view import mappings, text
from gateway_core.config.location import KeyPath
from gateway_core.config.model_errors import explain_model_errors
from gateway_core.config.models.route import is_url
from gateway_core.config.models.upstream import DnsDiscoveryConfig
from gateway_core.config.suggestions import listed

STRATEGIES: Final = frozenset({"round-robin", "weighted-round-robin", "random", "least-requests", "consistent-hash"})
"""The strategies that need no extension."""

DISCOVERIES: Final = frozenset({"dns"})
"""The discoveries that need no extension."""


def check_targets(scope: Scope) -> None:
    """Report targets that are no upstream's name."""
    names = {name for _, item in mappings(scope.document, "upstreams") if (name := text(item, "name"))}
    for path, target in _targets(scope.document):
        if is_url(target) or target.startswith("//") or target in names:
            continue
        hint = scope.suggestion(target, names) or known_upstreams(names)
        scope.add(path, f"{scope.shown(path, target)} is not an upstream{hint}", code="upstream.unknown")


def known_upstreams(names: set[str]) -> str:
    """Return what there is, or what to do where there is nothing, for the end of a problem."""
    if not names:
        return ": none is configured, add it under upstreams or write a URL such as http://127.0.0.1:8081"
    return f": there {'is' if len(names) == 1 else 'are'} {listed(sorted(names), last='and')}"


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


def check_upstreams(scope: Scope) -> None:
    """Report strategies and discoveries that nothing provides."""
    for path, upstream in mappings(scope.document, "upstreams"):
        strategy = text(upstream, "strategy")
        if strategy is not None and strategy not in scope.strategies:
            hint = scope.suggestion(strategy, scope.strategies)
            known = listed(sorted(scope.strategies), last="and")
            shown = scope.shown((*path, "strategy"), strategy)
            message = f"{shown} is not a strategy{hint or f': there are {known}'}"
            scope.add((*path, "strategy"), message, code="strategy.not-installed")
        discovery = upstream.get("discovery")
        if isinstance(discovery, Mapping):
            _check_discovery(scope, (*path, "discovery"), discovery)


def _check_discovery(scope: Scope, path: KeyPath, discovery: Mapping[str, Any]) -> None:
    name = text(discovery, "name")
    if name is None:
        return
    if name == "dns":
        _check_dns(scope, (*path, "config"), discovery.get("config") or {})
    elif name not in scope.discoveries:
        installed = listed(sorted(scope.discoveries), last="and")
        all_of_them = f": installed {'is' if len(scope.discoveries) == 1 else 'are'} {installed}"
        advice = scope.install_hint((*path, "name"), name)
        hint = advice or scope.suggestion(name, scope.discoveries) or all_of_them
        message = f"no discovery {scope.shown((*path, 'name'), name)} is installed{hint}"
        scope.add((*path, "name"), message, code="discovery.not-installed")


def _check_dns(scope: Scope, path: KeyPath, config: object) -> None:
    if not isinstance(config, Mapping):
        return
    try:
        DnsDiscoveryConfig.model_validate(config)
    except ValidationError as error:

        def show(inner: KeyPath, value: object) -> str:
            return scope.shown((*path, *inner), value)

        for finding in explain_model_errors(DnsDiscoveryConfig, error, show):
            scope.report(replace(finding, message=f"{finding.message} (dns discovery)"), path)
