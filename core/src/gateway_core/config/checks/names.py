"""Names and ids that must be unique."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gateway_core.config.address import parse_origin
from gateway_core.config.checks.scope import Scope
from gateway_core.config.document_view import bindings, mappings, targets_of, text
from gateway_core.config.location import KeyPath
from gateway_core.config.suggestions import quote
from gateway_core.config.values import InvalidValueError


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
    for path, parent in (*routes, *targets_of(document), *upstreams):
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
            scope.add((*path, key), message, code="name.duplicate", related=[(*first[name], key)])
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
            message = f"{quote(binding.id)} is already a binding in this list at {place}: give one of them another id"
            scope.add((*binding.path, "id"), message, code="name.duplicate", related=[first[binding.id]])
        else:
            first[binding.id] = binding.path
