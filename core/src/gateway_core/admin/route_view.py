"""A route as people and programs are shown it: its path, its target, its chain with the place of every binding."""

from __future__ import annotations

from typing import Any

from gateway_core.config import (
    BindingConfig,
    ChainEntry,
    GatewayConfig,
    LoadedConfig,
    RouteConfig,
    effective_chain,
    resolve_chain,
)


def chain_of(route: RouteConfig, config: GatewayConfig) -> list[str]:
    """Return the ids of the bindings that run for a route, in order."""
    return [entry.binding.id for entry in effective_chain(config.plugins, route.plugins)]


def path_text(route: RouteConfig) -> str:
    """Return a route's paths as people recognise them: a prefix ends with ``*``, an expression begins with ``~``."""
    if route.grpc is not None:
        return route.grpc.path
    prefixes = [f"{prefix.removesuffix('/')}/*" for prefix in route.path_prefix]
    return ", ".join([*route.path, *prefixes, *[f"~{regex}" for regex in route.path_regex]]) or "/*"


def target_text(route: RouteConfig) -> str:
    """Return where a route's requests go."""
    if route.redirect is not None:
        changed = route.redirect
        host = changed.host and f"//{changed.host}"
        port, prefix = changed.port and f":{changed.port}", changed.prefix and f"{changed.prefix.removesuffix('/')}/*"
        parts = [changed.scheme and f"{changed.scheme}:", host, port, changed.path, prefix]
        return f"{changed.status} {''.join(part for part in parts if part)}".rstrip()
    if route.respond is not None:
        return f"{route.respond.status}"
    if route.target is not None:
        return route.target
    if not route.targets:
        return "a plugin's response" if route.plugins else "none"
    return ", ".join(f"{item.target} x{item.weight}" for item in route.targets)


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
        **({} if binding.when is None else {"when": binding.when.model_dump(mode="json", exclude_defaults=True)}),
    }


def _why_off(entry: ChainEntry[BindingConfig], replaced: str | None) -> str:
    if not entry.is_own:
        return "enabled is false for every route"
    return "enabled is false on this route" + ("" if replaced is None else f", which switches off {replaced}")
