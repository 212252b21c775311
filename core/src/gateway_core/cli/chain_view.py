"""A route's chain with the place of every binding, those that are off included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway_core.config import BindingConfig, ChainEntry, LoadedConfig, resolve_chain


def bindings_of(route: str, loaded: LoadedConfig) -> list[dict[str, Any]]:
    """Return what there is to know of each binding of a route, in the order in which they run."""
    config = loaded.config
    index = next(index for index, each in enumerate(config.routes) if each.id == route)
    return [_described(entry, index, loaded) for entry in resolve_chain(config.plugins, config.routes[index].plugins)]


def _described(entry: ChainEntry[BindingConfig], route_index: int, loaded: LoadedConfig) -> dict[str, Any]:
    binding = entry.binding
    replaced = None if entry.replaces is None else str(loaded.place_of(f"plugins[{entry.replaces}]"))
    return {
        "id": binding.id,
        "plugin": binding.name,
        "place": str(loaded.place_of(entry.key_path(route_index))),
        "scope": "route" if entry.is_own else "gateway",
        "replaces": replaced,
        "mode": binding.mode,
        "off": None if binding.enabled else _why_off(entry, replaced),
    }


def _why_off(entry: ChainEntry[BindingConfig], replaced: str | None) -> str:
    if not entry.is_own:
        return "enabled is false for every route"
    return "enabled is false on this route" + ("" if replaced is None else f", which switches off {replaced}")


def chain_lines(bindings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one line for each binding, as people read it."""
    width = max((len(each["id"]) for each in bindings), default=0)
    return [f"  {each['id'].ljust(width)}  {each['place']}: {'; '.join(_notes(each))}" for each in bindings]


def _notes(binding: Mapping[str, Any]) -> list[str]:
    if binding["off"] is not None:
        return [f"off, since {binding['off']}"]
    notes = ["gateway-wide" if binding["scope"] == "gateway" else "of the route"]
    if binding["plugin"] != binding["id"]:
        notes.append(f"plugin {binding['plugin']}")
    if binding["replaces"] is not None:
        notes.append(f"instead of {binding['replaces']}")
    if binding["mode"] == "shadow":
        notes.append("in shadow mode")
    return notes
