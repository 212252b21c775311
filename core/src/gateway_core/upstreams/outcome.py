"""How one attempt to get a response from an endpoint ended.

A response is recorded by its status. One that ends a call of gRPC with an error is a response with the status 200, so
such a call is recorded by its code plus `FIRST_GRPC`; whatever counts statuses is given the one that stands for it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from gateway_core import reasons
from gateway_core.events import UPSTREAM_BAD_RESPONSE, UPSTREAM_CONNECT_TIMEOUT, UPSTREAM_TRUNCATED, Event
from gateway_core.messages.grpc_status import GrpcCode


class Outcome(IntEnum):
    """Ends without a usable response. A response is recorded by its status, so the two share one ``int``."""

    ABANDONED = 0
    """The client left, or the gateway gave up for reasons of its own: not counted for or against the endpoint."""
    CONNECT_FAILURE = 1
    """No connection (refused, unreachable, TLS): nothing of the request was sent."""
    RESET = 2
    """The connection broke, or what came was not HTTP, after something was sent and before a complete response."""
    TIMEOUT = 3
    """No head, or no more of the body, in time."""
    LOCAL = 4
    """This process has no descriptor, port or memory for a connection: not counted against the endpoint."""


FIRST_STATUS: Final = 100
FIRST_SERVER_ERROR: Final = 500
FIRST_GRPC: Final = 1000
"""Outcome of a call of gRPC that ended with ``grpc-status: 0``, which is none: others are recorded as this plus the
code."""

_STATUS_OF_CODE: Final = {
    GrpcCode.CANCELLED: 499,
    GrpcCode.UNKNOWN: 500,
    GrpcCode.INVALID_ARGUMENT: 400,
    GrpcCode.DEADLINE_EXCEEDED: 408,
    GrpcCode.NOT_FOUND: 404,
    GrpcCode.ALREADY_EXISTS: 409,
    GrpcCode.PERMISSION_DENIED: 403,
    GrpcCode.RESOURCE_EXHAUSTED: 429,
    GrpcCode.FAILED_PRECONDITION: 400,
    GrpcCode.ABORTED: 409,
    GrpcCode.OUT_OF_RANGE: 400,
    GrpcCode.UNIMPLEMENTED: 404,
    GrpcCode.INTERNAL: 500,
    GrpcCode.UNAVAILABLE: 503,
    GrpcCode.DATA_LOSS: 500,
    GrpcCode.UNAUTHENTICATED: 401,
}
"""Clients choose methods and deadlines, so UNIMPLEMENTED and DEADLINE_EXCEEDED are no errors of the endpoint here."""


def grpc_outcome(code: GrpcCode) -> int:
    """Return the outcome of a call that ended with an error."""
    return FIRST_GRPC + code


def call_outcome(code: GrpcCode | None, status: int) -> int:
    """Return the outcome of a response that may end a call.

    :param code: None if it ends none.
    """
    return FIRST_GRPC + code if code else status


def code_of(outcome: int) -> GrpcCode | None:
    """Return the code of a call that ended with an error; None for other outcomes."""
    return GrpcCode(outcome - FIRST_GRPC) if outcome >= FIRST_GRPC else None


def status_of(outcome: int) -> int:
    """Return the status of a response, or the one that stands for the code of a call."""
    code = code_of(outcome)
    return outcome if code is None else _STATUS_OF_CODE[code]


FAILURE_REASONS: Final = (
    reasons.CONNECT_FAILURE,
    reasons.CONNECT_TIMEOUT,
    reasons.RESET,
    reasons.TIMEOUT,
    reasons.BAD_RESPONSE,
    reasons.TRUNCATED,
    reasons.LOCAL_ERROR,
)
"""What attempts that fail are counted by."""

_BY_EVENT: Final = {
    UPSTREAM_CONNECT_TIMEOUT: reasons.CONNECT_TIMEOUT,
    UPSTREAM_BAD_RESPONSE: reasons.BAD_RESPONSE,
    UPSTREAM_TRUNCATED: reasons.TRUNCATED,
}
_BY_OUTCOME: Final = {
    Outcome.CONNECT_FAILURE: reasons.CONNECT_FAILURE,
    Outcome.RESET: reasons.RESET,
    Outcome.TIMEOUT: reasons.TIMEOUT,
    Outcome.LOCAL: reasons.LOCAL_ERROR,
}


def reason_of(outcome: int, event: Event | None) -> str | None:
    """Return the reason by which an attempt without a response is counted; None if it did not fail."""
    found = None if event is None else _BY_EVENT.get(event)
    return found or _BY_OUTCOME.get(Outcome(outcome))


BLAMELESS: Final = frozenset({Outcome.ABANDONED, Outcome.LOCAL})
"""Outcomes that do not count for or against the endpoint."""


def is_server_error(outcome: int) -> bool:
    """Tell whether the endpoint responded, and with 5xx."""
    return outcome >= FIRST_SERVER_ERROR
