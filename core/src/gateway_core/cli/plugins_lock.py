"""``gateway plugins lock`` and what it shares with ``verify``."""

from __future__ import annotations

from pathlib import Path

import click

from gateway_core.cli.options import LOCK_FILE, PROBLEMS, echo
from gateway_core.packages import PluginRegistry
from gateway_core.packages.locking import LockError, drift, installed_plugins, read_lock, write_lock

file_option = click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path(LOCK_FILE),
    show_default=True,
    help="The lock file.",
)


@click.command("lock", short_help="Write down which plugins are installed, to the byte.")
@file_option
def command(path: Path) -> None:
    """Write the name, distribution, version, files' hash and schema's hash of every installed plugin into a file.

    Exit status: 1 if a plugin does not load.
    """
    try:
        found = installed_plugins(PluginRegistry())
        write_lock(path, found)
    except LockError as error:
        click.echo(str(error), err=True)
        raise SystemExit(PROBLEMS) from None
    except OSError as error:
        click.echo(f"cannot write {str(path)!r}: {(error.strerror or str(error)).lower()}", err=True)
        raise SystemExit(PROBLEMS) from None
    echo(f"{path}: {len(found)} plugin{'' if len(found) == 1 else 's'} locked")


def problems_with(path: Path, registry: PluginRegistry) -> list[str]:
    """Return how the environment differs from a lock file.

    :raises LockError: the file cannot be read, or a plugin does not load.
    """
    locked = read_lock(path)
    return list(drift(locked, installed_plugins(registry, locked)))
