"""``gateway unpin``."""

from __future__ import annotations

import click

from gateway_core.cli.options import echo, json_option, running_gateway_options


@click.command("unpin", short_help="Have files and sources count again after a rollback.")
@running_gateway_options
@json_option
def command(roots: tuple[str, ...], pid: int | None, admin: str | None, *, as_json: bool) -> None:
    """End what `gateway rollback` began: read files and sources, and put in force what they have. What they would
    change is shown by `gateway diff`.

    Exit status: 0 if that is in force, 1 if it is rejected or nothing was pinned, 2 for wrong usage, 3 if no gateway
    was found, or it refused.
    """
    from gateway_core.admin.resources.history import UNPIN  # noqa: PLC0415 - so that help is quick
    from gateway_core.cli.rollback import change  # noqa: PLC0415

    outcome = change(roots, pid, admin, UNPIN, None, as_json=as_json)
    if not as_json:
        echo(f"no version is pinned any more, configuration in force: {outcome['reason']}")
