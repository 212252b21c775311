from __future__ import annotations

import pytest
from gateway_core.messages.grpc_status import GrpcCode, GrpcStatus, read_code, read_status


@pytest.mark.parametrize(
    ("block", "code"),
    [
        (b"\r\ngrpc-status: 0", GrpcCode.OK),
        (b"\r\na: b\r\nGrpc-Status:14\r\nc: d", GrpcCode.UNAVAILABLE),
        (b"\r\ngrpc-status: 17", GrpcCode.UNKNOWN),
        (b"\r\ngrpc-status: -1", GrpcCode.UNKNOWN),
        (b"\r\ngrpc-status: ", GrpcCode.UNKNOWN),
        (b"\r\ngrpc-status: 99999999999999999999", GrpcCode.UNKNOWN),
        (b"\r\ngrpc-status-details-bin: AA==", None),
        (b"\r\nx-grpc-status: 0", None),
        (b"", None),
    ],
)
def test_a_code_is_read_of_fields_and_what_is_none_is_unknown(block: bytes, code: GrpcCode | None) -> None:
    assert read_code(block) is code


def test_a_message_is_percent_decoded() -> None:
    block = b"\r\ngrpc-status: 9\r\ngrpc-message: not now: %C3%A9%0A "

    assert read_status(block) == GrpcStatus(GrpcCode.FAILED_PRECONDITION, "not now: \u00e9\n")


def test_a_message_without_a_code_is_no_status() -> None:
    assert read_status(b"\r\ngrpc-message: a") is None
