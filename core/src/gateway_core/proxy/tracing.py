"""What the data path knows of a request that is over, for its span."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import Protocol

from gateway_core.messages import Request, Response
from gateway_core.metrics.counts import RouteCounts
from gateway_core.observe.tracing import RequestTrace, Tracer
from gateway_core.observe.tracing.plugin_context import share
from gateway_core.observe.tracing.sampling import SamplingPolicy
from gateway_core.observe.tracing.semantics import failed
from gateway_core.observe.tracing.spans import ServerFacts
from gateway_core.proxy.telemetry import EndedExchange, Responded, grpc_code_of
from gateway_core.proxy.wire.grpc import is_call
from gateway_core.proxy.wire.request_head import RequestHead
from gateway_core.proxy.wire.request_ids import id_of


class CountingTelemetry(Protocol):
    """The counts of requests without a route."""

    unrouted: RouteCounts


class ExchangeHost(Protocol):
    """The proxy, as far as this uses it."""

    @property
    def telemetry(self) -> CountingTelemetry:
        """Where requests are counted."""

    @property
    def wall(self) -> Callable[[], float]:
        """Returns seconds since the Unix epoch."""


__all__ = ["begin_trace", "end_trace", "follow_route", "share"]


def begin_trace(tracer: Tracer, head: RequestHead) -> RequestTrace:
    """Begin the trace of a request."""
    facts = head.facts
    return tracer.begin(facts.block, facts.lowered, is_trusted=head.origin.is_trusted)


class FollowingExchange(Protocol):
    """An exchange whose route is known now."""

    trace: RequestTrace | None

    @property
    def context(self) -> Context | None:
        """That of its hooks, if one has run."""


def follow_route(exchange: FollowingExchange, policy: SamplingPolicy) -> None:
    """Sample as the route does."""
    if (trace := exchange.trace) is not None:
        trace.follow(policy)
        if exchange.context is not None:
            share(trace, exchange.context)


class TracedExchange(EndedExchange, Protocol):
    """An exchange at its end."""

    head: RequestHead
    id_line: bytes
    seen: Request | None
    started: float

    @property
    def proxy(self) -> ExchangeHost:
        """Its host."""


def end_trace(
    exchange: TracedExchange,
    trace: RequestTrace,
    relay: Responded | None,
    status: int,
    response: Response | None,
    now: float,
) -> None:
    """End the span of a request that is over; if it is exported, it may be an example of its duration in metrics.

    :param relay: what sent it upstream.
    :param response: what the client was sent; None if that was the upstream's response as it came.
    """
    head, seen, route, origin = exchange.head, exchange.seen, exchange.route, exchange.head.origin
    is_grpc = is_call(head)
    grpc_status = grpc_code_of(exchange, relay) if is_grpc else None
    is_error = failed(status, exchange.aborted, grpc_status, is_grpc=is_grpc)
    seconds = 0.0 if status == 101 else now - exchange.started  # a tunnel is long by nature
    if not trace.is_sampled and not trace.policy.keeps(is_error=is_error, seconds=seconds):
        trace.drop()
        return
    received, sent = 0 if exchange.body is None else exchange.body.received, exchange.writer.bytes_sent
    if exchange.tunnel_bytes is not None:
        received, sent = exchange.tunnel_bytes
    produced_by = "upstream"
    if response is not None and not response.is_streamed:
        produced_by = response.produced_by or "gateway"
    facts = ServerFacts(
        head.method,
        origin.scheme,
        head.facts.host,
        head.raw_path,
        # A plugin may have hidden a query with credentials (`Request.forget_query`).
        head.query_string if seen is None else seen.received.target.partition("?")[2],
        head.version,
        head.facts.block,
        origin.client_ip,
        origin.peer_ip,
        id_of(exchange.id_line),
        None if route is None else route.info.id,
        None if route is None else route.info.pattern or None,
        status,
        exchange.reason,
        exchange.aborted,
        produced_by,
        grpc_status,
        is_grpc,
        received,
        sent,
    )
    trace.end(facts, exchange.started, now)
    counts = exchange.proxy.telemetry.unrouted if route is None else route.counts
    counts.note_exemplar(status, now - exchange.started, trace.trace_id, exchange.proxy.wall())
