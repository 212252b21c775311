"""What ``/ready`` says, decided from the status. Pure.

A gateway is not ready only for what taking it out of service helps against: it drains, has no configuration, or no
process that accepts connections. Everything else that is wrong (a source that is away, a document that was rejected, a
task that fails) is mostly wrong in a whole fleet at once, and is *degraded*: ready, with a name for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from gateway_core.events import PLUGIN_LOG

ERRORS_SECONDS: Final = 60.0
"""Seconds for which an error that a plugin logs makes a gateway degraded."""


@dataclass(frozen=True, slots=True)
class Health:
    """Whether requests should come here."""

    unready: str = ""
    """Why not; empty if they should."""
    degraded: tuple[str, ...] = ()
    """What does not work as configured although requests are served."""


def health_of(status: Mapping[str, Any], now: float, *, is_draining: bool) -> Health:
    """Return the health of a gateway with this status (`AdminView.status`).

    :param now: seconds since the epoch.
    """
    if is_draining:
        return Health("draining")
    if status.get("version") is None:
        return Health("no configuration is in force")
    if status.get("serving", 1) < 1:
        return Health("no worker accepts connections")
    return Health(degraded=tuple(dict.fromkeys(_degraded(status, now))))


def _degraded(status: Mapping[str, Any], now: float) -> Iterator[str]:
    yield from _degraded_processes(status, now)
    yield from _degraded_sources(status)
    for upstream in status.get("upstreams", ()):
        if (upstream.get("discovery") or {}).get("stale"):
            yield f"discovery of upstream {upstream['name']} is stale"
        endpoints, is_panic = upstream.get("endpoints", ()), bool(upstream.get("panic"))
        if endpoints and not any(_gets_requests(each, is_panic=is_panic) for each in endpoints):
            yield f"upstream {upstream['name']} has no endpoint that gets requests"
        elif is_panic:
            yield f"upstream {upstream['name']} is in panic mode: too few endpoints are healthy, so all get requests"
        elif endpoints and all(each["state"] == "unreachable" for each in endpoints):
            yield f"upstream {upstream['name']} has no endpoint that can be connected to"
    last = status.get("last_reload")
    if last is not None and not last["ok"]:
        yield "the last reload failed"


def _gets_requests(endpoint: Mapping[str, Any], *, is_panic: bool) -> bool:
    # Panic mode disregards health, and neither the configuration nor an open breaker.
    breaker, state = endpoint["breaker"], endpoint["state"]
    is_chosen = state in {"up", "unreachable"} or (is_panic and state in {"unhealthy", "ejected"})
    return is_chosen and (breaker is None or breaker["state"] != "open")


def _degraded_sources(status: Mapping[str, Any]) -> Iterator[str]:
    for source in status.get("sources", ()):
        if source["stale"]:
            yield f"source {source['source']} is stale"
        for document in source["rejected"]:
            yield f"document {document} was rejected"
        for document in source.get("gone", ()):
            yield f"document {document} is gone and stays in force, since others need it"


def _degraded_processes(status: Mapping[str, Any], now: float) -> Iterator[str]:
    for place in status.get("missing_workers", ()):
        yield f"worker {place['number']} cannot be started"
    for number in status.get("silent_workers", ()):
        yield f"worker {number} does not respond"
    for process in (status, *status.get("workers", ())):
        for name in process.get("failing_tasks", ()):
            yield f"task {name} fails"
        yield from process.get("shortages", ())
        yield from _errors_of_plugins(process.get("recent_events", ()), now)
        for binding in process.get("failing_bindings", ()):
            yield f"binding {binding['path']} of plugin {binding['plugin']} fails"
        for certificate in process.get("certificates", ()):
            name, until = f"{certificate['name']} of listener {certificate['listener']}", certificate["not_after"]
            if until is not None and datetime.fromisoformat(until).timestamp() <= now:
                yield f"the certificate for {name} has expired"
            if (issuance := certificate.get("issuance")) is not None and issuance["is_failing"]:
                yield f"a certificate for {name} cannot be got"


def _errors_of_plugins(events: Iterable[Mapping[str, Any]], now: float) -> Iterator[str]:
    """Yield what plugins and extensions have logged as an error of their own within the last minute."""
    for each in events:
        is_error = each["event"] == PLUGIN_LOG.name and each["level"] in {"error", "critical"}
        if is_error and now - datetime.fromisoformat(each["at"]).timestamp() < ERRORS_SECONDS:
            yield each["message"]
