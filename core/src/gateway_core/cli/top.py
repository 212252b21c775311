"""``gateway top``."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

import click

from gateway_core.cli.options import echo, json_option, print_json, running_gateway_options
from gateway_core.errors import GatewayError

if TYPE_CHECKING:
    from gateway_core.cli.control_client import AdminClient
    from gateway_core.cli.top_view import Reading, Sort

_TIMEOUT: Final = 15.0
_KEYS: Final = {"r": "rate", "e": "errors", "t": "time", "n": "name"}


@click.command("top", short_help="Show the traffic of a running gateway, live.")
@running_gateway_options
@click.option(
    "--sort", type=click.Choice(list(_KEYS.values())), default="rate", show_default=True, help="Order of the rows."
)
@click.option(
    "--interval",
    type=click.FloatRange(min=0.2, max=60),
    default=2.0,
    show_default=True,
    help="Seconds between readings.",
)
@json_option
def command(
    roots: tuple[str, ...], pid: int | None, admin: str | None, *, sort: str, interval: float, as_json: bool
) -> None:
    """Show requests, errors and times of routes, upstreams and plugins of a running gateway, of all its workers, from
    one reading of its metrics to the next. Times of plugins need `server_timing: true`. Bindings of one id, such as
    those of a plugin that several routes bind by its name alone, are one row: give them ids to see them apart.

    Keys: r, e, t and n sort by rate, errors, time (p95) and name; q ends it. Without a terminal, and with --json, it
    prints what happened within one interval, and ends.

    Exit status: 0 when it was ended, 2 for wrong usage, 3 if no gateway was found, it refused, or it is gone.
    """
    from gateway_core.cli.control_client import client_of, exit_undecided  # noqa: PLC0415 - so that help is quick
    from gateway_core.cli.top_view import traffic_between  # noqa: PLC0415

    try:
        client = client_of(roots, pid, admin)
        if not as_json and sys.stdin.isatty() and sys.stdout.isatty():
            with contextlib.suppress(KeyboardInterrupt), _whole_screen():
                _follow(client, cast("Sort", sort), interval)
            return
        before = _read(client)
        time.sleep(interval)
        found = traffic_between(before, _read(client))
        if as_json:
            print_json(found)
        else:
            echo("\n".join(_screen(client, found, cast("Sort", sort))))
    except GatewayError as error:
        exit_undecided(error)


def _read(client: AdminClient) -> Reading:
    from gateway_core.cli.top_view import reading_of  # noqa: PLC0415 - so that help is quick

    text = client.get("/metrics", _TIMEOUT)
    return reading_of(str(text), time.monotonic())


def _screen(client: AdminClient, found: dict[str, Any], sort: Sort) -> list[str]:
    from gateway_core.admin.resources.overview import OVERVIEW  # noqa: PLC0415 - so that help is quick
    from gateway_core.cli.status import states_of  # noqa: PLC0415
    from gateway_core.cli.top_view import screen  # noqa: PLC0415

    status = client.get(OVERVIEW, _TIMEOUT)
    title = f"gateway {status['gateway']['version']}, process {status['gateway']['pid']}: {status['state']}"
    wrong = f": {'; '.join(status['degraded'])}" if status["degraded"] else ""
    return list(screen(found, states_of(status.get("upstreams", ())), title + wrong, sort))


def _follow(client: AdminClient, sort: Sort, interval: float) -> None:
    """Draw the screen after each interval, and at once when a key changes the order."""
    from gateway_core.cli.top_view import fitted, traffic_between  # noqa: PLC0415 - so that help is quick

    before, found = _read(client), dict[str, Any]()
    _draw(["reading the traffic ..."])
    until = time.monotonic() + interval
    while True:
        ready, _, _ = select.select([sys.stdin], [], [], max(0.0, until - time.monotonic()))
        if ready:
            # Not by way of the buffer of sys.stdin, where select does not see a second key.
            key = os.read(sys.stdin.fileno(), 1).decode("ascii", "replace")
            if key in {"q", "Q", ""}:
                return
            sort = cast("Sort", _KEYS.get(key.lower(), sort))
        else:
            after = _read(client)
            before, found = after, traffic_between(before, after)
            until = time.monotonic() + interval
        if found:
            help_line = f"sorted by {sort}; keys: r rate, e errors, t time, n name, q quit"
            height = shutil.get_terminal_size().lines
            _draw([*fitted(_screen(client, found, sort), height - 2), "", help_line])


def _draw(lines: list[str]) -> None:
    width = shutil.get_terminal_size().columns
    text = "\r\n".join(f"{line[:width]}\x1b[K" for line in lines)
    sys.stdout.write(f"\x1b[H{text}\x1b[J")
    sys.stdout.flush()


@contextmanager
def _whole_screen() -> Iterator[None]:
    """Take the terminal for a screen of its own, and give it back as it was, also when SIGTERM ends the command."""
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    handler = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        tty.setcbreak(number)
        sys.stdout.write("\x1b[?1049h\x1b[?25l")
        yield
    finally:
        sys.stdout.write("\x1b[?25h\x1b[?1049l")
        sys.stdout.flush()
        termios.tcsetattr(number, termios.TCSADRAIN, before)
        signal.signal(signal.SIGTERM, handler)
