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

from gateway_core.messages.received import RequestHead
from gateway_core.reasons import (
    BODY_TOO_LARGE,
    BODY_TOO_SLOW,
    CONNECT_TIMEOUT,
    HEAD_TOO_LARGE,
    LIMIT_CONNECTIONS,
    LIMIT_REQUESTS,
    OVERLOADED,
    REQUEST_TIMEOUT,
    TIMEOUT,
)

_CALL: Final = re.compile(rb"\r\ncontent-type:[ \t]*application/grpc\b")
_CALL_OF_HTTP2: Final = re.compile(rb"\r\ncontent-type:[ \t]*application/grpc(?=[+;\r ]|\Z)")
_TIMEOUT: Final = re.compile(rb"\r\ngrpc-timeout:[ \t]*([0-9]{1,8})([HMSmun])(?=[ \t\r]|\Z)")
_UNITS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}

UNKNOWN: Final = 2
DEADLINE_EXCEEDED: Final = 4
PERMISSION_DENIED: Final = 7
RESOURCE_EXHAUSTED: Final = 8
UNIMPLEMENTED: Final = 12
INTERNAL: Final = 13
UNAVAILABLE: Final = 14
UNAUTHENTICATED: Final = 16

_BY_REASON: Final = {
    BODY_TOO_LARGE: RESOURCE_EXHAUSTED,
    HEAD_TOO_LARGE: RESOURCE_EXHAUSTED,
    LIMIT_REQUESTS: RESOURCE_EXHAUSTED,
    LIMIT_CONNECTIONS: RESOURCE_EXHAUSTED,
    OVERLOADED: RESOURCE_EXHAUSTED,
    REQUEST_TIMEOUT: DEADLINE_EXCEEDED,
    BODY_TOO_SLOW: DEADLINE_EXCEEDED,
    TIMEOUT: DEADLINE_EXCEEDED,
    CONNECT_TIMEOUT: DEADLINE_EXCEEDED,
}
_BY_STATUS: Final = {
    400: INTERNAL,
    401: UNAUTHENTICATED,
    403: PERMISSION_DENIED,
    404: UNIMPLEMENTED,
    413: RESOURCE_EXHAUSTED,
    429: UNAVAILABLE,
    502: UNAVAILABLE,
    503: UNAVAILABLE,
    504: UNAVAILABLE,
}


def is_grpc(head: RequestHead) -> bool:
    """Return whether a request is a call of gRPC or gRPC-Web, over any protocol."""
    return _CALL.search(head.facts.lowered) is not None


def is_call(head: RequestHead) -> bool:
    """Return whether a request is a call of gRPC, which only HTTP/2 can carry."""
    lowered = head.facts.lowered
    # The plain search first: it is asked of every request over HTTP/2, and takes a tenth of the time.
    return head.version == "2" and b"application/grpc" in lowered and _CALL_OF_HTTP2.search(lowered) is not None


def timeout_of(head: RequestHead) -> float | None:
    """Return the seconds that a call may take; None if its client does not say."""
    found = _TIMEOUT.search(head.facts.block)
    return None if found is None else int(found[1]) * _UNITS[found[2]]


def total_of(head: RequestHead, total: float) -> float:
    """Return the seconds that a request may take in all; 0 is no limit.

    :param total: what is configured.
    """
    seconds = timeout_of(head) if is_call(head) else None
    return total if seconds is None else min(seconds, total) if total else seconds


def timeout_value(seconds: float) -> str:
    """Return what ``grpc-timeout`` says for so many seconds, never 0."""
    for unit, size in (("n", 1e-9), ("u", 1e-6), ("m", 1e-3), ("S", 1.0), ("M", 60.0)):
        count = max(1, int(seconds / size))
        if count < 100_000_000:
            return f"{count}{unit}"
    return f"{min(99_999_999, int(seconds / 3600))}H"


def status_for(status: int, reason: str | None) -> int:
    """Return the status of gRPC for a response that is not the upstream's.

    :param reason: the code of `gateway_core.reasons`, if there is one.
    """
    return _BY_REASON.get(reason or "", _BY_STATUS.get(status, UNKNOWN))


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
