"""The outcomes of calls of gRPC: their codes and names, and how they are read of fields.

A call's outcome is ``grpc-status`` in the trailers of its response or, in a *trailers-only* response, in the head with
which the stream ends. ``grpc-message`` says more, percent-encoded.

    https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Final, NamedTuple
from urllib.parse import unquote


class GrpcCode(IntEnum):
    """What ``grpc-status`` says."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class GrpcStatus(NamedTuple):
    """How a call ended."""

    code: GrpcCode
    message: str


_STATUS: Final = re.compile(rb"\r\ngrpc-status:[ \t]*([0-9]{1,9})[ \t]*(?=\r|\Z)", re.IGNORECASE)
_MESSAGE: Final = re.compile(rb"\r\ngrpc-message:([^\r]*)", re.IGNORECASE)


_CODES: Final = tuple(GrpcCode)
_OK: Final = {b"\r\ngrpc-status: 0", b"\r\ngrpc-status: 0\r\ngrpc-message: "}
"""What nearly all calls end with."""


def read_code(block: bytes) -> GrpcCode | None:
    """Return the code in a block of fields; None if there is none.

    What is no code counts as UNKNOWN, as clients of gRPC have it.

    :param block: lines, each with a CRLF before it.
    """
    if block in _OK:
        return GrpcCode.OK
    found = _STATUS.search(block)
    if found is None:
        return GrpcCode.UNKNOWN if b"\r\ngrpc-status:" in block else None
    number = int(found[1])
    return _CODES[number] if number < len(_CODES) else GrpcCode.UNKNOWN


def read_status(block: bytes) -> GrpcStatus | None:
    """Return code and message in a block of fields; None if there is no code."""
    code, found = read_code(block), _MESSAGE.search(block)
    if code is None:
        return None
    return GrpcStatus(code, "" if found is None else unquote(found[1].decode("latin-1").strip(" \t")))
