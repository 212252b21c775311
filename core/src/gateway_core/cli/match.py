"""``gateway match``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TextIO

import click
from click.core import ParameterSource

from gateway_core.admin.match import MatchRequest, MatchTable, explain_request
from gateway_core.cli.options import PROBLEMS, config_option, echo, json_option, print_json
from gateway_core.cli.progress import progress
from gateway_core.cli.reporting import load_or_exit
from gateway_core.config.sources import ConfigRoot, SourceUrl
from gateway_core.errors import GatewayError
from gateway_core.packages import PluginRegistry


@click.command("match", short_help="Show which route a request would take, and why.")
@click.argument("method", required=False)
@click.argument("url", required=False)
@config_option
@click.option(
    "--listener",
    metavar="NAME",
    help="Listener that the request comes in at, by its name or address; the first one unless given.",
)
@click.option("--client", metavar="ADDRESS", help="Address of the client; 127.0.0.1 unless given.")
@click.option("-H", "--header", "headers", multiple=True, metavar="NAME:VALUE", help="Header of the request.")
@click.option(
    "--requests",
    type=click.File("r", encoding="utf-8"),
    help='Requests as lines of JSON: {"method": "GET", "url": "http://host/path?q", "headers": {...}}; - is stdin.',
)
@click.option("--running", is_flag=True, help="Ask the gateway that runs, by the configuration that it has in force.")
@click.option("--pid", type=int, help="Of the running gateway; implies --running.")
@click.option("--admin", metavar="ADDRESS", help="Admin listener of it, such as unix:/run/admin.sock; likewise.")
@json_option
def command(
    method: str | None,
    url: str | None,
    roots: tuple[ConfigRoot, ...],
    listener: str | None,
    client: str | None,
    headers: tuple[str, ...],
    requests: TextIO | None,
    *,
    running: bool,
    pid: int | None,
    admin: str | None,
    as_json: bool,
) -> None:
    """Show the route that takes METHOD URL, its parameters, what its upstream gets, and why others lost.

    Every binding of its chain is listed with its place, and with the reason if it is off.

    Where listeners share an address, the host decides among them; TLS is taken to begin for that host.

    Fields of strip_headers are left out, and those that only trusted proxies may send unless some peer is trusted.

    Nothing is started and nothing is sent. Hooks that rewrite requests or choose routes are not run.

    Exit status: 1 if no route takes the request (with --requests always 0), 3 if no gateway was found (--running).
    """
    if (requests is None) is (method is None or url is None):
        raise click.UsageError("give METHOD and URL, or --requests FILE")
    is_running = running or pid is not None or admin is not None
    if requests is not None:
        if is_running:
            raise click.UsageError("--requests reads a configuration: leave out --running, --pid and --admin")
        _match_all(roots, listener, requests, as_json=as_json)
        return
    fields: dict[str, list[str]] = {}
    for name, value in _read_headers(headers):
        fields.setdefault(name, []).append(value)
    request = {"method": method, "url": url, "headers": fields, "listener": listener, "client": client}
    if is_running:
        result = _ask(request, roots, pid, admin)
    else:
        try:
            result = explain_request(load_or_exit(roots, PluginRegistry(), as_json=as_json), request)
        except ValueError as error:
            raise click.UsageError(str(error)) from error
    if as_json:
        print_json(result)
    else:
        echo(_for_people(result))
    if result["route"] is None:
        raise SystemExit(PROBLEMS)


def _match_all(roots: tuple[ConfigRoot, ...], listener: str | None, requests: TextIO, *, as_json: bool) -> None:
    loaded = load_or_exit(roots, PluginRegistry(), as_json=as_json)
    try:
        table = MatchTable.of(loaded.config, listener)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    for number, line in enumerate(requests, 1):
        if line.strip():
            echo(json.dumps(table.match(_read_request(line, number))))  # ASCII: one line, whatever splits it


_TIMEOUT: Final = 30.0
"""Seconds; a configuration of many thousand routes takes some."""


def _ask(
    request: Mapping[str, Any], roots: tuple[ConfigRoot, ...], pid: int | None, admin: str | None
) -> Mapping[str, Any]:
    """Have a running gateway match a request; exit with status 3 if it cannot."""
    from gateway_core.admin.operations import MATCH  # noqa: PLC0415 - a file is matched without
    from gateway_core.cli.control_client import client_of, detail_of, exit_undecided  # noqa: PLC0415 - likewise

    is_given = click.get_current_context().get_parameter_source("roots") is not ParameterSource.DEFAULT
    texts = [root.text if isinstance(root, SourceUrl) else str(root) for root in roots] if is_given else []
    try:
        with progress("waiting for the gateway"):
            status, result = client_of(texts, pid, admin).post(MATCH, request, _TIMEOUT)
    except GatewayError as error:
        exit_undecided(error)
    if status == 422:
        raise click.UsageError(str(detail_of(result)).removeprefix("the body cannot be used: "))
    if status != 200 or not isinstance(result, dict) or "route" not in result:
        exit_undecided(f"the gateway responded {status}: {detail_of(result)}")
    return result


def _read_headers(texts: Iterable[str]) -> list[tuple[str, str]]:
    headers = []
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise click.UsageError(f"header {text!r} is not NAME:VALUE")
        headers.append((name.strip(), value.strip()))
    return headers


def _read_request(line: str, number: int) -> MatchRequest:
    try:
        return MatchRequest.from_json(json.loads(line))
    except json.JSONDecodeError as error:
        raise click.UsageError(f"line {number} of the requests is not JSON: {error}") from error
    except ValueError as error:
        raise click.UsageError(f"line {number} of the requests: {error}") from error


def _for_people(result: Mapping[str, Any]) -> str:
    if result["route"] is None:
        lines = [f"no route: {result['status']}, {result['reason']}"]
    else:
        params = ", ".join(f"{name}={value!r}" for name, value in result["params"].items())
        lines = [
            f"route    {result['route']}",
            f"params   {params or '-'}",
            f"target   {result['target']}",
            f"path     {result['path'] or '-'}",
            f"chain    {' > '.join(result['chain']) or '-'}",
            *chain_lines(result["bindings"]),
        ]
    if result["losers"]:
        lines.append("nearest others:")
        lines += [
            f"  {loser['route']} ({loser['pattern']}): {'; '.join(loser['reasons'])}" for loser in result["losers"]
        ]
    return "\n".join(lines)


def chain_lines(bindings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one line for each binding, as people read it."""
    width = max((len(each["id"]) for each in bindings), default=0)
    return [f"  {each['id'].ljust(width)}  {each['place']}: {'; '.join(_notes(each))}" for each in bindings]


def _notes(binding: Mapping[str, Any]) -> list[str]:
    if binding["off"] is not None:
        return [f"off, since {binding['off']}"]
    notes = ["gateway-wide" if binding["scope"] == "gateway" else "of the route"]
    if binding.get("when") is not None:
        notes.append(f"only when {json.dumps(binding['when'])}")
    if binding["plugin"] != binding["id"]:
        notes.append(f"plugin {binding['plugin']}")
    if binding["replaces"] is not None:
        notes.append(f"instead of {binding['replaces']}")
    if binding["mode"] == "shadow":
        notes.append("in shadow mode")
    return notes
