"""``gateway log-level``."""

from __future__ import annotations

from typing import get_args

import click

from gateway_core.cli.override_client import Request, override_options
from gateway_core.config.models.gateway import LogLevel

_CONFIGURED = "configured"


@click.command("log-level", short_help="Change the level of a running gateway's log for a while.")
@click.argument("level", type=click.Choice([*get_args(LogLevel), _CONFIGURED]))
@override_options
def command(level: str, request: Request) -> None:
    """Have all processes of a running gateway write log lines of this level and above, for an hour unless --for is
    given; `configured` is as configured again.

    Exit status: 0 if it was done, 2 for wrong usage, 3 if no gateway was found or it refused.
    """
    is_configured = level == _CONFIGURED
    done = "the level of the log is as configured" if is_configured else f"the level of the log is {level}"
    request.send("log:level", done, level=None if is_configured else level)
