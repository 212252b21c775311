"""``gateway check``."""

from __future__ import annotations

from typing import Any

import click

from gateway_core.cli.examination import Examination, examine
from gateway_core.cli.options import config_option, echo, json_option, print_json
from gateway_core.cli.reporting import exit_status
from gateway_core.config import problem_as_json, render_problems
from gateway_core.config.source_url import ConfigRoot
from gateway_core.config.suggestions import counted
from gateway_core.packages import PluginRegistry


@click.command("check", short_help="Check a configuration and print every problem in it.")
@config_option
@json_option
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@click.option("--offline", is_flag=True, help="Ask no source, and only warn of files that are missing.")
def command(roots: tuple[ConfigRoot, ...], *, as_json: bool, strict: bool, offline: bool) -> None:
    """Check a configuration as `run` and a reload do, and print every problem with its place.

    Warnings do not reject a configuration: it is valid, and something in it is unlikely to be meant.

    Exit status: 0 if it is good, 1 if there are errors, 3 if a source did not respond or a file could not be read.
    """
    found = examine(roots, PluginRegistry(), offline=offline)
    found = found.strict() if strict else found
    if as_json:
        print_json(_as_json(found))
    else:
        _print(found, ", ".join(str(root) for root in roots))
    raise SystemExit(exit_status(found.problems))


def _as_json(found: Examination) -> dict[str, Any]:
    told: dict[str, Any] = {"ok": found.is_fine}
    if found.is_fine and found.loaded is not None:
        told |= {"version": found.loaded.version, "files": [str(path) for path in found.loaded.files]}
    return told | {"problems": [problem_as_json(problem) for problem in found.problems]}


def _print(found: Examination, names: str) -> None:
    if not found.is_fine:
        click.echo(render_problems(found.problems), err=True)
        return
    for warning in found.problems:
        click.echo(warning.render(), err=True)
    parts = ["fine"]
    if found.loaded is not None:
        config = found.loaded.config
        parts += [counted(len(config.routes), "route"), counted(len(config.upstreams), "upstream")]
    if found.problems:
        parts.append(counted(len(found.problems), "warning"))
    echo(f"{names}: {', '.join(parts)}")
