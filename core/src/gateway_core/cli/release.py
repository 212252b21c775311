"""``gateway release``."""

from __future__ import annotations

from urllib.parse import quote

import click

from gateway_core.cli.override_client import Request, override_options


@click.command("release", short_help="Take a binding of a plugin out of quarantine.")
@click.argument("binding", metavar="BINDING")
@override_options
def command(binding: str, request: Request) -> None:
    """Have a running gateway call a binding of a plugin again that is in quarantine, in every worker.

    BINDING is the binding's id, `route/id` on a route and `upstreams/name/id` on an upstream. No failure brings it back
    for 10 minutes, unless --for is given.

    Exit status: 0 if it is released, 1 if there is no such binding or it has no quarantine, 2 for wrong usage, 3 if no
    gateway was found or it refused.
    """
    request.send(f"plugins/{quote(binding, safe='')}:release", f"{binding} is released")
