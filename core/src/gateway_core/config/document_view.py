"""Plain documents seen through the keys that references and names live in, and the ids that are derived from them.

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


_LONGEST = 180


def fill_route_ids(document: dict[str, Any]) -> None:
    """Give every route without an id one made from its methods and path; repetitions are numbered."""
    numbers: dict[str, int] = {}
    taken = {name for _, route in mappings(document, "routes") if (name := text(route, "id"))}
    for _, route in mappings(document, "routes"):
        if isinstance(route, dict) and route.get("id") is None:
            base = name = _from_path(route)
            while name in taken:
                numbers[base] = numbers.get(base, 1) + 1
                name = f"{base} #{numbers[base]}"
            taken.add(name)
            route["id"] = name


def _from_path(route: dict[str, Any]) -> str:
    methods = route.get("methods")
    words = [word for word in methods if isinstance(word, str)] if isinstance(methods, list) else []
    path = "route"
    for key, form in (("path", "{}"), ("path_prefix", "{}/**"), ("path_regex", "~{}")):
        if value := text(route, key):
            path = form.format(value.rstrip("/") if key == "path_prefix" else value)
            break
    name = f"{','.join(words)} {path}"
    printable = "".join("_" if character in "\"'" or not character.isprintable() else character for character in name)
    return printable.strip()[:_LONGEST].strip() or "route"
