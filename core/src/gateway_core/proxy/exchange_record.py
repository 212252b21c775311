"""What the log phase is told of an exchange."""

from __future__ import annotations

from typing import Final

from gateway_core.messages import Record, Response
from gateway_core.proxy.upstream_request import UpstreamRequest
from gateway_core.proxy.wire.response_head import ResponseHead

CLIENT_LEFT: Final = 499
"""Status in logs of a request whose client left before there was a response."""


def make_record(
    upstream_request: UpstreamRequest | None, head: ResponseHead | None, response: Response | None, duration: float
) -> Record:
    """Return a record with everything that the upstream's side knows.

    :param head: that of the upstream's response.
    :param response: what the client was sent; None if that was the upstream's response as it came.
    :param duration: seconds since the request's head was complete.
    """
    if upstream_request is None:
        record = Record()
    else:
        responded = None
        if head is not None and upstream_request.endpoint is not None:
            responded = (upstream_request.endpoint, head.status, upstream_request.upstream_seconds)
        record = Record(upstream_request.attempts, responded)
        record.upstream = upstream_request.upstream.name
        if upstream_request.responded_at:
            record.upstream_duration = upstream_request.responded_at - upstream_request.first_picked_at
    record.duration = duration
    if response is None or response.is_streamed:
        record.produced_by = "upstream"
    elif response.produced_by:
        record.produced_by = response.produced_by
    return record
