"""``gateway routes``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from gateway_core.cli.options import config_argument, echo, json_option, print_json
from gateway_core.cli.reporting import load_or_exit
from gateway_core.config import GatewayConfig, RouteConfig, effective_chain
from gateway_core.config.sources import ConfigRoot
from gateway_core.packages import PluginRegistry


@click.command("routes", short_help="List the routes of a configuration.")
@config_argument
@json_option
def command(roots: tuple[ConfigRoot, ...], *, as_json: bool) -> None:
    """List the routes of a configuration with their targets and effective chains."""
    loaded = load_or_exit(roots, PluginRegistry(), as_json=as_json)
    rows = [route_row(route, loaded.config) for route in loaded.config.routes]
    if as_json:
        print_json(rows)
    else:
        echo(_table(rows))


def route_row(route: RouteConfig, config: GatewayConfig) -> dict[str, Any]:
    """Return what there is to know of a route at a glance."""
    return {
        "id": route.id,
        "methods": list(route.methods),
        "hosts": list(route.hosts),
        "path": path_text(route),
        "priority": route.priority,
        "target": target_text(route),
        "plugins": chain_of(route, config),
    }


def chain_of(route: RouteConfig, config: GatewayConfig) -> list[str]:
    """Return the ids of the bindings that run for a route, in order."""
    return [entry.binding.id for entry in effective_chain(config.plugins, route.plugins)]


def path_text(route: RouteConfig) -> str:
    """Return a route's path as people recognise it: a prefix ends with ``*``, an expression begins with ``~``."""
    if route.path is not None:
        return route.path
    if route.path_prefix is not None:
        return f"{route.path_prefix.removesuffix('/')}/*"
    return f"~{route.path_regex}"


def target_text(route: RouteConfig) -> str:
    """Return where a route's requests go."""
    if route.redirect is not None:
        changed = route.redirect
        parts = [changed.scheme and f"{changed.scheme}:", changed.host and f"//{changed.host}", changed.path]
        return f"{changed.status} {''.join(part for part in parts if part)}"
    if route.target is not None:
        return route.target
    return ", ".join(f"{item.target} x{item.weight}" for item in route.targets)


def _table(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return "no routes"
    head = ("ROUTE", "METHODS", "HOSTS", "PATH", "TARGET", "PLUGINS")
    cells = [
        (
            row["id"],
            ",".join(row["methods"]) or "*",
            ",".join(row["hosts"]) or "*",
            row["path"],
            row["target"],
            " > ".join(row["plugins"]) or "-",
        )
        for row in rows
    ]
    return aligned([head, *cells])


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as columns."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)
