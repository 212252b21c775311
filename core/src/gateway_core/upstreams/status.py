"""An upstream as status pages and the admin API show it."""

from __future__ import annotations

from typing import Any

from gateway_core.upstreams.endpoint import Endpoint, EndpointSpec, EndpointStatus
from gateway_core.upstreams.upstream import Upstream


def describe_upstream(upstream: Upstream, now: float) -> dict[str, Any]:
    """Return what is known of an upstream and its endpoints, ready for JSON.

    Times ahead are seconds from now; ``last_check_at`` is seconds since the Unix epoch.
    """
    selection = upstream.selection(now)
    usable = set(map(id, selection.candidates.endpoints))
    load = upstream.admission.load
    return {
        "name": upstream.name,
        "strategy": upstream.strategy_name,
        "panic": selection.is_panic,
        "active": load.active,
        "pending": load.pending,
        "retrying": load.retrying,
        "fit": selection.fit,
        "discovery": None if upstream.feed is None else upstream.feed.describe(now),
        "endpoints": [
            _describe_endpoint(spec, endpoint, now, is_usable=id(endpoint) in usable)
            for spec, endpoint in upstream.members
        ],
        "leaving": [{"id": endpoint.id, "active": endpoint.active} for endpoint in upstream.leaving],
    }


def _describe_endpoint(spec: EndpointSpec, endpoint: Endpoint, now: float, *, is_usable: bool) -> dict[str, Any]:
    return {
        "id": spec.id,
        "url": spec.url,
        "weight": spec.weight,
        "backup": spec.backup,
        "status": spec.status.value,
        "state": _state(spec, endpoint, now),
        "usable": is_usable,
        "override": None,  # which the program knows
        "active": endpoint.active,
        "pending": endpoint.pending,
        "healthy": endpoint.healthy,
        "last_check_at": endpoint.health.last_check or None,
        "last_check_ms": round(endpoint.health.last_check_seconds * 1000, 1),
        "last_check_error": endpoint.health.last_check_error,
        "last_error": endpoint.last_error,
        "ejected_for": round(max(0.0, endpoint.ejection.until - now), 3),
        "breaker": _describe_breaker(endpoint, now),
    }


def _state(spec: EndpointSpec, endpoint: Endpoint, now: float) -> str:
    """Return the first of the reasons for which an endpoint gets nothing, ``unreachable``, or ``up``."""
    if spec.status is not EndpointStatus.UP:
        return str(spec.status.value)
    if not endpoint.healthy:
        return "unhealthy"
    if endpoint.ejection.is_ejected(now):
        return "ejected"
    if endpoint.is_unreachable:
        return "unreachable"
    return "up"


def _describe_breaker(endpoint: Endpoint, now: float) -> dict[str, Any] | None:
    breaker = endpoint.breaker
    if breaker is None:
        return None
    requests, failures = breaker.counts(now)
    return {
        "state": breaker.state.value,
        "retry_after": round(breaker.retry_after(now), 3),
        "requests": requests,
        "failures": failures,
        "times_opened": breaker.times_opened,
    }
