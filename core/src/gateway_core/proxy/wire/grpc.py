"""What a gateway has to know of gRPC: which requests are calls, its deadline, and how a call is refused.

A client of gRPC reads the outcome of a call in ``grpc-status``, among the trailers or, where there is nothing else to
say, in the head (a *trailers-only* response: 200, and the end of the stream). So whatever the gateway or a plugin
responds in place of the upstream becomes that, with the status of gRPC that stands for the one of HTTP.

    https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
    https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from gateway_core.messages.grpc_status import GrpcCode
from gateway_core.proxy.wire.request_fields import RequestFacts
from gateway_core.proxy.wire.request_head import RequestHead
from gateway_core.reasons import (
    BODY_TOO_LARGE,
    BODY_TOO_SLOW,
    CONNECT_TIMEOUT,
    HEAD_TOO_LARGE,
    LIMIT_CONNECTIONS,
    LIMIT_REQUESTS,
    OVERLOADED,
    REQUEST_TIMEOUT,
    SHUTTING_DOWN,
    TIMEOUT,
)

# Looked for first, by `find`: every request with a body is asked, few are calls, and `in` takes several times as long.
_GRPC: Final = b"application/grpc"
_CALL: Final = re.compile(rb"\r\ncontent-type:[ \t]*application/grpc\b")
_CALL_OF_HTTP2: Final = re.compile(rb"\r\ncontent-type:[ \t]*application/grpc(?=[+;\r ]|\Z)")
_TIMEOUT: Final = re.compile(rb"\r\ngrpc-timeout:[ \t]*([0-9]{1,8})([HMSmun])(?=[ \t\r]|\Z)")
_SENT_CALL: Final = re.compile(rb"\r\ncontent-type:[ \t]*application/grpc(?=[+;\r ]|\Z)", re.IGNORECASE)
_ATTEMPTS: Final = re.compile(rb"\r\ngrpc-previous-rpc-attempts:[ \t]*([0-9]{1,6})[ \t]*(?=\r)", re.IGNORECASE)
_PUSHBACK: Final = re.compile(rb"\r\ngrpc-retry-pushback-ms:[ \t]*([0-9]{1,9})[ \t]*(?=\r|\Z)")
_UNITS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_SHORTEST: Final = 1e-9
"""Seconds that a call has at least."""

_BY_REASON: Final = {
    BODY_TOO_LARGE: GrpcCode.RESOURCE_EXHAUSTED,
    HEAD_TOO_LARGE: GrpcCode.RESOURCE_EXHAUSTED,
    LIMIT_REQUESTS: GrpcCode.RESOURCE_EXHAUSTED,
    LIMIT_CONNECTIONS: GrpcCode.RESOURCE_EXHAUSTED,
    OVERLOADED: GrpcCode.RESOURCE_EXHAUSTED,
    REQUEST_TIMEOUT: GrpcCode.DEADLINE_EXCEEDED,
    BODY_TOO_SLOW: GrpcCode.DEADLINE_EXCEEDED,
    TIMEOUT: GrpcCode.DEADLINE_EXCEEDED,
    CONNECT_TIMEOUT: GrpcCode.DEADLINE_EXCEEDED,
    SHUTTING_DOWN: GrpcCode.UNAVAILABLE,
}
_BY_STATUS: Final = {
    400: GrpcCode.INTERNAL,
    401: GrpcCode.UNAUTHENTICATED,
    403: GrpcCode.PERMISSION_DENIED,
    404: GrpcCode.UNIMPLEMENTED,
    413: GrpcCode.RESOURCE_EXHAUSTED,
    429: GrpcCode.UNAVAILABLE,
    502: GrpcCode.UNAVAILABLE,
    503: GrpcCode.UNAVAILABLE,
    504: GrpcCode.UNAVAILABLE,
}


def _read(facts: RequestFacts) -> tuple[bool, float | None] | None:
    """Return what fields say of a call, read once (see `RequestFacts.call`); None if they are not those of one."""
    call = facts.call
    if call is None:
        lowered = facts.lowered
        if lowered.find(_GRPC) < 0 or _CALL.search(lowered) is None:
            return None
        found = _TIMEOUT.search(facts.block)
        timeout = None if found is None else max(_SHORTEST, int(found[1]) * _UNITS[found[2]])
        call = _CALL_OF_HTTP2.search(lowered) is not None, timeout
        facts.know_call(call)
    return call


def is_grpc(head: RequestHead) -> bool:
    """Return whether a request is a call of gRPC or gRPC-Web, over any protocol."""
    return _read(head.facts) is not None


def is_call(head: RequestHead) -> bool:
    """Return whether a request is a call of gRPC, which only HTTP/2 can carry."""
    return head.version == "2" and (call := _read(head.facts)) is not None and call[0]


def timeout_of(head: RequestHead) -> float | None:
    """Return the seconds that a call may take, never 0, which would be no limit; None if there is no such call."""
    if not head.says_timeout:
        return None
    call = _read(head.facts)
    return call[1] if call is not None and call[0] else None


def total_of(head: RequestHead, total: float) -> float:
    """Return the seconds that a request may take in all; 0 is no limit.

    :param total: what is configured.
    """
    seconds = timeout_of(head)
    return total if seconds is None else min(seconds, total) if total else seconds


def has_own_deadline(head: RequestHead, total: float) -> bool:
    """Return whether a call has to be over sooner than every request.

    :param total: seconds that are configured; 0 is no limit.
    """
    seconds = timeout_of(head)
    return seconds is not None and (not total or seconds < total)


def pushback_of(block: bytes) -> float | None:
    """Return the seconds after which an endpoint allows a retry, negative if it wants none; None if it says nothing.

    What is no number of milliseconds means no retry (gRFC A6).
    """
    if b"\r\ngrpc-retry-pushback-ms:" not in block:
        return None
    found = _PUSHBACK.search(block)
    return -1.0 if found is None else int(found[1]) / 1000


def with_previous_attempts(data: bytes, count: int) -> bytes:
    """Return a request that says how many attempts were made before, if it is a call.

    :param data: begins with the head as it would go over HTTP/1.
    :param count: attempts of the gateway's, added to those of the client.
    """
    end = data.index(b"\r\n\r\n")
    head = data[:end]
    if not count or _SENT_CALL.search(head) is None:
        return data
    found = _ATTEMPTS.search(head + b"\r\n")
    if found is not None:
        count += int(found[1])
        head = head[: found.start()] + head[found.end() :]
    return b"%b\r\ngrpc-previous-rpc-attempts: %d%b" % (head, count, data[end:])


def timeout_value(seconds: float) -> str:
    """Return what ``grpc-timeout`` says for so many seconds, never 0."""
    for unit, size in (("n", 1e-9), ("u", 1e-6), ("m", 1e-3), ("S", 1.0), ("M", 60.0)):
        count = max(1, int(seconds / size))
        if count < 100_000_000:
            return f"{count}{unit}"
    return f"{min(99_999_999, int(seconds / 3600))}H"


def status_for(status: int, reason: str | None) -> GrpcCode:
    """Return the status of gRPC for a response that is not the upstream's.

    :param reason: the code of `gateway_core.reasons`, if there is one.
    """
    return _BY_REASON.get(reason or "", _BY_STATUS.get(status, GrpcCode.UNKNOWN))


def code_within(head: RequestHead, reason: str) -> GrpcCode | None:
    """Return the status with which a response that has begun ends for a reason; None if it can only be cut off."""
    return _BY_REASON.get(reason) if reason in _BY_REASON and is_call(head) else None


def status_trailers(code: GrpcCode, detail: str) -> bytes:
    """Return the block of the trailers of a call that ends here."""
    return f"\r\ngrpc-status: {int(code)}\r\ngrpc-message: {message_for(0, detail)}".encode()


def problem_detail(body: object) -> str:
    """Return the detail of a problem (RFC 9457), or its title; empty if it has none."""
    if not isinstance(body, bytes):
        return ""
    try:
        members = json.loads(body)
    except ValueError:
        return ""
    found = members.get("detail") or members.get("title") if isinstance(members, dict) else ""
    return found if isinstance(found, str) else ""


def message_for(status: int, detail: str = "") -> str:
    """Return ``grpc-message``, percent-encoded.

    :param detail: what clients may know; the status in words unless given.
    """
    if not detail:
        try:
            detail = HTTPStatus(status).phrase
        except ValueError:
            detail = f"HTTP status {status}"
    return quote(detail, safe=" !\"#$&'()*+,/:;<=>?@[]^`{|}\\")
