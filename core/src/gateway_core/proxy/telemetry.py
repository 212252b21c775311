"""What is recorded of requests that are over: counts for metrics, and the record of the log phase."""

from __future__ import annotations

from typing import Any, Final, Protocol

from gateway_core.messages import Record, Response
from gateway_core.messages.grpc_status import GrpcCode
from gateway_core.metrics import Metrics
from gateway_core.metrics.catalogue import (
    GRPC_CALLS,
    OTHER,
    REQUEST_BODY_BYTES,
    REQUEST_DURATION,
    REQUEST_FAILURES,
    REQUESTS,
    RESPONSE_BODY_BYTES,
)
from gateway_core.metrics.counts import CLIENT, GATEWAY, PLUGIN, UPSTREAM, RouteCounts
from gateway_core.metrics.samples import Samples
from gateway_core.proxy.attempt import Attempt
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.response_writer import ResponseWriter
from gateway_core.proxy.wire.response_head import ResponseHead
from gateway_core.reasons import REASONS
from gateway_core.snapshot import CompiledRoute

_NO_ROUTE: Final = ""


class Telemetry:
    """The counts of requests that are over."""

    __slots__ = ("_metrics", "failures", "unrouted")

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.unrouted: RouteCounts = metrics.unrouted
        """Of requests that no route matched; a route has its own (`CompiledRoute.counts`)."""
        # The first failure of a kind can be seen as one only if there was a 0 before it.
        self.failures = dict.fromkeys(REASONS, 0)
        """Requests that the gateway responded to itself, or whose response did not reach its end, by reason."""
        metrics.register(self._collect)

    def count(
        self, exchange: EndedExchange, relay: Responded | None, status: int, response: Response | None, seconds: float
    ) -> None:
        """Count a request that is over; the exchange does it itself where only an upstream took part.

        :param relay: what sent it upstream.
        :param response: what the client was sent; None if that was the upstream's response as it came.
        :param seconds: since its head was complete.
        """
        counts = self.unrouted if exchange.route is None else exchange.route.counts
        received, sent = 0 if exchange.body is None else exchange.body.received, exchange.writer.bytes_sent
        if exchange.tunnel_bytes is not None:
            received, sent = exchange.tunnel_bytes
        counts.add((status << 2) + origin_of(response, exchange.aborted), seconds, sent, received)
        if (code := grpc_code_of(exchange, relay)) is not None:
            counts.add_call(code)
        if exchange.reason is not None:
            self.count_failure(exchange.reason)

    def count_failure(self, reason: str) -> None:
        """Count a request that the gateway responded to itself, or whose response did not reach its end."""
        # Plugins may bring reasons of their own, however many.
        name = reason if reason in self.failures else OTHER
        self.failures[name] = self.failures.get(name, 0) + 1

    def _collect(self, samples: Samples) -> None:
        known: Any = [(_NO_ROUTE, self.unrouted), *self._metrics.routes.items()]
        samples.put(REQUEST_FAILURES, [((reason,), number) for reason, number in list(self.failures.items())])
        for route, counts in known:
            samples.put(
                GRPC_CALLS, [((route, GrpcCode(code).name), number) for code, number in list(counts.calls.items())]
            )
            samples.put(REQUESTS, [((route, status, origin), number) for status, origin, number in counts.requests()])
            durations = [((route, name), each) for name, each in counts.durations().items()]
            samples.put(REQUEST_DURATION, durations, counts.bounds)
            samples.put(REQUEST_BODY_BYTES, [((route,), counts.bytes_in)] if durations else ())
            samples.put(RESPONSE_BODY_BYTES, [((route,), counts.bytes_out)] if durations else ())


def origin_of(response: Response | None, aborted: str | None) -> int:
    """Return whose a response was, as `RouteCounts.add` takes it.

    :param response: what the client was sent; None if that was the upstream's response as it came.
    :param aborted: who ended it before its end.
    """
    if aborted == "client":
        return CLIENT
    if response is None or response.is_streamed:
        return UPSTREAM
    return GATEWAY if response.produced_by in {"", "gateway"} else PLUGIN


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
    grpc_code: int | None
    error: str | None
    reason: str | None
    route: CompiledRoute | None
    tunnel_bytes: tuple[int, int] | None
    writer: ResponseWriter


def grpc_code_of(exchange: EndedExchange, relay: Responded | None) -> int | None:
    """Return how a call of gRPC ended: by a response that was made here, or by the upstream's."""
    if exchange.grpc_code is not None or relay is None:
        return exchange.grpc_code
    return relay.attempt.grpc_code


_streamed_response: Final = Response.streamed  # a look-up in the class takes twice the time of the call


class _MadeRecord(Record):
    __slots__ = ()
    __init__ = object.__init__  # to call such a class takes two thirds of what `__new__` takes


def make_record(
    exchange: EndedExchange, relay: Responded | None, response: Response | None, duration: float, now: float
) -> Record:
    """Return a record of what was sent and received, and of the attempts.

    :param response: what the client was sent; None if that was the upstream's response as it came.
    :param duration: seconds since the request's head was complete.
    :param now: seconds since the Unix epoch.
    """
    record: Record = _MadeRecord()  # stores without a call around them, as in `Request.for_head`
    record.duration, record.started_at = duration, now - duration
    record.bytes_sent = exchange.writer.bytes_sent
    record.bytes_received = 0 if (body := exchange.body) is None else body.received
    record.failed, record.grpc_status = (), exchange.grpc_code
    if relay is not None:
        attempt, head = relay.attempt, relay.response_head
        retries, endpoint, responded_at = attempt.retries, attempt.endpoint, attempt.responded_at
        record.upstream = attempt.upstream.name
        picked_at = attempt.picked_at
        record.responded = (
            None if head is None or endpoint is None else (endpoint, head.status, responded_at - picked_at)
        )
        if retries is not None:
            record.failed, picked_at = retries.records, retries.first_picked_at or picked_at
        record.upstream_duration = responded_at - picked_at if responded_at else None
        if record.grpc_status is None:
            record.grpc_status = attempt.grpc_code
    else:
        record.upstream, record.upstream_duration, record.responded = "", None, None
    if exchange.tunnel_bytes is not None:
        record.bytes_received, record.bytes_sent = exchange.tunnel_bytes
    if exchange.reason is not None:
        record.aborted, record.reason, record.error = exchange.aborted, exchange.reason, exchange.error
    else:
        record.aborted = record.reason = record.error = None
    if response is None or response.is_streamed:
        record.produced_by = "upstream"
    else:
        record.produced_by = response.produced_by or "gateway"
    return record


def response_of(relay: Responded | None, announced: bytes | None = None) -> Response:
    """Return the upstream's response as hooks see it; one with `CLIENT_LEFT` if there was none.

    :param announced: lines that were added to its head.
    """
    head = None if relay is None else relay.response_head
    if head is not None:
        return _streamed_response(head.status, head.reason, head.block, (announced, b"\r\n\r\n") if announced else ())
    response = Response(CLIENT_LEFT)
    response.reason = "Client Closed Request"
    return response
