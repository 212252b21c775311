"""What this package adds to the process: a command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway_plugin_sdk import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def gateway_commands() -> Sequence[click.Command]:
    """Offer ``gateway import``."""
    from gateway_import.command import import_  # noqa: PLC0415 - a gateway that runs has no use for it

    return [import_]
