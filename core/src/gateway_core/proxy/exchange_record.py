"""What the log phase is told of an exchange."""

from __future__ import annotations

from typing import Final, Protocol

from gateway_core.messages import Record, Response
from gateway_core.proxy.attempt import Attempt
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.response_writer import ResponseWriter
from gateway_core.proxy.running_exchange import ExchangeHost
from gateway_core.proxy.wire.response_head import ResponseHead

CLIENT_LEFT: Final = 499
"""Status in logs of a request whose client left before there was a response."""


class Responded(Protocol):
    """What sent the request upstream."""

    attempt: Attempt
    response_head: ResponseHead | None


class EndedExchange(Protocol):
    """An exchange at its end."""

    aborted: str | None
    body: RequestBody | None
    error: str | None
    proxy: ExchangeHost
    reason: str | None
    tunnel_bytes: tuple[int, int] | None
    writer: ResponseWriter


def make_record(exchange: EndedExchange, relay: Responded | None, response: Response | None, duration: float) -> Record:
    """Return a record of what was sent and received, and of the attempts.

    :param response: what the client was sent; None if that was the upstream's response as it came.
    :param duration: seconds since the request's head was complete.
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
    record.started_at = exchange.proxy.wall() - duration
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
