"""``gateway reload``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from gateway_core.cli.options import PROBLEMS, echo, json_option, print_json, running_gateway_options
from gateway_core.errors import GatewayError

if TYPE_CHECKING:
    from gateway_core.cli.control_client import AdminClient

_PAUSE: Final = 0.2
"""Seconds before a gateway that exchanges its program is asked again."""


@click.command("reload", short_help="Have a running gateway reload its configuration.")
@running_gateway_options
@click.option("--wait", is_flag=True, help="Wait for the outcome, and exit accordingly.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=120.0, show_default=True, help="Seconds to wait."
)
@json_option
def command(
    roots: tuple[str, ...], pid: int | None, admin: str | None, *, wait: bool, timeout: float, as_json: bool
) -> None:
    """Have a running gateway read its configuration again, as SIGHUP does.

    The gateway is found by its control socket: the only one of this user unless -c, --pid or --admin name one. With
    --wait the problems of a configuration that is rejected are printed as `gateway check` prints them.

    Exit status: 0 if the configuration is in force (without --wait: if the reload was requested), 1 if it was
    rejected, 2 for wrong usage, 3 if that is not known: no gateway was found, it refused, took longer than --timeout,
    or could not reload for a reason that is not the configuration's.
    """
    from gateway_core.cli.control_client import client_of, exit_undecided  # noqa: PLC0415 - so that help is quick
    from gateway_core.cli.progress import progress  # noqa: PLC0415

    try:
        client = client_of(roots, pid, admin)
        with progress("waiting for the gateway to reload"):
            status, outcome = _post(client, wait=wait, timeout=timeout)
    except GatewayError as error:
        exit_undecided(error)
    if status not in {200, 202} or not isinstance(outcome, Mapping):
        exit_undecided(f"the gateway responded {status}: {outcome}")
    if as_json:
        print_json({name: value for name, value in outcome.items() if name != "report"})
    if not wait:
        return
    _report(outcome, is_quiet=as_json)


def _report(outcome: Mapping[str, Any], *, is_quiet: bool) -> None:
    from gateway_core.cli.control_client import exit_undecided  # noqa: PLC0415 - so that help is quick

    if outcome.get("report"):
        click.echo(outcome["report"], err=True)
    match outcome.get("result"):
        case "ok":
            if not is_quiet:
                echo(f"configuration in force: {outcome['reason']}")
        case "rejected":
            click.echo("configuration rejected, the old one stays in force", err=True)
            raise click.exceptions.Exit(PROBLEMS)
        case _:
            exit_undecided(f"configuration {outcome.get('reason')}")


def _post(client: AdminClient, *, wait: bool, timeout: float) -> tuple[int, Any]:
    """Ask for a reload; again if a new program takes over meanwhile, since it may have read the files earlier.

    :raises GatewayError: there is no gateway, it refuses, or there is no outcome in time.
    """
    from gateway_core.admin.operations import RELOAD  # noqa: PLC0415 - so that help is quick
    from gateway_core.cli.control_client import UnavailableError  # noqa: PLC0415

    until = time.monotonic() + timeout
    while True:
        left = until - time.monotonic()
        try:
            return client.post(RELOAD, {"wait": wait}, max(left, 0.001))
        except UnavailableError:
            if left < _PAUSE:
                raise
            time.sleep(_PAUSE)
