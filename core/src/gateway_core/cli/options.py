"""Options and results that several commands have."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

DEFAULT_CONFIG: Final = "gateway.yaml"
PROBLEMS: Final = 1
"""Exit status when something was looked for and found wrong."""


def config_option(function: CommandT) -> CommandT:
    """Add ``-c PATH``, which may be given several times."""
    return click.option(
        "-c",
        "--config",
        "paths",
        multiple=True,
        type=click.Path(path_type=Path),
        help=f"Configuration file or directory; {DEFAULT_CONFIG} unless given. Several are read as one.",
        callback=lambda _context, _parameter, value: value or (Path(DEFAULT_CONFIG),),
    )(function)


def json_option(function: CommandT) -> CommandT:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(function)


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=indent, ensure_ascii=False))
