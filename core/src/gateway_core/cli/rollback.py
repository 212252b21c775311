"""``gateway rollback``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from gateway_core.cli.options import PROBLEMS, echo, json_option, print_json, running_gateway_options
from gateway_core.errors import GatewayError

TIMEOUT: Final = 120.0
"""Seconds in which a configuration comes into force in every worker."""


@click.command("rollback", short_help="Put a configuration that was in force earlier in force again, and pin it.")
@running_gateway_options
@json_option
@click.option("--reason", default="", help="Shown as long as the version is pinned.")
@click.option("--dry-run", is_flag=True, help="Show what would change and end, and change nothing.")
@click.argument("number", type=click.IntRange(min=1))
def command(
    roots: tuple[str, ...],
    pid: int | None,
    admin: str | None,
    number: int,
    *,
    reason: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Put the version NUMBER of `gateway history` in force, in every worker, and pin it: changes of files and sources
    are validated and not applied, and the admin API writes nothing, until `gateway unpin`. The pin survives restarts.

    With --dry-run it is prepared in every worker as for a rollback, and given up: what would change is shown.

    Exit status: 0 if the version is in force (or could be), 1 if it is not kept or cannot be used any more, 2 for wrong
    usage, 3 if no gateway was found, or it refused.
    """
    from gateway_core.admin.resources.history import ROLLBACK  # noqa: PLC0415 - so that help is quick

    if dry_run:
        outcome = change(roots, pid, admin, f"{ROLLBACK}?dry_run=true", {"number": number}, as_json=as_json)
        if not as_json:
            _show(number, outcome)
        return
    outcome = change(roots, pid, admin, ROLLBACK, {"number": number, "reason": reason}, as_json=as_json)
    if not as_json:
        echo(f"version {number} is in force and pinned: {outcome['reason']}")
        echo("changes of files and sources are validated and not applied until gateway unpin")


def _show(number: int, outcome: Mapping[str, Any]) -> None:
    from gateway_core.cli.diff import lines_of  # noqa: PLC0415 - so that help is quick

    what = "it would change:" if outcome["total"] else "it would change nothing"
    echo(f"version {number} can be put in force, and {what}")
    for line in lines_of(outcome):
        echo(line)


def change(
    roots: tuple[str, ...], pid: int | None, admin: str | None, target: str, body: Any, *, as_json: bool
) -> dict[str, Any]:
    """Have a running gateway put another configuration in force, and return what became of it.

    What keeps it from that is printed, and ends the command with status 1 or 3.
    """
    from gateway_core.cli.control_client import client_of, detail_of, exit_undecided  # noqa: PLC0415
    from gateway_core.cli.progress import progress  # noqa: PLC0415

    try:
        with progress("waiting until it is in force in every worker"):
            status, outcome = client_of(roots, pid, admin).post(target, body, TIMEOUT)
    except GatewayError as error:
        exit_undecided(error)
    if as_json:
        print_json({name: value for name, value in outcome.items() if name != "report"})
    if outcome.get("report"):
        click.echo(outcome["report"], err=True)
    if status != 200:
        click.echo(f"gateway: {detail_of(outcome)}", err=True)
        raise click.exceptions.Exit(PROBLEMS)
    if outcome["result"] != "ok":
        click.echo("configuration rejected, the old one stays in force", err=True)
        raise click.exceptions.Exit(PROBLEMS)
    return dict(outcome)
