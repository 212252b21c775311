"""``gateway status``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import click

from gateway_core.cli.layout import ago, columns, duration, printable
from gateway_core.cli.options import PROBLEMS, echo, json_option, print_json, running_gateway_options
from gateway_core.clock import SystemClock
from gateway_core.config.suggestions import counted
from gateway_core.errors import GatewayError

_TIMEOUT: Final = 15.0
"""Seconds; workers may take 5 of them to report theirs."""
_MOST_EVENTS: Final = 20
_DIGITS: Final = 12
"""Of a version, which is a digest."""


@click.command("status", short_help="Show the state of a running gateway.")
@running_gateway_options
@click.option("--output", type=click.Choice(["table", "json"]), help="Tables for people (the default), or JSON.")
@json_option
def command(roots: tuple[str, ...], pid: int | None, admin: str | None, *, output: str | None, as_json: bool) -> None:
    """Show what a running gateway has in force: listeners, workers, the last reload, sources, upstreams with their
    endpoints, and everything that does not work as configured.

    The gateway is found by its control socket: the only one of this user unless -c, --pid or --admin name one.

    Exit status: 0 if it is ready, 1 if it is not, or something is degraded, 3 if no gateway was found, or it did not
    respond.
    """
    from gateway_core.admin.resources.overview import OVERVIEW  # noqa: PLC0415 - so that help is quick
    from gateway_core.cli.control_client import client_of, exit_undecided  # noqa: PLC0415
    from gateway_core.cli.progress import progress  # noqa: PLC0415

    try:
        with progress("waiting for the gateway"):
            status = client_of(roots, pid, admin).get(OVERVIEW, _TIMEOUT)
    except GatewayError as error:
        exit_undecided(error)
    if not isinstance(status, dict) or not {"state", "gateway", "degraded"} <= status.keys():
        exit_undecided("what responded is no gateway of this version")
    if output == "json" or (as_json and output is None):
        print_json(status)
    else:
        echo("\n".join(lines_of(status, SystemClock().wall())))
    if status["state"] != "ready":
        raise click.exceptions.Exit(PROBLEMS)


def lines_of(status: Mapping[str, Any], now: float) -> Iterator[str]:
    """Yield the status as people read it.

    :param now: seconds since the epoch.
    """
    return map(printable, _lines(status, now))


def _lines(status: Mapping[str, Any], now: float) -> Iterator[str]:
    program = status["gateway"]
    yield f"gateway {program['version']}, process {program['pid']}, up {ago(program['started_at'], now)}"
    yield f"state          {status['state']}{': ' if status['unready'] else ''}{status['unready']}"
    yield from (f"  - {each}" for each in status["degraded"])
    yield f"listening      {', '.join(program['urls']) or '-'}"
    yield f"admin          {program['admin'] or '-'}"
    yield f"configuration  {(status['version'] or '-')[:_DIGITS]}"
    yield from _reload_lines("last reload", status.get("last_reload"), now)
    if (pin := status.get("pinned")) is not None:
        why = f": {pin['reason']}" if pin["reason"] else ""
        yield f"pinned         version {pin['number']}, by {pin['by']}{why}; files are not applied"
    for each in status.get("overrides", ()):
        yield f"override       {override_text(each, now)}"
    failed = status.get("last_failed_reload")
    if failed != status.get("last_reload"):
        yield from _reload_lines("last failure", failed, now)
    if warnings := status.get("warnings"):
        yield f"warnings       {len(warnings)}"
        yield from _problem_lines(warnings)
    yield from _worker_lines(status)
    yield from _source_lines(status.get("sources", ()), now)
    yield from _discovery_lines(status.get("upstreams", ()))
    yield from _certificate_lines(certificates_of(status), now)
    yield from _upstream_lines(status.get("upstreams", ()))
    yield from _event_lines(status, now)


def override_text(override: Mapping[str, Any], now: float) -> str:
    """Return what is overridden, by whom, why and for how long.

    :param now: seconds since the epoch.
    """
    subject = f"{override['upstream']}/{override['name']}" if override["upstream"] else override["name"]
    why = f": {override['reason']}" if override["reason"] else ""
    left = duration(datetime.fromisoformat(override["expires"]).timestamp() - now)
    return f"{override['kind']} {subject}, by {override['by']}{why}; ends in {left}"


def certificates_of(status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the certificates of all workers, each once."""
    processes = (status, *status.get("workers", ()))
    found = {(each["listener"], each["name"]): each for one in processes for each in one.get("certificates", ())}
    return list(found.values())


def _reload_lines(title: str, outcome: Mapping[str, Any] | None, now: float) -> Iterator[str]:
    if outcome is None:
        return
    when = f"{ago(outcome['at'], now)} ago, {outcome['trigger']}"
    reason = outcome["reason"] if outcome["reason"] not in {"", outcome["result"]} else ""
    yield f"{title:<13}  {outcome['result']} {when}{': ' if reason else ''}{reason}"
    yield from _problem_lines(outcome["problems"])


def _problem_lines(problems: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for each in problems:
        place = ":".join(str(part) for part in (each["file"], each["line"], each["column"]) if part)
        key = f"{each['key']}: " if each["key"] else ""
        yield f"  {place}: {key}{each['message']} ({each['code']})"


def _worker_lines(status: Mapping[str, Any]) -> Iterator[str]:
    workers = status.get("workers")
    if workers is None:  # one process
        yield f"requests       {status['in_flight']} in flight, {counted(status['connections'], 'connection')}"
        return
    rows: list[tuple[str, ...]] = [("WORKER", "PID", "VERSION", "IN FLIGHT", "CONNECTIONS", "OLD CONFIGURATIONS")]
    for each in workers:
        version = (each["version"] or "-")[:_DIGITS]
        numbers = each["in_flight"], each["connections"], each["retiring_snapshots"]
        rows.append((str(each["number"]), str(each["pid"]), version, *map(str, numbers)))
    yield ""
    yield from columns(rows)


def _source_lines(sources: Sequence[Mapping[str, Any]], now: float) -> Iterator[str]:
    if not sources:
        return
    rows = [("SOURCE", "STATE", "REJECTED DOCUMENTS", "RESPONDED", "REASON")]
    for each in sources:
        state = "stale" if each["stale"] else "ok"
        at = each["confirmed_at"]
        responded = f"{duration(now - at)} ago" if at else "never"
        rows.append((each["source"], state, ", ".join(each["rejected"]) or "-", responded, each["reason"] or "-"))
    yield ""
    yield from columns(rows)


def _discovery_lines(upstreams: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each upstream whose endpoints are discovered; workers share what is found."""
    found = {each["name"]: each["discovery"] for each in upstreams if each.get("discovery")}
    if not found:
        return
    rows = [("DISCOVERY OF", "STATE", "ENDPOINTS", "REASON")]
    for name, each in found.items():
        state = f"stale for {duration(each['for'])}" if each["stale"] else "ok"
        rows.append((name, state, str(each["endpoints"]), each["reason"] or "-"))
    yield ""
    yield from columns(rows)


def _certificate_lines(certificates: Sequence[Mapping[str, Any]], now: float) -> Iterator[str]:
    if not certificates:
        return
    rows = [("LISTENER", "CERTIFICATE", "EXPIRES", "ISSUED", "LAST FAILURE")]
    for each in certificates:
        issued, failed = "-", "-"
        if (issuance := each["issuance"]) is not None:
            issued = f"{ago(issuance['last_success'], now)} ago" if issuance["last_success"] else "never"
            if issuance["last_failure"]:
                reason = f": {issuance['error']}" if issuance["error"] else ""
                failed = f"{ago(issuance['last_failure'], now)} ago{reason}"
        rows.append((each["listener"], each["name"], _expiry(each["not_after"], now), issued, failed))
    yield ""
    yield from columns(rows)


def _expiry(not_after: str | None, now: float) -> str:
    if not_after is None:
        return "-"
    left = datetime.fromisoformat(not_after).timestamp() - now
    return f"in {duration(left)}" if left > 0 else f"expired {duration(-left)} ago"


def _upstream_lines(upstreams: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each endpoint, whose workers are put together."""
    seen: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    about: dict[str, Mapping[str, Any]] = {}
    for upstream in upstreams:
        about.setdefault(upstream["name"], upstream)
        for endpoint in upstream["endpoints"]:
            seen.setdefault((upstream["name"], endpoint["id"]), []).append(endpoint)
    if not about:
        return
    rows = [("UPSTREAM", "STRATEGY", "ENDPOINT", "STATE", "ACTIVE", "LAST ERROR")]
    for name, upstream in about.items():
        found = [(endpoint, each) for (owner, endpoint), each in seen.items() if owner == name]
        if not found:
            rows.append((name, upstream["strategy"], "-", "no endpoints", "-", "-"))
        for endpoint, each in found:
            errors = [one["last_check_error"] or one["last_error"] for one in each]
            error = next((text for text in errors if text), None) or "-"
            active = str(sum(one["active"] for one in each))
            rows.append((name, upstream["strategy"], endpoint, _state(each), active, error))
    yield ""
    yield from columns(rows)


def _event_lines(status: Mapping[str, Any], now: float) -> Iterator[str]:
    """Yield the warnings and errors that were logged lately, the latest first; equal ones of workers are one."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for process in (status, *status.get("workers", ())):
        for each in process.get("recent_events", ()):
            found.setdefault((each["event"], each["message"]), []).append(each)
    if not found:
        return
    rows = [
        (max(each["at"] for each in group), event, str(sum(each["lines"] for each in group)), message)
        for (event, message), group in found.items()
    ]
    rows.sort(reverse=True)
    yield ""
    shown = [(f"{ago(at, now)} ago", *rest) for at, *rest in rows[:_MOST_EVENTS]]
    yield from columns([("LOGGED", "EVENT", "LINES", "MESSAGE"), *shown])


def states_of(upstreams: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    """Return the state of each endpoint in all workers, by the names of upstream and endpoint."""
    seen: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for upstream in upstreams:
        for endpoint in upstream["endpoints"]:
            seen.setdefault((upstream["name"], endpoint["id"]), []).append(endpoint)
    return {key: _state(endpoints) for key, endpoints in seen.items()}


def _state(endpoints: Sequence[Mapping[str, Any]]) -> str:
    """Return the state of an endpoint in all workers, the worst first: ``ejected (1 of 4 workers), up``."""
    states = Counter(_one_state(each) for each in endpoints)
    if len(states) == 1:
        return next(iter(states))
    bad = [f"{state} ({number} of {len(endpoints)} workers)" for state, number in states.items() if state != "up"]
    return ", ".join([*sorted(bad), *(["up"] if states["up"] else [])])


def _one_state(endpoint: Mapping[str, Any]) -> str:
    breaker = endpoint["breaker"]
    if endpoint["state"] == "up" and breaker is not None and breaker["state"] != "closed":
        return f"breaker {breaker['state']}"
    return str(endpoint["state"])
