"""``gateway events``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from gateway_core.cli.follow import follow, until_stop_option
from gateway_core.cli.layout import printable
from gateway_core.cli.options import echo, json_option, print_json, running_gateway_options


@click.command("events", short_help="Follow what happens in a running gateway.")
@running_gateway_options
@click.option("--traffic", is_flag=True, help="A line with the traffic of each second as well.")
@until_stop_option
@json_option
def command(
    roots: tuple[str, ...], pid: int | None, admin: str | None, *, traffic: bool, until_stop: bool, as_json: bool
) -> None:
    """Follow what happens in a running gateway: configurations, endpoints, breakers, quarantines, certificates,
    sources, workers. It goes on until Ctrl-C.

    When the connection is lost, another program takes over, or the gateway is stopped and started again within a
    minute, it goes on where it was; where events are missing it says how many. With --json each event is one object on
    a line, with its name under `type`.

    Exit status: 0 when it was ended, 3 if no gateway was found, it refused, or it is gone.
    """

    def show(name: str, data: Mapping[str, Any]) -> None:
        if as_json:
            print_json({"type": name, **data}, indent=None)
        elif name != "hello":
            echo(line_of(name, data))

    types = "traffic,change" if traffic else "change"
    follow((roots, pid, admin), {"types": types}, show, until_stop=until_stop)


def line_of(name: str, data: Mapping[str, Any]) -> str:
    """Return an event as people read it."""
    if name == "change":
        where = "" if data["process"] == "program" else f"[{data['process']}]"
        return f"{data['at']} {data['level']} {data['event']}{where}: {printable(data['message'])}"
    if name == "gap":
        return gap_line(data)
    total = data["gateway"]
    times = " ".join(f"{each} {_milliseconds(total[each])}" for each in ("p50", "p95", "p99"))
    numbers = f"{total['rate']:g} requests/s, {total['errors']} errors, {total['in_flight']} in flight"
    silent = f", no reply of worker {', '.join(map(str, data['silent_workers']))}" if data["silent_workers"] else ""
    return f"{data['at']} traffic: {numbers}, {times}{silent}"


def gap_line(data: Mapping[str, Any]) -> str:
    """Return what is missing as people read it."""
    count = "an unknown number of" if data["lost"] is None else str(data["lost"])
    return f"{data['at']} gap: {count} {data['kind']} events are missing ({data['reason']})"


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.1f} ms"
