"""What metrics show of upstreams and endpoints.

Counters are those of all upstreams and endpoints that the process remembers; the gauges list which
of them are in force (see `gateway_core.metrics.ledger`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from gateway_core.metrics import Metrics
from gateway_core.metrics.catalogue import (
    BREAKER_OPENINGS,
    BREAKER_STATE,
    ENDPOINT_EJECTED,
    ENDPOINT_EJECTIONS,
    ENDPOINT_HEALTHY,
    OTHER,
    UPSTREAM_CONNECTIONS,
    UPSTREAM_CONNECTIONS_OPENED,
    UPSTREAM_DURATION,
    UPSTREAM_ERRORS,
    UPSTREAM_IN_FLIGHT,
    UPSTREAM_PANIC,
    UPSTREAM_PENDING,
    UPSTREAM_RECEIVED_BYTES,
    UPSTREAM_REFUSALS,
    UPSTREAM_REQUESTS,
    UPSTREAM_RETRIES,
    UPSTREAM_SENT_BYTES,
)
from gateway_core.metrics.endpoint_fold import Named
from gateway_core.metrics.route_fold import fold_routes
from gateway_core.metrics.samples import Family, Labels, Samples, Value
from gateway_core.upstreams.breaker import BreakerState
from gateway_core.upstreams.endpoint import Endpoint
from gateway_core.upstreams.failure_events import REFUSALS
from gateway_core.upstreams.outcome import FAILURE_REASONS
from gateway_core.upstreams.upstream import Upstream

_COUNTERS: Final = (
    (UPSTREAM_SENT_BYTES, "bytes_out"),
    (UPSTREAM_RECEIVED_BYTES, "bytes_in"),
    (UPSTREAM_CONNECTIONS_OPENED, "connects"),
    (ENDPOINT_EJECTIONS, "ejections"),
    (BREAKER_OPENINGS, "openings"),
)


def put_upstream_counts(samples: Samples, metrics: Metrics, named: Named) -> None:
    """Add what was counted of requests to upstreams.

    :param named: the endpoints that have series of their own.
    """
    _put_endpoint_counts(samples, metrics, named)
    upstreams: Any = metrics.upstreams.items()
    others = {*metrics.upstreams.in_use()} - named.upstreams
    refusals: list[tuple[Labels, Value]] = []
    retries: list[tuple[Labels, Value]] = []
    for name, upstream in upstreams:
        known_reasons = upstream.refusals if name in others else {**dict.fromkeys(REFUSALS, 0), **upstream.refusals}
        refusals += [((name, reason), number) for reason, number in known_reasons.items()]
        if upstream.retries or name not in others:
            retries.append(((name,), upstream.retries))
    of_upstreams = Samples()
    of_upstreams.put(UPSTREAM_REFUSALS, refusals)
    of_upstreams.put(UPSTREAM_RETRIES, retries)
    fold_routes(of_upstreams, others, metrics.upstream_fold, "upstream")
    if others:
        of_upstreams.default(UPSTREAM_REFUSALS, [(OTHER, reason) for reason in REFUSALS])
        of_upstreams.default(UPSTREAM_RETRIES, [(OTHER,)])
    samples.series |= of_upstreams.series


def _put_endpoint_counts(samples: Samples, metrics: Metrics, named: Named) -> None:
    known: Any = metrics.endpoints.items()
    in_use: Any = metrics.endpoints.in_use()
    own, families = Samples(), (UPSTREAM_REQUESTS, UPSTREAM_ERRORS, *(family for family, _ in _COUNTERS))
    rows: dict[Family, list[tuple[Labels, Value]]] = {family: [] for family in (*families, UPSTREAM_DURATION)}
    requests, errors, durations = rows[UPSTREAM_REQUESTS], rows[UPSTREAM_ERRORS], rows[UPSTREAM_DURATION]
    for key, counts in known:
        is_named = key in named.endpoints
        requests += [((*key, status), number) for status, number in counts.statuses()]
        if (duration := counts.duration()) is not None:
            durations.append((key, duration))
        # Of those that share series, which may be very many, what has not happened is left out.
        reasons = {**dict.fromkeys(FAILURE_REASONS, 0), **counts.errors} if is_named else counts.errors
        errors += [((*key, reason), number) for reason, number in reasons.items()]
        for family, name in _COUNTERS:
            if (number := getattr(counts, name)) or is_named:
                rows[family].append((key, number))
    for family, each in rows.items():
        own.put(family, each, metrics.bounds if family is UPSTREAM_DURATION else ())
    metrics.endpoint_fold.fold(own, named.endpoints, in_use, {key for key, _ in known}, named.upstream)
    for upstream in {named.upstream(key[0]) for key in in_use if key not in named.endpoints}:
        own.default(UPSTREAM_ERRORS, [(upstream, OTHER, reason) for reason in FAILURE_REASONS])
        for family, _ in _COUNTERS:
            own.default(family, [(upstream, OTHER)])
    for series in own:
        samples.put(series.family, series.values.items(), series.bounds)


def put_upstream_states(samples: Samples, upstreams: Iterable[Upstream], now: float, named: Named) -> None:
    """Add how the upstreams in force are.

    :param now: monotonic seconds.
    :param named: the endpoints that have series of their own.
    """
    samples.put(UPSTREAM_PENDING, ())
    samples.put(ENDPOINT_HEALTHY, ())
    pending: dict[str, int] = {}
    panics: dict[str, bool] = {}
    of_labels: dict[tuple[str, str], list[Endpoint]] = {}
    for upstream in upstreams:
        name = named.upstream(upstream.name)
        pending[name] = pending.get(name, 0) + upstream.admission.load.pending
        panics[name] = panics.get(name, False) or upstream.is_panic
        for endpoint in upstream.endpoints:
            of_labels.setdefault(named.endpoint(upstream.name, endpoint.id), []).append(endpoint)
    samples.put(UPSTREAM_PENDING, [((name,), number) for name, number in pending.items()])
    samples.put(UPSTREAM_PANIC, [((name,), is_panic) for name, is_panic in panics.items()])
    for labels, endpoints in of_labels.items():
        _put_endpoints(samples, labels, endpoints, now)


def _put_endpoints(samples: Samples, labels: Labels, endpoints: list[Endpoint], now: float) -> None:
    """Add the state of one endpoint, or of all those that share a label."""

    def total(number: Callable[[Endpoint], float]) -> float:
        return sum(map(number, endpoints))

    samples.one(ENDPOINT_HEALTHY, float(all(each.healthy for each in endpoints)), *labels)
    samples.one(ENDPOINT_EJECTED, total(lambda each: each.ejection.is_ejected(now)), *labels)
    samples.one(UPSTREAM_IN_FLIGHT, total(lambda each: each.active), *labels)
    samples.one(UPSTREAM_CONNECTIONS, total(lambda each: getattr(each.pool, "idle_connections", 0)), *labels)
    breakers = [each.breaker for each in endpoints if each.breaker is not None]
    for state in BreakerState if breakers else ():
        number = sum(breaker.state is state for breaker in breakers)
        samples.one(BREAKER_STATE, number, *labels, state.value)
