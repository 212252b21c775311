"""Routes as they are written: where their responses come from, and what is written for them in vain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from gateway_core.config.checks.scope import BindingView, Scope, bindings, mappings, text
from gateway_core.config.models.base import EXTENSION
from gateway_core.config.models.binding import effective_chain
from gateway_core.config.models.route import RouteConfig
from gateway_core.config.suggestions import listed, quote

RESPONSE: Final = "response"
"""What a plugin provides that responds to requests itself."""
_RESPONDING: Final = ("target", "targets", "redirect", "respond")


def check_responses(scope: Scope) -> None:
    """Report routes with bindings that have no target, none of which responds instead."""
    gateway_wide = bindings(scope.document)
    for path, route in mappings(scope.document, "routes"):
        if any(route.get(key) is not None for key in _RESPONDING):
            continue
        if route.get("enabled") is False:
            continue  # It takes no requests.
        own = bindings(route, path)
        if any(not key.startswith(EXTENSION) and key not in RouteConfig.model_fields for key in route):
            continue  # A misspelt key may be the one that is missing.
        if not any(binding.enabled for binding in own):
            continue  # The model refuses it.
        chain = [entry.binding for entry in effective_chain(gateway_wide, own)]
        if not any(_may_respond(scope, binding) for binding in chain):
            message = "lacks a key, and none of its plugins responds to requests"
            remedy = f"give exactly one of {listed(_RESPONDING, last='and')}"
            scope.add(path, message, code="value.inconsistent", remedy=remedy)


def _may_respond(scope: Scope, binding: BindingView) -> bool:
    description = scope.catalog.describe(binding.name)
    if binding.path in scope.broken or description is None or description.load_error is not None:
        return True  # A problem of its own, and what it would provide is not known.
    provides: Iterable[str] = description.provides
    if description.provides_of is not None and binding.config is not None:
        provides = description.provides_of(binding.config)
    return RESPONSE in provides


def check_when(scope: Scope) -> None:
    """Report conditions on parameters where there is no route whose parameters they could be."""
    for path, parent in (((), scope.document), *mappings(scope.document, "upstreams")):
        for inner, binding in mappings(parent, "plugins", path):
            when = binding.get("when")
            if isinstance(when, Mapping) and when.get("params") is not None:
                message = "params are those of a route, and this binding belongs to none"
                where, remedy = (*inner, "when", "params"), "list the binding on the routes"
                scope.add_key(where, message, code="value.inconsistent", remedy=remedy)


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


def check_displaced_defaults(scope: Scope) -> None:
    """Warn of routes whose own list of plugins leaves out what the defaults protect routes with.

    An empty list leaves it out on purpose, and so does a binding of its id that is switched off.
    """
    guarding = {each.name for each in bindings(scope.document) if each.enabled and _is_guard(scope, each)}
    for path, route in mappings(scope.document, "routes") if scope.displaced_defaults else ():
        own = bindings(route, path)
        named = guarding.union([each.id for each in own], [each.name for each in own])
        missing = [
            quote(each.id)
            for each in (scope.displaced(path) if own else ())
            if each.enabled and not named & {each.id, each.name} and _is_guard(scope, each)
        ]
        if missing:
            do = "does" if len(missing) == 1 else "do"
            guards = f"{listed(missing, last='and')} {do}"
            message = f"replaces the plugins of route_defaults: {guards} not protect this route"
            remedy = "list what is to stay here too, or with enabled: false what is not"
            scope.warn((*path, "plugins"), message, code="binding.replaces", remedy=remedy)


def _is_guard(scope: Scope, binding: BindingView) -> bool:
    description = scope.catalog.describe(binding.name)
    return description is not None and description.load_error is None and description.access_control
