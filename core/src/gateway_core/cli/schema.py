"""``gateway schema``."""

from __future__ import annotations

import click

from gateway_core.cli.options import print_json
from gateway_core.config.schema import config_schema, with_expressions
from gateway_core.config.sources import BUILT_IN
from gateway_core.packages import Extensions, PluginRegistry


@click.command("schema", short_help="Print the JSON Schema of the configuration, for editors.")
@click.option("--json", "as_json", is_flag=True, hidden=True, help="It always is JSON.")
def command(*, as_json: bool) -> None:  # noqa: ARG001  # every command takes --json
    """Print one JSON Schema (2020-12) of the configuration with the schemas of all installed plugins and
    extensions.

    Editors take it: put `# yaml-language-server: $schema=gateway.schema.json` above your configuration.
    """
    registry = PluginRegistry()
    extensions = Extensions.of(registry)
    schemes = (*BUILT_IN, *extensions.config_sources)
    print_json(with_expressions(config_schema(registry, extensions.factories(), schemes)))
