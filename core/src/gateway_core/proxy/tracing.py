"""What the data path knows of a request that is over, for its span."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import Protocol

from gateway_core.messages import Request, Response
from gateway_core.messages.request_lines import request_block
from gateway_core.metrics.counts import RouteCounts
from gateway_core.observe.tracing import RequestTrace
from gateway_core.observe.tracing.plugin_context import share
from gateway_core.observe.tracing.propagation import fields_of
from gateway_core.observe.tracing.sampling import SamplingPolicy
from gateway_core.observe.tracing.semantics import failed
from gateway_core.observe.tracing.trace import SpanningAttempt
from gateway_core.proxy.telemetry import EndedExchange, Responded, grpc_code_of
from gateway_core.proxy.wire.grpc import is_call
from gateway_core.proxy.wire.request_head import RequestHead


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


__all__ = ["end_trace", "follow_route", "share", "traced_fields", "traced_head"]


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


def traced_fields(
    trace: RequestTrace, attempt: SpanningAttempt, seen: Request | None, head: RequestHead, tail: bytes, more: bytes
) -> tuple[bytes, bytes]:
    """Return a client's fields without those of a trace, and the lines that follow with those of its own trace.

    :param seen: the request as hooks see it, if they do.
    """
    if seen is not None and request_block(seen) is not head.facts.block:
        tail = trace.without(tail, fields_of(tail))
    elif came := trace.came:
        if len(came) == 1 and came[0][0] == b"traceparent":  # as mostly
            field, kept = b"\r\n" + came[0][1], head.facts.kept
            if tail is head.tail and kept.endswith(field):  # the client's last field, as mostly
                tail = kept[: -len(field)] + head.origin.tail
            else:  # takes four times as long
                tail = tail.replace(field, b"", 1)
        else:
            tail = trace.without(tail, came)
    span_id = attempt.begin_span(trace, head.line) if trace.is_recorded else trace.own_id
    return tail, more + trace.lines(span_id)


def traced_head(trace: RequestTrace, attempt: SpanningAttempt, head: bytes) -> bytes:
    """Return a whole head with the fields of its trace, and of no other."""
    return trace.sent_head(head, attempt.begin_span(trace, head[: head.index(b"\r\n")]))


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
    head, seen, route, body = exchange.head, exchange.seen, exchange.route, exchange.body
    is_grpc = head.version == "2" and is_call(head)  # the first half alone mostly, without a call
    grpc_status = grpc_code_of(exchange, relay) if is_grpc else None
    if not trace.is_sampled:
        is_error = failed(status, exchange.aborted, grpc_status, is_grpc=is_grpc)
        seconds = 0.0 if status == 101 else now - exchange.started  # a tunnel is long by nature
        if not trace.policy.keeps(is_error=is_error, seconds=seconds):
            trace.drop()
            return
    if exchange.tunnel_bytes is None:
        received, sent = 0 if body is None else body.received, exchange.writer.bytes_sent
    else:
        received, sent = exchange.tunnel_bytes
    produced_by = "upstream"
    if response is not None and not response.is_streamed:
        produced_by = response.produced_by or "gateway"
    # A plugin may have hidden a query with credentials (`Request.forget_query`).
    query = head.query_string if seen is None else seen.received.target.partition("?")[2]
    fields, origin = head.facts, head.origin
    facts = (
        head.method, head.version, head.raw_path, fields.host, fields.block, origin.scheme, origin.client_ip,
        origin.peer_ip, query, exchange.id_line, None if route is None else route.info, status, exchange.reason,
        exchange.aborted, produced_by, grpc_status, is_grpc, received, sent,
    )  # fmt: skip
    trace.end(facts, head.size, exchange.started, now)
    if trace.tracer.sink is None:  # there is no such trace anywhere
        return
    counts = exchange.proxy.telemetry.unrouted if route is None else route.counts
    seconds = now - exchange.started
    if not counts.has_exemplar(status, seconds, now):
        counts.note_exemplar(status, seconds, trace.raw_id, exchange.proxy.wall(), now)
