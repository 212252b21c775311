"""``gateway plugins verify``."""

from __future__ import annotations

from pathlib import Path

import click

from gateway_core.cli.options import PROBLEMS, echo, json_option, print_json
from gateway_core.cli.plugins_lock import file_option, problems_with
from gateway_core.packages import PluginRegistry
from gateway_core.packages.locking import LockError


@click.command("verify", short_help="Compare the installed plugins with the lock file.")
@file_option
@json_option
def command(path: Path, *, as_json: bool) -> None:
    """Name every plugin that is not as `gateway plugins lock` wrote it down.

    Exit status: 1 if there is one, or if the comparison is not possible.
    """
    try:
        problems = problems_with(path, PluginRegistry())
    except LockError as error:
        problems = [str(error)]
    if as_json:
        print_json({"ok": not problems, "problems": problems})
    elif problems:
        click.echo("\n".join(problems), err=True)
    else:
        echo(f"{path}: every plugin is as it was locked")
    if problems:
        raise SystemExit(PROBLEMS)
