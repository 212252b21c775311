"""``gateway check``."""

from __future__ import annotations

import click

from gateway_core.cli import check_formats
from gateway_core.cli.examination import Examination, examine
from gateway_core.cli.options import config_argument, echo, json_option, print_json
from gateway_core.cli.progress import progress
from gateway_core.cli.reporting import exit_status
from gateway_core.config.problems import count_problems
from gateway_core.config.source import ConfigRoot
from gateway_core.config.suggestions import counted
from gateway_core.packages import PluginRegistry


@click.command("check", short_help="Check a configuration and print every problem in it.")
@config_argument
@json_option
@click.option(
    "--output",
    type=click.Choice(["text", "json", "github", "sarif"]),
    help="Form of the result: for people (the default), for programs, as annotations of GitHub Actions, or as SARIF.",
)
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@click.option("--offline", is_flag=True, help="Ask no source, and only warn of files that are missing.")
def command(roots: tuple[ConfigRoot, ...], *, as_json: bool, output: str | None, strict: bool, offline: bool) -> None:
    """Check a configuration as `run` and a reload do, and print every problem with its place.

    Warnings do not reject a configuration: it is valid, and something in it is unlikely to be meant.

    Problems for people go to standard error; the other forms go to standard output. `gateway explain CODE` says more of
    a problem.

    Exit status: 0 if it is good, 1 if there are errors, 3 if a source did not respond or a file could not be read.
    """
    with progress(f"checking {', '.join(map(str, roots))}"):
        found = examine(roots, PluginRegistry(), offline=offline)
    found = found.strict() if strict else found
    match output or ("json" if as_json else "text"):
        case "json":
            print_json(check_formats.as_json(found))
        case "github":
            for line in check_formats.as_annotations(found):
                echo(line)
        case "sarif":
            print_json(check_formats.as_sarif(found))
        case _:
            _print(found, ", ".join(str(root) for root in roots))
    raise SystemExit(exit_status(found.problems))


def _print(found: Examination, names: str) -> None:
    if not found.is_fine:
        for problem in found.problems:
            click.echo(problem.render(), err=True)
        codes = ", ".join(sorted({problem.code for problem in found.problems if problem.is_error}))
        click.echo(f"`gateway explain CODE` says more: {codes}", err=True)
        click.echo(count_problems(found.problems), err=True)
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
