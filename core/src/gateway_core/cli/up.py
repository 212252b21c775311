"""``gateway up``."""

from __future__ import annotations

from urllib.parse import quote

import click

from gateway_core.cli.override_client import Request, override_options, upstream_option


@click.command("up", short_help="Have an endpoint get requests again.")
@click.argument("endpoint", metavar="ENDPOINT")
@upstream_option
@override_options
def command(endpoint: str, upstream: str | None, request: Request) -> None:
    """Have a running gateway send an endpoint requests again: one that was drained, or one that is configured or
    discovered as `down` or `drain`, for 24 hours unless --for is given.

    ENDPOINT is its id as `gateway status` shows it.

    Exit status: 0 if it is up, 1 if there is no such endpoint, 2 for wrong usage, 3 if no gateway was found or it
    refused.
    """
    request.send(f"endpoints/{quote(endpoint, safe='')}:up", f"{endpoint} is up", upstream=upstream)
