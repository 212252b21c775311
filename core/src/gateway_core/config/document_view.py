"""Plain documents seen through the keys that references and names live in.

Checks work on the document as it was written, so that a wrong type in one place does not hide an unknown name in
another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway_core.config.location import KeyPath


@dataclass(frozen=True, slots=True)
class BindingView:
    """A binding whose name and id are texts."""

    path: KeyPath
    name: str
    id: str
    enabled: bool
    order: str | None
    config: Mapping[str, Any] | None
    """``None`` if it is not a mapping."""


def mappings(parent: object, key: str, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    """Yield path and value of the mappings in the list ``parent[key]``."""
    items = parent.get(key) if isinstance(parent, Mapping) else None
    if isinstance(items, list):
        for index, item in enumerate(items):
            if isinstance(item, Mapping):
                yield (*path, key, index), item


def text(item: Mapping[str, Any], key: str) -> str | None:
    """Return ``item[key]`` if it is a text that is not empty."""
    value = item.get(key)
    return value if isinstance(value, str) and value else None


def bindings(parent: object, path: KeyPath = ()) -> list[BindingView]:
    """Return the bindings in ``parent["plugins"]``, leaving out those without a name."""
    views = []
    for binding_path, item in mappings(parent, "plugins", path):
        name = text(item, "name")
        if name is None:
            continue
        config = {} if item.get("config") is None else item["config"]
        views.append(
            BindingView(
                binding_path,
                name,
                text(item, "id") or name,
                item.get("enabled") is not False,
                text(item, "order"),
                config if isinstance(config, Mapping) else None,
            )
        )
    return views


def targets_of(document: Mapping[str, Any]) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    """Yield path and value of every entry of ``targets`` of every route."""
    for path, route in mappings(document, "routes"):
        yield from mappings(route, "targets", path)


def all_bindings(document: Mapping[str, Any]) -> Iterator[BindingView]:
    """Yield the gateway-wide bindings, then those of routes, of targets and of upstreams."""
    yield from bindings(document)
    for path, parent in (*mappings(document, "routes"), *targets_of(document), *mappings(document, "upstreams")):
        yield from bindings(parent, path)
