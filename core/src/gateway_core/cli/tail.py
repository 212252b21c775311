"""``gateway tail``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from gateway_core.cli.events import gap_line
from gateway_core.cli.layout import printable
from gateway_core.cli.options import echo, json_option, print_json, running_gateway_options


@click.command("tail", short_help="Watch the requests of a running gateway.")
@running_gateway_options
@click.option("--route", default="", metavar="ID", help="Only requests of this route.")
@click.option("--status", default="", metavar="STATUS", help="Only these statuses: 404, 5xx, or several with commas.")
@click.option("--client", default="", metavar="ADDRESS", help="Only of this address, or of a network: 10.0.0.0/8.")
@click.option("--method", default="", metavar="METHOD", help="Only of this method.")
@click.option("--path", default="", metavar="PREFIX", help="Only of paths that begin so.")
@click.option("--reason", default="", metavar="CODE", help="Only those that failed or were refused for this reason.")
@click.option("--plugin", default="", metavar="NAME", help="Only those that this plugin refused or responded to.")
@json_option
def command(
    roots: tuple[str, ...],
    pid: int | None,
    admin: str | None,
    *,
    route: str,
    status: str,
    client: str,
    method: str,
    path: str,
    reason: str,
    plugin: str,
    as_json: bool,
) -> None:
    """Watch the requests of a running gateway, of all its workers, each when it is over. It goes on until Ctrl-C, or
    until the gateway ends.

    Values of query parameters that are credentials are hidden, as in access logs. When the connection is lost it goes
    on where it was; where requests are missing it says so. Over the network this needs a token with the right `tail`.
    With --json each event is one object on a line, with its name under `type`.

    Exit status: 0 when it was ended or the gateway ends, 2 for wrong usage, 3 if no gateway was found, it refused, or
    it is gone.
    """
    from gateway_core.cli.follow import follow  # noqa: PLC0415 - so that help is quick
    from gateway_core.observe.tail_filter import TailFilter  # noqa: PLC0415 - likewise

    given = {
        "route": route, "status": status, "client": client, "method": method, "path": path, "reason": reason,
        "plugin": plugin,
    }  # fmt: skip
    try:
        TailFilter(**given)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None

    def show(name: str, data: Mapping[str, Any]) -> None:
        if as_json:
            print_json({"type": name, **data}, indent=None)
        elif name != "hello":
            echo(line_of(name, data))

    follow((roots, pid, admin), {"types": "tail", **{key: value for key, value in given.items() if value}}, show)


def line_of(name: str, data: Mapping[str, Any]) -> str:
    """Return a request, or what is missing, as people read it."""
    if name == "gap":
        return gap_line(data)
    target = f"{data['path']}?{data['query']}" if data["query"] else data["path"]
    made_by = data["endpoint"] or data["produced_by"]
    why = [each for each in (data["reason"], *data["refusals"]) if each]
    more = f" ({', '.join(why)})" if why else ""
    text = (
        f"{data['at']} {data['status']} {data['seconds'] * 1000:.1f} ms {data['client']} {data['method']} {target} "
        f"{data['route'] or '-'} {made_by}{more}"
    )
    return printable(text)
