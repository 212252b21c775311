"""What commands that follow a stream of events have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway_core.errors import GatewayError

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def until_stop_option(function: CommandT) -> CommandT:
    """Add ``--until-stop``."""
    help_ = "End with status 0 when the gateway stops, instead of waiting until it is started again."
    return click.option("--until-stop", is_flag=True, help=help_)(function)


def follow(
    named: tuple[tuple[str, ...], int | None, str | None],
    query: Mapping[str, str],
    show: Callable[[str, Mapping[str, Any]], None],
    *,
    until_stop: bool = False,
) -> None:
    """Show the events of a gateway until Ctrl-C, or until it is gone and does not come back.

    :param named: what `client_of` takes.
    :param show: takes name and data of each event but ``end``.
    :param until_stop: end when the gateway stops.
    """
    from gateway_core.cli.control_client import AdminClient, client_of, exit_undecided, find_again  # noqa: PLC0415 - so that help is quick
    from gateway_core.cli.event_stream import STOPPING, EventStream  # noqa: PLC0415

    first: list[AdminClient] = []

    def client() -> AdminClient:
        # Which gateway is meant is decided once: while it is restarted another one may be the only one that runs.
        if not first:
            first.append(client_of(*named))
        address = first[0].address
        if named[2] is not None or not isinstance(address, Path):
            return first[0]
        return AdminClient(find_again(address))

    try:
        for name, data in EventStream(client, query, until_stop):
            if name != "end":
                show(name, data)
            elif data["reason"] == STOPPING:
                click.echo("gateway: the gateway is stopping", err=True)
            else:
                exit_undecided(f"the gateway ended the stream: {data['reason']}")
    except GatewayError as error:
        exit_undecided(error)
    except KeyboardInterrupt:
        raise click.exceptions.Exit(0) from None
