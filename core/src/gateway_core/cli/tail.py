"""``gateway tail``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import click

from gateway_core.cli.events import gap_line
from gateway_core.cli.follow import follow, until_stop_option
from gateway_core.cli.layout import printable
from gateway_core.cli.options import echo, json_option, print_json, running_gateway_options

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def tail_filter_options(function: CommandT) -> CommandT:
    """Add the options that say which requests are wanted: `query_of` takes them."""
    options = (
        click.option("--route", default="", metavar="ID", help="Only requests of this route."),
        click.option(
            "--status", default="", metavar="STATUS", help="Only these statuses: 404, 5xx, or several with commas."
        ),
        click.option(
            "--client", default="", metavar="ADDRESS", help="Only of this address, or of a network: 10.0.0.0/8."
        ),
        click.option("--method", default="", metavar="METHOD", help="Only of this method."),
        click.option("--path", default="", metavar="PREFIX", help="Only of paths that begin so."),
        click.option(
            "--reason", default="", metavar="CODE", help="Only those that failed or were refused for this reason."
        ),
        click.option(
            "--plugin", default="", metavar="NAME", help="Only those that this plugin refused or responded to."
        ),
    )
    decorated: Any = function
    for option in reversed(options):
        decorated = option(decorated)
    return cast("CommandT", decorated)


def query_of(given: Mapping[str, str]) -> dict[str, str]:
    """Return what asks for the requests that match.

    :raises click.BadParameter: a condition is none.
    """
    from gateway_core.observe.tail_filter import TailFilter  # noqa: PLC0415 - so that help is quick

    try:
        TailFilter(**given)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return {"types": "tail", **{key: value for key, value in given.items() if value}}


@click.command("tail", short_help="Watch the requests of a running gateway.")
@running_gateway_options
@tail_filter_options
@until_stop_option
@json_option
def command(
    roots: tuple[str, ...],
    pid: int | None,
    admin: str | None,
    *,
    until_stop: bool,
    as_json: bool,
    **conditions: str,
) -> None:
    """Watch the requests of a running gateway, of all its workers, each when it is over. It goes on until Ctrl-C.

    Values of query parameters that are credentials are hidden, as in access logs. When the connection is lost, or the
    gateway is stopped and started again within a minute, it goes on where it was; missing requests are counted as a
    gap. Over the network this needs a token with the right `tail`. With --json each event is one object on a line, with
    its name under `type`.

    Exit status: 0 when it was ended, 2 for wrong usage, 3 if no gateway was found, it refused, or it is gone.
    """
    query = query_of(conditions)

    def show(name: str, data: Mapping[str, Any]) -> None:
        if as_json:
            print_json({"type": name, **data}, indent=None)
        elif name != "hello":
            echo(line_of(name, data))

    follow((roots, pid, admin), query, show, until_stop=until_stop)


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
