"""``gateway call``."""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import quote

import click

from gateway_core.cli.options import PROBLEMS, json_option, print_json, running_gateway_options
from gateway_core.errors import GatewayError

_TIMEOUT: Final = 90.0
"""Seconds; a command may take 60 in each worker."""


@click.command("call", short_help="Run a command of a plugin in a running gateway.")
@running_gateway_options
@json_option
@click.argument("binding", metavar="ID")
@click.argument("command_name", metavar="COMMAND")
@click.argument("arguments", metavar="[NAME=VALUE]...", nargs=-1)
def command(
    roots: tuple[str, ...],
    pid: int | None,
    admin: str | None,
    binding: str,
    command_name: str,
    arguments: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Run a command of a binding in every worker of a running gateway, and print each result.

    ID is the binding's id, `route/id` on a route and `upstreams/name/id` on an upstream. Values are text, which the
    command reads as its arguments' types; NAME:=JSON gives any JSON. The gateway is found by its control socket: the
    only one of this user unless -c, --pid or --admin name one.

    Exit status: 0 if it was done in every worker, 1 if not, 2 for wrong usage, 3 if no gateway was found
    or it refused.
    """
    from gateway_core.cli.control_client import client_of, exit_undecided  # noqa: PLC0415 - so that help is quick
    from gateway_core.cli.progress import progress  # noqa: PLC0415

    given = _arguments(arguments)
    target = f"/api/v1/bindings/{quote(binding)}/{quote(command_name, safe='')}"
    try:
        client = client_of(roots, pid, admin)
        with progress(f"waiting for {command_name} in every worker"):
            status, reply = client.post(target, given, _TIMEOUT)
    except GatewayError as error:
        exit_undecided(error)
    if as_json:
        print_json(reply)
    else:
        _print(reply)
    if status != 200:
        raise click.exceptions.Exit(PROBLEMS)


def _arguments(texts: tuple[str, ...]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name.removesuffix(":"):
            raise click.BadParameter(f"{text!r} is no NAME=VALUE")
        if not name.endswith(":"):
            given[name] = value
            continue
        try:
            given[name.removesuffix(":")] = json.loads(value)
        except ValueError as error:
            raise click.BadParameter(f"{text!r} has no JSON behind := ({error})") from None
    return given


def _print(reply: Any) -> None:
    if not isinstance(reply, list):
        from gateway_core.cli.control_client import detail_of  # noqa: PLC0415 - so that help is quick

        click.echo(f"gateway: {detail_of(reply)}", err=True)
        return
    errors: dict[str, list[str]] = {}
    for entry in reply:
        if "error" in entry:
            errors.setdefault(entry["error"], []).append(str(entry["worker"]))
        else:
            click.echo(f"worker {entry['worker']}: {json.dumps(entry['result'], ensure_ascii=False)}")
    for text, workers in errors.items():
        click.echo(f"worker {', '.join(workers)}: {text}", err=True)
