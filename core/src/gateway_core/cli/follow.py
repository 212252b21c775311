"""What commands that follow a stream of events have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import click

from gateway_core.cli.control_client import client_of, exit_undecided
from gateway_core.cli.event_stream import EventStream
from gateway_core.errors import GatewayError

_ENDED: Final = "stopping"


def follow(
    named: tuple[tuple[str, ...], int | None, str | None],
    query: Mapping[str, str],
    show: Callable[[str, Mapping[str, Any]], None],
) -> None:
    """Show the events of a gateway until Ctrl-C or its end.

    :param named: what `client_of` takes.
    :param show: takes name and data of each event but ``end``.
    """
    try:
        for name, data in EventStream(lambda: client_of(*named), query):
            if name != "end":
                show(name, data)
            else:
                reason = data["reason"]
                if reason != _ENDED:
                    exit_undecided(f"the gateway ended the stream: {reason}")
                click.echo("gateway: the gateway is stopping", err=True)
    except GatewayError as error:
        exit_undecided(error)
    except KeyboardInterrupt:
        raise click.exceptions.Exit(0) from None
