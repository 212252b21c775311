"""What the log phase is told of an exchange."""

from __future__ import annotations

from typing import Final

from gateway_core.messages import Record, Response
from gateway_core.proxy.relay import Relay
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.response_writer import ResponseWriter

CLIENT_LEFT: Final = 499
"""Status in logs of a request whose client left before there was a response."""


def make_record(
    relay: Relay | None, response: Response | None, writer: ResponseWriter, body: RequestBody | None, duration: float
) -> Record:
    """Return a record of what was sent and received, and of the attempts.

    :param response: what the client was sent; None if that was the upstream's response as it came.
    :param duration: seconds since the request's head was complete.
    """
    if relay is None:
        record = Record()
    else:
        call, head, responded = relay.upstream_request, relay.response_head, None
        if head is not None and call.endpoint is not None:
            responded = (call.endpoint, head.status, call.upstream_seconds)
        record = Record(call.attempts, responded)
        record.upstream = call.upstream.name
        if call.responded_at:
            record.upstream_duration = call.responded_at - call.first_picked_at
    record.duration = duration
    record.bytes_sent = writer.bytes_sent
    if body is not None:
        record.bytes_received = body.received
    if response is None or response.is_streamed:
        record.produced_by = "upstream"
    elif response.produced_by:
        record.produced_by = response.produced_by
    return record


def response_of(relay: Relay | None) -> Response:
    """Return the upstream's response as hooks see it; one with `CLIENT_LEFT` if there was none."""
    head = None if relay is None else relay.response_head
    if head is not None:
        return Response.streamed(head.status, head.reason, head.block)
    response = Response(CLIENT_LEFT)
    response.reason = "Client Closed Request"
    return response
