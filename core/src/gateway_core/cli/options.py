"""Options and results that several commands have."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TextIO, TypeVar, cast

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from gateway_core.config.source import ConfigRoot, parse_root

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

DEFAULT_CONFIG: Final = "gateway.yaml"
LOCK_FILE: Final = "plugins.lock"
PROBLEMS: Final = 1
"""Exit status when something was looked for and found wrong."""

UNDECIDABLE: Final = 3
"""Exit status when something could not be looked at: a source did not respond, a file could not be read."""


_output: list[TextIO] = []


def set_output(output: TextIO) -> None:
    """Have `echo` write there, because what plugins print would spoil standard output."""
    _output[:] = [output]


def echo(text: str) -> None:
    """Write a line to the standard output of the command; exit with status 3 if it takes none (a full disk)."""
    try:
        click.echo(text, file=_output[0] if _output else None)
    except BrokenPipeError:
        raise  # its reader has seen enough, which click and `containment` end quietly
    except OSError as error:
        raise click.exceptions.Exit(output_failed(error)) from None


def output_failed(error: OSError) -> int:
    """Say that standard output takes nothing, and return the exit status.

    What it still holds goes nowhere: Python would complain about it at its end.
    """
    click.echo(f"gateway: standard output cannot be written: {error.strerror or error}", err=True)
    with contextlib.suppress(OSError, ValueError):  # it has no descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, (_output[0] if _output else sys.stdout).fileno())
        os.close(nowhere)
    return UNDECIDABLE


def complete_path(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Have the shell complete the path of a file or directory."""
    return [CompletionItem(begun, type="file")]


def config_option(function: CommandT) -> CommandT:
    """Add ``-c PATH`` or ``-c URL``, which may be given several times."""
    return click.option(
        "-c",
        "--config",
        "roots",
        multiple=True,
        metavar="PATH|URL",
        help="Configuration file, directory, or source such as etcd://127.0.0.1:2379/gateway; "
        f"{DEFAULT_CONFIG} unless given. Several are read as one, files first.",
        callback=_roots,
        shell_complete=complete_path,
    )(function)


def config_argument(function: CommandT) -> CommandT:
    """Add ``-c``, and take what is named without it in the same way, as other servers' commands do."""

    @wraps(function)
    def with_named(*args: Any, named: tuple[ConfigRoot, ...], roots: tuple[ConfigRoot, ...], **options: Any) -> Any:
        given = click.get_current_context().get_parameter_source("roots") is not ParameterSource.DEFAULT
        return function(*args, roots=(*roots, *named) if given or not named else named, **options)

    argument = click.argument(
        "named", nargs=-1, metavar="[PATH|URL]...", callback=_parsed, shell_complete=complete_path
    )
    return cast("CommandT", argument(config_option(with_named)))


def _roots(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[ConfigRoot, ...]:
    return _parsed(context, parameter, value or (DEFAULT_CONFIG,))


def _parsed(_context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]) -> tuple[ConfigRoot, ...]:
    try:
        return tuple(parse_root(each) for each in value)
    except ValueError as error:
        raise click.BadParameter(f"a source {error}") from None


def running_gateway_options(function: CommandT) -> CommandT:
    """Add ``-c``, ``--pid`` and ``--admin``, which name a running gateway: `control_client.client_of` takes them."""
    options = (
        click.option(
            "-c",
            "--config",
            "roots",
            multiple=True,
            metavar="PATH|URL",
            help="Of the gateway that runs this.",
            shell_complete=complete_path,
        ),
        click.option("--pid", type=int, help="Of the gateway that is this process."),
        click.option(
            "--admin",
            metavar="ADDRESS",
            help="Admin listener of the gateway: unix:/run/gateway-admin.sock or http://127.0.0.1:9090.",
        ),
    )
    decorated: Any = function
    for option in reversed(options):
        decorated = option(decorated)
    return cast("CommandT", decorated)


def json_option(function: CommandT) -> CommandT:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(function)


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Print a value as JSON."""
    echo(json.dumps(value, indent=indent, ensure_ascii=False))
