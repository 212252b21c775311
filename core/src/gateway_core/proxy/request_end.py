"""What is recorded of a request that is over: its trace, its counts, who watches it, the log phase."""

from __future__ import annotations

from typing import Protocol

from gateway_core.hooks import start_log_phase
from gateway_core.proxy.forward import ForwardedExchange
from gateway_core.proxy.own_response import OwnResponse
from gateway_core.proxy.relay import Relay
from gateway_core.proxy.running_exchange import RunningExchange
from gateway_core.proxy.telemetry import Responded, make_record, response_of
from gateway_core.proxy.tracing import end_trace
from gateway_core.snapshot import ChainLease, Snapshot


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
    exchange: EndingExchange, made: OwnResponse | None, relay: Relay | None, now: float, pin: Snapshot | ChainLease
) -> bool:
    """Record a request that is over; the exchange does it itself where nothing but the upstream took part.

    :param made: the response that was made here.
    :param relay: what sent it upstream.
    :param pin: released at the end of the log phase if that is awaited.
    :returns: whether the log phase is over.
    """
    proxy, route, trace, body = exchange.proxy, exchange.route, exchange.trace, exchange.body
    sent: Responded | None = relay
    response = own = None if made is None else made.response
    seconds, head = now - exchange.started, None
    if relay is None:
        forwarding = exchange.forwarding
        sent = None if forwarding is None else forwarding.call
        if own is None and forwarding is not None:
            response = forwarding.switched
    else:
        head = relay.response_head
        if own is None:
            response = relay.response if relay.phase is None else relay.phase.response
    status = response.status if response is not None else 0 if head is None else head.status
    if trace is not None and trace.is_recorded:
        end_trace(exchange, trace, sent, status, response, now)
    is_call = body is not None and relay is not None and relay.attempt.grpc_code is not None
    if own is not None or exchange.reason or status == 101 or route is None or is_call:
        proxy.telemetry.count(exchange, sent, status, response, seconds)
    else:  # an upstream's response
        route.counts.add(status << 2, seconds, exchange.writer.bytes_sent, 0 if body is None else body.received)
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
        exchange.runner().finish_last(outcome, pin.release)
    return outcome is None
