"""What the log phase is told of an exchange."""

from __future__ import annotations

from typing import Final, Protocol

from gateway_core.messages import Record, Response
from gateway_core.proxy.exchange_host import ExchangeHost
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.response_writer import ResponseWriter
from gateway_core.proxy.upstream_request import UpstreamRequest
from gateway_core.proxy.wire.response_head import ResponseHead

CLIENT_LEFT: Final = 499
"""Status in logs of a request whose client left before there was a response."""


class Responded(Protocol):
    """What sent the request upstream."""

    upstream_request: UpstreamRequest
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
        call, head, responded = relay.upstream_request, relay.response_head, None
        first_picked_at, picked_at, responded_at = call.times
        endpoint = call.endpoint
        if head is not None and endpoint is not None:
            responded = (endpoint, head.status, responded_at - picked_at)
        record = Record(call.attempts, responded)
        record.upstream = call.upstream.name
        if responded_at:
            record.upstream_duration = responded_at - first_picked_at
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
