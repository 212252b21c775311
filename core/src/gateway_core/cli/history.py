"""``gateway history``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import click

from gateway_core.cli.layout import ago, columns, printable, shortened
from gateway_core.cli.options import echo, json_option, print_json, running_gateway_options
from gateway_core.clock import SystemClock
from gateway_core.errors import GatewayError

_TIMEOUT: Final = 30.0
_DIGITS: Final = 12
"""Of a version, which is a digest."""
_WIDTH: Final = 80


@click.command("history", short_help="List the configurations that were in force, or show one.")
@running_gateway_options
@json_option
@click.argument("number", type=click.IntRange(min=1), required=False)
def command(roots: tuple[str, ...], pid: int | None, admin: str | None, number: int | None, *, as_json: bool) -> None:
    """List the configurations that were in force, the newest first, and what is pinned; with NUMBER, show one as YAML,
    without secrets.

    Exit status: 0 if it was shown, 2 for wrong usage, 3 if no gateway was found, it refused, or there is no such
    version.
    """
    from gateway_core.admin.resources.history import HISTORY  # noqa: PLC0415 - so that help is quick
    from gateway_core.cli.control_client import client_of, exit_undecided  # noqa: PLC0415
    from gateway_core.cli.progress import progress  # noqa: PLC0415

    try:
        with progress("waiting for the gateway"):
            client = client_of(roots, pid, admin)
            found = client.get(HISTORY if number is None else f"{HISTORY}/{number}", _TIMEOUT)
    except GatewayError as error:
        exit_undecided(error)
    if as_json:
        print_json(found)
    elif number is None:
        echo("\n".join(lines_of(found, SystemClock().wall())))
        if found["not_kept"]:
            click.echo(f"gateway: versions are not kept: {found['not_kept']}", err=True)
    else:
        import yaml  # noqa: PLC0415 - so that help is quick

        echo(yaml.safe_dump(found["config"], sort_keys=False, allow_unicode=True).rstrip())


def lines_of(history: Mapping[str, Any], now: float) -> Iterator[str]:
    """Yield the versions as people read them, 80 columns wide.

    :param now: seconds since the epoch.
    """
    return map(printable, _lines(history, now))


def _lines(history: Mapping[str, Any], now: float) -> Iterator[str]:
    pin = history["pinned"]
    rows = [("NUMBER", "IN FORCE FROM", "VERSION", "WHAT CHANGED")]
    for index, each in enumerate(history["versions"]):
        marks = ["running"] if index == 0 else []
        marks += ["pinned"] if pin is not None and pin["number"] == each["number"] else []
        note = f"({', '.join(marks)}) " if marks else ""
        rows.append(
            (str(each["number"]), f"{ago(each['at'], now)} ago", each["version"][:_DIGITS], note + each["changes"])
        )
    yield from (shortened(line, _WIDTH) for line in columns(rows))
    if pin is not None:
        why = f": {pin['reason']}" if pin["reason"] else ""
        yield f"version {pin['number']} is pinned by {pin['by']}{why}; files are not applied until gateway unpin"
