"""What a gateway knows of gRPC."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from gateway_core.proxy.wire.grpc import (
    has_own_deadline,
    is_call,
    is_grpc,
    message_for,
    pushback_of,
    status_for,
    timeout_of,
    timeout_value,
    total_of,
    with_previous_attempts,
)
from gateway_core.proxy.wire.request_head import RequestHead, read_head
from hypothesis import given
from hypothesis import strategies as st


def head(fields: str, *, http2: bool = True) -> RequestHead:
    found = read_head(f"POST /a HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n".encode(), 0, 65536, 100)
    assert isinstance(found, RequestHead)
    if http2:
        found.came_over_http2(has_body=True)
    return found


@pytest.mark.parametrize(
    ("content_type", "grpc", "call"),
    [
        ("application/grpc", True, True),
        ("application/grpc+proto", True, True),
        ("Application/gRPC; a=b", True, True),
        ("application/grpc-web", True, False),
        ("application/grpcx", False, False),
        ("text/plain", False, False),
    ],
)
def test_calls_are_known_by_their_content_type(content_type: str, grpc: bool, call: bool) -> None:
    found = head(f"Content-Type: {content_type}")
    assert (is_grpc(found), is_call(found)) == (grpc, call)
    assert not is_call(head(f"Content-Type: {content_type}", http2=False))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("1H", 3600), ("2M", 120), ("3S", 3), ("4m", 0.004), ("5u", 5e-6), ("6n", 6e-9), ("99999999S", 99999999)],
)
def test_the_timeout_of_a_call_is_read(value: str, seconds: float) -> None:
    assert timeout_of(head(f"Content-Type: application/grpc\r\ngrpc-timeout: {value}")) == pytest.approx(seconds)


@pytest.mark.parametrize("total", [0.0, 10.0])
def test_a_timeout_of_nothing_is_not_taken_for_no_limit(total: float) -> None:
    assert 0 < total_of(head("Content-Type: application/grpc\r\ngrpc-timeout: 0m"), total) < 1e-6


@pytest.mark.parametrize("value", ["", "S", "1", "1x", "123456789S", "-1S", "1.5S", "1SS"])
def test_what_is_no_timeout_is_none(value: str) -> None:
    assert timeout_of(head(f"Content-Type: application/grpc\r\ngrpc-timeout: {value}")) is None


@given(st.floats(1e-9, 1e9))
def test_a_timeout_that_is_sent_on_is_read_as_no_more_than_it_is(seconds: float) -> None:
    again = timeout_of(head(f"Content-Type: application/grpc\r\ngrpc-timeout: {timeout_value(seconds)}"))
    assert again is not None
    assert again <= max(seconds, 1e-9) * 1.000001
    assert again >= min(seconds, 3.5e11) * 0.98 - 1e-9


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [
        (400, None, 13),
        (401, None, 16),
        (403, None, 7),
        (404, "no-route", 12),
        (413, "body-too-large", 8),
        (429, None, 14),
        (431, "head-too-large", 8),
        (500, "plugin.failed", 2),
        (502, "upstream.reset", 14),
        (503, "upstream.unavailable", 14),
        (503, "limits.max-requests", 8),
        (503, "upstream.overloaded", 8),
        (504, "request-timeout", 4),
        (504, "upstream.timeout", 4),
        (504, None, 14),
        (418, None, 2),
    ],
)
def test_a_status_of_http_has_one_of_grpc(status: int, reason: str | None, code: int) -> None:
    assert status_for(status, reason) == code


@given(st.text(max_size=40))
def test_a_message_is_printable_and_says_the_same(detail: str) -> None:
    encoded = message_for(418, detail or "x")
    assert encoded.isascii()
    assert encoded.isprintable()
    assert (
        unquote(encoded) == (detail or "x").encode("utf-8", "replace").decode() or max(detail, default="") >= "\ud800"
    )


def test_a_status_without_a_detail_is_named() -> None:
    assert message_for(404) == "Not Found"
    assert message_for(777) == "HTTP status 777"


CALL = "Content-Type: application/grpc\r\ngrpc-timeout: 5S"


@pytest.mark.parametrize(("total", "is_own"), [(0, True), (6, True), (5, False), (4, False)])
def test_a_deadline_is_the_clients_if_it_is_sooner_than_the_configured_one(total: float, is_own: bool) -> None:
    assert has_own_deadline(head(CALL), total) is is_own
    assert not has_own_deadline(head(CALL, http2=False), total)
    assert not has_own_deadline(head("Content-Type: application/grpc"), total)


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        (b"\r\ngrpc-retry-pushback-ms: 1500", 1.5),
        (b"\r\ngrpc-retry-pushback-ms:0\r\na: b", 0),
        (b"\r\ngrpc-retry-pushback-ms: -1", -1),
        (b"\r\ngrpc-retry-pushback-ms: soon", -1),
        (b"\r\ngrpc-retry-pushback-ms: 1.5", -1),
        (b"\r\ngrpc-status: 14", None),
    ],
)
def test_a_pushback_is_read_and_what_is_none_means_no_retry(fields: bytes, seconds: float | None) -> None:
    assert pushback_of(fields) == seconds


SENT = b"POST /a HTTP/1.1\r\nHost: x\r\n%bcontent-type: application/grpc\r\n\r\nbody"


@pytest.mark.parametrize(
    ("sent", "count", "expected"),
    [
        (SENT % b"", 2, b"\r\ngrpc-previous-rpc-attempts: 2\r\n\r\nbody"),
        (SENT % b"Grpc-Previous-Rpc-Attempts: 3\r\n", 2, b"\r\ngrpc-previous-rpc-attempts: 5\r\n\r\nbody"),
        (SENT % b"", 0, None),
        (b"POST /a HTTP/1.1\r\nHost: x\r\ncontent-type: application/json\r\n\r\n", 2, None),
        (b"POST /a HTTP/1.1\r\nHost: x\r\n\r\ncontent-type: application/grpc", 2, None),
    ],
)
def test_a_retry_of_a_call_says_how_many_attempts_came_before(sent: bytes, count: int, expected: bytes | None) -> None:
    changed = with_previous_attempts(sent, count)

    assert changed.lower().count(b"grpc-previous-rpc-attempts") == (expected is not None)
    assert changed == sent if expected is None else changed.endswith(expected)
