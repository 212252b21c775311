"""``gateway drain``."""

from __future__ import annotations

from urllib.parse import quote

import click

from gateway_core.cli.override_client import Request, override_options, upstream_option


@click.command("drain", short_help="Send an endpoint no new requests.")
@click.argument("endpoint", metavar="ENDPOINT")
@upstream_option
@click.option("--force", is_flag=True, help="Also if it is the last endpoint of its upstream that is up.")
@override_options
def command(endpoint: str, upstream: str | None, request: Request, *, force: bool) -> None:
    """Have a running gateway send an endpoint no new requests; those under way finish, and health checks go on.

    ENDPOINT is its id as `gateway status` shows it: host:port unless the configuration gives it another. It lasts 24
    hours unless --for is given, survives reloads and restarts, and ends with `gateway up`.

    Exit status: 0 if it is drained, 1 if there is no such endpoint or it is the last one, 2 for wrong usage, 3 if no
    gateway was found or it refused.
    """
    request.send(
        f"endpoints/{quote(endpoint, safe='')}:drain", f"{endpoint} is drained", upstream=upstream, force=force
    )
