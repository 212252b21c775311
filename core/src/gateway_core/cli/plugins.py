"""``gateway plugins``."""

from __future__ import annotations

import importlib
from dataclasses import asdict
from importlib.metadata import entry_points
from typing import Any, Final

import click
import importlib_metadata

from gateway_core.cli.options import PROBLEMS, echo, json_option, print_json
from gateway_core.cli.options_table import example, table
from gateway_core.cli.routes import aligned
from gateway_core.config import did_you_mean
from gateway_core.config.catalog import install_advice
from gateway_core.config.written_defaults import with_written_defaults
from gateway_core.hookspecs import ENTRY_POINT_GROUP
from gateway_core.packages import PluginInfo, PluginRegistry, installed_plugins

MODULES: Final = {
    "new": "plugins_new",
    "install": "plugins_install",
    "lock": "plugins_lock",
    "verify": "plugins_verify",
}
"""Further commands, each in a module of its own; those whose module is not there do not exist."""


class PluginCommands(click.Group):
    """Commands about plugins."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *(name for name in MODULES if _module(name) is not None)])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = _module(cmd_name) if cmd_name in MODULES else None
        return super().get_command(ctx, cmd_name) if module is None else module.command


def _module(name: str) -> Any:
    full = f"gateway_core.cli.{MODULES[name]}"
    return importlib.import_module(full) if importlib.util.find_spec(full) is not None else None


@click.group("plugins", cls=PluginCommands, short_help="List, show, make, install and lock plugins.")
def command() -> None:
    """Work with the plugins of this Python environment."""


@command.command("list")
@json_option
def list_plugins(*, as_json: bool) -> None:
    """List installed plugins with their distribution, version, hooks, and state or load error.

    Exit status: 1 if one of them does not load, or a distribution cannot be read.
    """
    registry = PluginRegistry()
    infos, broken = registry.infos(), installed_plugins().broken
    for each in broken:
        click.echo(str(each), err=True)
    if as_json:
        print_json([{**_as_json(info), "code": registry.code(info.name)} for info in infos])
    elif not infos:
        echo("no plugins are installed: try pip install gateway-plugin-auth")
    else:
        head = ("PLUGIN", "DISTRIBUTION", "VERSION", "KIND", "HOOKS", "STATE")
        echo(aligned([head, *(_row(info) for info in infos)]))
    if broken or any(info.error is not None for info in infos):
        raise SystemExit(PROBLEMS)


def _row(info: PluginInfo) -> tuple[str, ...]:
    hooks = ", ".join(hook.removeprefix("gateway_") for hook in info.hooks) or "-"
    state = info.state if info.error is None else f"{info.state}: {info.error}"
    return (info.name, info.distribution, info.version, info.kind, hooks, state)


def _complete_name(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Complete the name of an installed plugin, without importing any."""
    return sorted({each.name for each in entry_points(group=ENTRY_POINT_GROUP) if each.name.startswith(begun)})


@command.command("show")
@click.argument("name", shell_complete=_complete_name)
@json_option
def show(name: str, *, as_json: bool) -> None:
    """Show a plugin's documentation, its hooks and options, and an example."""
    registry = PluginRegistry()
    info = registry.info(name)
    if info is None:
        advice = install_advice(name)
        hint = advice or did_you_mean(name, registry.names())
        click.echo(f"no installed distribution publishes a plugin {name!r}" + (f": {hint}" if hint else ""), err=True)
        raise SystemExit(PROBLEMS)
    if as_json:
        print_json(_as_json(info))
    else:
        _print(info)
    if info.error is not None:
        raise SystemExit(PROBLEMS)


def _print(info: PluginInfo) -> None:
    echo(f"{info.name} {info.version} ({info.distribution}), {info.kind}, {info.state}")
    if info.error is not None:
        click.echo(f"\n{info.error}", err=True)
        return
    if info.doc:
        echo(f"\n{info.doc}")
    if info.hooks:
        echo(f"\nhooks: {', '.join(info.hooks)}")
    schema = with_written_defaults(info.schema)
    if schema is not None:
        echo(f"\noptions (`gateway plugins show {info.name} --json` has their schema):\n{table(schema)}")
        echo(f"\nexample:\n{example(info.name, schema, _readme(info.distribution))}")


def _readme(distribution: str) -> str:
    """Return the README that a loaded plugin's distribution was published with, if there is one."""
    try:
        return importlib_metadata.metadata(distribution).get("Description") or ""
    except (ImportError, OSError, ValueError):
        return ""


def _as_json(info: PluginInfo) -> dict[str, Any]:
    fields = asdict(info)
    del fields["cls"]
    return fields | {"schema": with_written_defaults(info.schema)}
