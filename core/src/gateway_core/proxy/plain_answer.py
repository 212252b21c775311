"""Whole answers as bytes, for connections that have no request that could be answered in the pipeline."""

from __future__ import annotations

from gateway_core.messages import Response
from gateway_core.proxy.answer_head import own_block, status_line


def plain_answer(response: Response) -> bytes:
    """Return an answer that closes its connection, as bytes."""
    return b"".join(
        (
            status_line(response.status, response.reason),
            own_block(response),
            b"\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(response.body),
            response.body,
        )
    )
