"""What is recorded of a request that is over: its trace, its counts, who watches it, the log phase."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gateway_core.hooks import start_log_phase
from gateway_core.messages import Response
from gateway_core.proxy.forward import ForwardedExchange
from gateway_core.proxy.relay import Relay
from gateway_core.proxy.running_exchange import RunningExchange
from gateway_core.proxy.telemetry import Responded, make_record, response_of
from gateway_core.proxy.tracing import end_trace


class EndingExchange(RunningExchange, Protocol):
    """The exchange, as far as this uses it."""

    grpc_code: int | None
    """Of a call of gRPC whose response was made here."""
    started: float
    """Monotonic seconds when its head was complete."""

    @property
    def forwarding(self) -> ForwardedExchange | None:
        """What forwards the request for a pre-proxy hook."""


def record_end(
    exchange: EndingExchange, own: Response | None, relay: Relay | None, now: float, release: Callable[[], None]
) -> bool:
    """Record a request that is over; the exchange does it itself where nothing but the upstream took part.

    :param own: the response that was made here.
    :param relay: what sent it upstream.
    :param release: called at the end of the log phase if that is awaited.
    :returns: whether the log phase is over.
    """
    proxy, route, forwarding, trace = exchange.proxy, exchange.route, exchange.forwarding, exchange.trace
    sent: Responded | None = relay
    response, seconds = own, now - exchange.started
    if relay is None:
        sent = None if forwarding is None else forwarding.call
        if own is None and forwarding is not None:
            response = forwarding.switched
    elif own is None:
        response = relay.response if relay.phase is None else relay.phase.response
    head = None if relay is None else relay.response_head
    status = response.status if response is not None else 0 if head is None else head.status
    if trace is not None and trace.is_recorded:
        end_trace(exchange, trace, sent, status, response, now)
    is_call = exchange.body is not None and relay is not None and relay.attempt.grpc_code is not None
    if own is not None or exchange.reason or status == 101 or route is None or is_call:
        proxy.telemetry.count(exchange, sent, status, response, seconds)
    else:  # an upstream's response
        received = 0 if exchange.body is None else exchange.body.received
        route.counts.add(status << 2, seconds, exchange.writer.bytes_sent, received)
    if proxy.tail is not None:
        proxy.tail.note(exchange, sent, response, status, seconds, proxy.wall())
    if not exchange.chain.log:
        return True
    record = make_record(exchange, sent, response, seconds, proxy.wall())
    if response is None:
        response = response_of(relay, None if relay is None else relay.announced)
    context, request = exchange.context or exchange.begin_hooks(), exchange.seen or exchange.request
    outcome = context.run(start_log_phase, exchange.chain.log, request, response, record)
    if outcome is not None:
        exchange.runner().finish_last(outcome, release)
    return outcome is None
