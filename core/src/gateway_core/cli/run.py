"""``gateway run``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gateway_core.cli.options import LOCK_FILE, config_argument
from gateway_core.config.sources import ConfigRoot
from gateway_core.packages.lock_file import LOCK_VARIABLE
from gateway_core.reload.last_good import default_state_directory


@click.command("run", short_help="Start the gateway.")
@config_argument
@click.option(
    "--state",
    metavar="DIR",
    # Not looked at here: a program that takes over has to go on, whatever has become of what it can do without.
    type=click.Path(path_type=Path, readable=False),
    help="Where what was in force last is kept; $STATE_DIRECTORY or $XDG_STATE_HOME/gateway unless given.",
)
@click.option(
    "--locked",
    metavar="FILE",
    is_flag=False,
    flag_value=LOCK_FILE,
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"Refuse plugins that are not as `gateway plugins lock` wrote them down; {LOCK_FILE} unless --locked=FILE.",
)
@click.option(
    "--last-good",
    is_flag=True,
    help="If the configuration cannot be used, start with the one that was in force last, and say so.",
)
def command(roots: tuple[ConfigRoot, ...], state: Path | None, locked: Path | None, *, last_good: bool) -> None:
    """Start the gateway and keep it in step with its configuration.

    It is ready when it says `listening on ...`. SIGHUP reloads the configuration, SIGTERM and SIGINT stop it gently (at
    once if sent again), SIGUSR2 restarts the program without a gap.

    What sources say (etcd and the like) is kept on disk once it is in force, and served by a gateway that starts while
    they are away.

    Exit status: 0 after a stop, 1 if it could not start.
    """
    from gateway_core.process.composition import run  # noqa: PLC0415  # so that help and usage errors are quick

    if locked is not None:
        os.environ[LOCK_VARIABLE] = str(locked.resolve())
    run(roots, default_state_directory(os.environ) if state is None else state, last_good=last_good)
