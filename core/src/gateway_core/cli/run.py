"""``gateway run``."""

from __future__ import annotations

from pathlib import Path

import click

from gateway_core.cli.options import config_option


@click.command("run", short_help="Start the gateway.")
@config_option
def command(paths: tuple[Path, ...]) -> None:
    """Start the gateway and keep it in step with its configuration.

    It is ready when it says `listening on ...`. SIGHUP reloads the configuration, SIGTERM and SIGINT stop it gently (at
    once if sent again), SIGUSR2 restarts the program without a gap.

    Exit status: 0 after a stop, 1 if it could not start.
    """
    from gateway_core.server.composition import run  # noqa: PLC0415  # so that help and usage errors are quick

    raise SystemExit(run(paths))
