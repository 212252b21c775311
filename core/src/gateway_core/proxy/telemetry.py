"""What is recorded of requests that are over: counts for metrics, and the record of the log phase.

Counting is a dictionary and a list on the request path; Prometheus metrics are made of them when they are scraped.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final, Protocol

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from gateway_core.messages import Record, Response, RouteInfo
from gateway_core.metrics import DURATION_BUCKETS, Metrics
from gateway_core.proxy.attempt import Attempt
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.response_writer import ResponseWriter
from gateway_core.proxy.wire.response_head import ResponseHead

_NO_ROUTE: Final = ""
_SHORTEST: Final = DURATION_BUCKETS[0]


class _Meter:
    """The counts of one route."""

    __slots__ = ("durations", "requests", "seconds")

    def __init__(self) -> None:
        self.requests: dict[int, int] = {}
        """By status."""
        self.durations = [0] * (len(DURATION_BUCKETS) + 1)
        """In each bucket; the last one is for all that took longer."""
        self.seconds = 0.0


class Telemetry(Collector):
    """Requests by route and status, and how long they took by route."""

    def __init__(self, metrics: Metrics) -> None:
        self._meters: dict[str, _Meter] = {}
        metrics.registry.register(self)

    def count(self, route: RouteInfo | None, status: int, seconds: float) -> None:
        """Count a request that is over."""
        name = _NO_ROUTE if route is None else route.id
        # A look-up that fails is rare, and one that does not costs half of `get`.
        try:
            meter = self._meters[name]
            meter.requests[status] += 1
        except KeyError:
            meter = self._meters.setdefault(name, _Meter())
            meter.requests[status] = 1
        meter.durations[0 if seconds <= _SHORTEST else bisect_left(DURATION_BUCKETS, seconds)] += 1
        meter.seconds += seconds

    def collect(self) -> Iterator[CounterMetricFamily | HistogramMetricFamily]:
        """Return the counts as metric families."""
        requests = CounterMetricFamily("gateway_requests", "Requests that are over.", labels=["route", "status"])
        for route, meter in list(self._meters.items()):
            for status, count in list(meter.requests.items()):
                requests.add_metric([route, str(status)], count)
        yield requests
        durations = HistogramMetricFamily(
            "gateway_request_duration_seconds", "From the request head to the last byte.", labels=["route"]
        )
        for route, meter in list(self._meters.items()):
            total, cumulative = 0.0, []
            for bound, number in zip([*map(str, DURATION_BUCKETS), "+Inf"], meter.durations, strict=True):
                total += number
                cumulative.append((bound, total))
            durations.add_metric([route], cumulative, sum_value=meter.seconds)
        yield durations


CLIENT_LEFT: Final = 499
"""Status in logs of a request whose client left before there was a response."""


class Responded(Protocol):
    """What sent the request upstream."""

    attempt: Attempt
    response_head: ResponseHead | None


class EndedExchange(Protocol):
    """An exchange or a detached request at its end."""

    aborted: str | None
    body: RequestBody | None
    error: str | None
    reason: str | None
    tunnel_bytes: tuple[int, int] | None
    writer: ResponseWriter


def make_record(
    exchange: EndedExchange, relay: Responded | None, response: Response | None, duration: float, now: float
) -> Record:
    """Return a record of what was sent and received, and of the attempts.

    :param response: what the client was sent; None if that was the upstream's response as it came.
    :param duration: seconds since the request's head was complete.
    :param now: seconds since the Unix epoch.
    """
    if relay is None:
        record = Record()
    else:
        attempt, head, responded = relay.attempt, relay.response_head, None
        retries, endpoint, responded_at = attempt.retries, attempt.endpoint, attempt.responded_at
        if head is not None and endpoint is not None:
            responded = (endpoint, head.status, responded_at - attempt.picked_at)
        record = Record(() if retries is None else retries.records, responded)
        record.upstream = attempt.upstream.name
        if responded_at:
            first_picked_at = 0.0 if retries is None else retries.first_picked_at
            record.upstream_duration = responded_at - (first_picked_at or attempt.picked_at)
    record.duration = duration
    record.started_at = now - duration
    record.aborted, record.reason, record.error = exchange.aborted, exchange.reason, exchange.error
    if exchange.tunnel_bytes is not None:
        record.bytes_received, record.bytes_sent = exchange.tunnel_bytes
    else:
        record.bytes_sent = exchange.writer.bytes_sent
        if exchange.body is not None:
            record.bytes_received = exchange.body.received
    if response is None or response.is_streamed:
        record.produced_by = "upstream"
    elif response.produced_by:
        record.produced_by = response.produced_by
    return record


def response_of(relay: Responded | None) -> Response:
    """Return the upstream's response as hooks see it; one with `CLIENT_LEFT` if there was none."""
    head = None if relay is None else relay.response_head
    if head is not None:
        return Response.streamed(head.status, head.reason, head.block)
    response = Response(CLIENT_LEFT)
    response.reason = "Client Closed Request"
    return response
