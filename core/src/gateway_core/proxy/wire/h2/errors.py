"""What ends a connection or a stream of HTTP/2 (RFC 9113 sections 5.4 and 7)."""

from __future__ import annotations

from enum import IntEnum


class ErrorCode(IntEnum):
    """Why a stream is reset or a connection ends, as it goes over the wire (RFC 9113 section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


_NAMES = {int(code): code.name for code in ErrorCode}


def name_of(code: int) -> str:
    """Return the name of a code that came from a peer, or its number if it has none."""
    return _NAMES.get(code, str(code))


class Http2ConnectionError(Exception):
    """The peer broke a rule that costs it the connection: it gets a GOAWAY with the code, and nothing more is read."""

    def __init__(self, code: ErrorCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class Http2StreamError(Exception):
    """The peer broke a rule that costs it one stream: it gets a RST_STREAM with the code."""

    def __init__(self, stream: int, code: ErrorCode, detail: str) -> None:
        super().__init__(detail)
        self.stream = stream
        self.code = code
        self.detail = detail
