"""``gateway routes``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from gateway_core.admin.route_view import chain_of, path_text, target_text
from gateway_core.cli.options import config_argument, echo, json_option, print_json
from gateway_core.cli.reporting import load_or_exit
from gateway_core.config import GatewayConfig, RouteConfig
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
        "enabled": route.enabled,
        "methods": list(route.methods),
        "hosts": list(route.hosts),
        "path": path_text(route),
        "priority": route.priority,
        "target": target_text(route),
        "plugins": chain_of(route, config),
    }


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
            row["target"] if row["enabled"] else f"off ({row['target']})",
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
