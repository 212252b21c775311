"""Whole answers as bytes, for connections that have no request that could be answered in the pipeline."""

from __future__ import annotations

from gateway_core.messages import Response
from gateway_core.proxy.answer_head import own_block, status_line
from gateway_core.proxy.gateway_responses import with_request_id


def plain_answer(response: Response, request_id: str, date: bytes = b"", *, is_head: bool = False) -> bytes:
    """Return an answer that closes its connection, as bytes; the id is in its head and in a problem's members.

    :param date: the Date field as a block.
    :param is_head: whether a HEAD is answered: the body is left out (RFC 9110 section 9.3.2).
    """
    body = with_request_id(response, request_id)
    return b"%b%b%b\r\nContent-Length: %d\r\nConnection: close\r\nX-Request-Id: %b\r\n\r\n%b" % (
        status_line(response.status, response.reason),
        own_block(response),
        date,
        len(body),
        request_id.encode("latin-1"),
        b"" if is_head else body,
    )
