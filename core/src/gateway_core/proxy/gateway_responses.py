"""The responses that the gateway gives itself: problem details (RFC 9457) that reveal nothing of what is inside."""

from __future__ import annotations

import math

from gateway_core.events import REQUEST_FAILED, emit
from gateway_core.messages import Response
from gateway_core.messages.trace import TraceContext, trace_id_of
from gateway_core.proxy.response_fields import DateField, own_block, status_line
from gateway_core.reasons import VERSION_UNSUPPORTED

_VERSIONS = "this port speaks HTTP/1.1 and HTTP/1.0 only"
_DETAILS = {
    400: "the request is not valid",
    404: "there is no such resource",
    405: "the method is not allowed for this resource",
    408: "the request took too long",
    413: "the request body is too large",
    414: "the request target is too long",
    417: "the expectation cannot be met",
    431: "the request head is too large",
    500: "the request could not be processed",
    501: "the request asks for what is not supported",
    502: "the upstream did not give a valid response",
    503: "the service is not available at the moment",
    504: "the upstream did not respond in time",
    505: _VERSIONS,
    508: "the request loops between proxies",
}


def report_crash(what: str, request_id: str, error: BaseException, trace: TraceContext | None = None) -> None:
    """Have the log say that the gateway itself failed over a request."""
    text = f"{what} {request_id} failed: {error!r}"
    emit(REQUEST_FAILED, text, error=error, request_id=request_id, trace_id=trace_id_of(trace), reason=repr(error))


def gateway_response(
    status: int, reason: str = "", *, allow: tuple[str, ...] = (), retry_after: float | None = None
) -> Response:
    """Return the gateway's response with a status.

    :param reason: the code of `gateway_core.reasons` why it is given; not shown to clients.
    :param allow: methods of the resource, for 405 (RFC 9110 section 10.2.1).
    :param retry_after: seconds until another attempt may help; rounded up, and never 0.
    """
    detail = _VERSIONS if reason == VERSION_UNSUPPORTED else _DETAILS.get(status, "")
    response = Response.problem(status, detail) if status >= 400 else Response(status)
    response.produced_by = "gateway"
    response.failure = reason or None
    if allow:
        response.headers["Allow"] = ", ".join(allow)
    if retry_after is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(retry_after)))
    return response


def with_request_id(response: Response, body: bytes, request_id: str, trace: TraceContext | None = None) -> bytes:
    """Return a response's whole body; a problem's gets the ids of request and trace as members."""
    if not request_id or not body.endswith(b"}") or not response.is_problem or b'"request_id"' in body:
        return body
    more = b"" if trace is None or b'"trace_id"' in body else b', "trace_id": "%b"' % trace.trace_id.encode()
    return body[:-1] + b', "request_id": "%b"%b}' % (request_id.encode(), more)


def show_own_fields(response: Response, date: DateField, request_id: str) -> None:
    """Give a response the fields that it goes out with, for hooks to see; those that it has stay."""
    headers = response.headers
    has_id = not request_id or "x-request-id" in headers  # before anything is added: a look-up after that costs more
    if "date" not in headers:
        headers.add("Date", date.value())
    if not has_id:
        headers.add("X-Request-Id", request_id)


def closing_response(response: Response, request_id: str, date: bytes) -> bytes:
    """Return a whole response that closes its connection, for connections on which no request is read.

    :param date: the Date field as a block.
    """
    assert isinstance(response.body, bytes), "the gateway's own responses have their body"
    body = with_request_id(response, response.body, request_id)
    return b"%b%b%b\r\nContent-Length: %d\r\nConnection: close\r\nX-Request-Id: %b\r\n\r\n%b" % (
        status_line(response.status, response.reason),
        own_block(response),
        date,
        len(body),
        request_id.encode("latin-1"),
        body,
    )
