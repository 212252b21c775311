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
from gateway_core.metrics.endpoint_fold import Key
from gateway_core.metrics.samples import Labels, Samples
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


def put_upstream_counts(samples: Samples, metrics: Metrics, named: frozenset[Key]) -> None:
    """Add what was counted of requests to upstreams.

    :param named: the endpoints that have series of their own.
    """
    known: Any = metrics.endpoints.items()
    own = Samples()
    for key, counts in known:
        own.put(UPSTREAM_REQUESTS, [((*key, status), number) for status, number in counts.statuses()])
        duration = counts.duration()
        own.put(UPSTREAM_DURATION, [] if duration is None else [(key, duration)], counts.bounds)
        reasons = {**dict.fromkeys(FAILURE_REASONS, 0), **counts.errors}
        own.put(UPSTREAM_ERRORS, [((*key, reason), number) for reason, number in reasons.items()])
        for family, name in _COUNTERS:
            own.put(family, [(key, getattr(counts, name))])
    in_use: Any = metrics.endpoints.in_use()
    metrics.endpoint_fold.fold(own, named, in_use, {key for key, _ in known})
    for series in own:
        samples.put(series.family, series.values.items(), series.bounds)
    upstreams: Any = metrics.upstreams.items()
    for name, upstream in upstreams:
        reasons = {**dict.fromkeys(REFUSALS, 0), **upstream.refusals}
        samples.put(UPSTREAM_REFUSALS, [((name, reason), number) for reason, number in reasons.items()])
        samples.put(UPSTREAM_RETRIES, [((name,), upstream.retries)])


def put_upstream_states(samples: Samples, upstreams: Iterable[Upstream], now: float, named: frozenset[Key]) -> None:
    """Add how the upstreams in force are.

    :param now: monotonic seconds.
    :param named: the endpoints that have series of their own.
    """
    samples.put(UPSTREAM_PENDING, ())
    samples.put(ENDPOINT_HEALTHY, ())
    for upstream in upstreams:
        samples.one(UPSTREAM_PENDING, upstream.admission.load.pending, upstream.name)
        samples.one(UPSTREAM_PANIC, upstream.is_panic, upstream.name)
        of_label: dict[str, list[Endpoint]] = {}
        for endpoint in upstream.endpoints:
            label = endpoint.id if (upstream.name, endpoint.id) in named else OTHER
            of_label.setdefault(label, []).append(endpoint)
        for label, endpoints in of_label.items():
            _put_endpoints(samples, (upstream.name, label), endpoints, now)


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
