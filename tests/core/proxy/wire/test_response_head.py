"""The strict reading of upstreams' answer heads."""

from __future__ import annotations

import pytest
from gateway_core.proxy.wire.response_head import CHUNKED, NO_BODY, UNTIL_CLOSE, BadAnswerError, read_response_head

OK = b"HTTP/1.1 200 OK"

REFUSED = {
    "no version": b"200 OK",
    "other protocol": b"ICY 200 OK",
    "http 2": b"HTTP/2.0 200 OK",
    "http 1.2": b"HTTP/1.2 200 OK",
    "short status": b"HTTP/1.1 20 OK",
    "long status": b"HTTP/1.1 2000 OK",
    "low status": b"HTTP/1.1 099 OK",
    "no status": b"HTTP/1.1 abc OK",
    "two spaces": b"HTTP/1.1  200 OK",
    "control character in the reason": b"HTTP/1.1 200 O\x01K",
    "bare lf": b"HTTP/1.1 200 OK\nA: b",
    "length and coding": OK + b"\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
    "two lengths": OK + b"\r\nContent-Length: 1\r\nContent-Length: 2",
    "two equal lengths": OK + b"\r\nContent-Length: 1\r\nContent-Length: 1",
    "listed length": OK + b"\r\nContent-Length: 1, 1",
    "negative length": OK + b"\r\nContent-Length: -1",
    "unknown coding": OK + b"\r\nTransfer-Encoding: gzip, chunked",
    "coding in 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked",
    "space before the colon": OK + b"\r\nA : b",
    "nul": OK + b"\r\nA: \0",
    "folded": OK + b"\r\nA: b\r\n c",
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=list(REFUSED))
def test_what_has_no_single_reading_is_refused(raw: bytes) -> None:
    with pytest.raises(BadAnswerError):
        read_response_head(raw)


@pytest.mark.parametrize(
    ("raw", "length"),
    [
        (OK, UNTIL_CLOSE),
        (OK + b"\r\nContent-Length: 7", 7),
        (OK + b"\r\nTransfer-Encoding: Chunked", CHUNKED),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 7", NO_BODY),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7", NO_BODY),
        (b"HTTP/1.1 103 Early Hints", NO_BODY),
    ],
)
def test_how_the_body_is_framed(raw: bytes, length: int) -> None:
    assert read_response_head(raw).length == length


@pytest.mark.parametrize(
    ("raw", "keep_alive"),
    [
        (OK, True),
        (OK + b"\r\nConnection: close", False),
        (b"HTTP/1.0 200 OK", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive", True),
    ],
)
def test_whether_the_connection_may_be_used_again(raw: bytes, keep_alive: bool) -> None:
    assert read_response_head(raw).keep_alive is keep_alive


@pytest.mark.parametrize("raw", [b"HTTP/1.1 200", b"HTTP/1.1 200 "])
def test_the_reason_may_be_missing(raw: bytes) -> None:
    assert read_response_head(raw).status == 200


def test_hop_by_hop_and_listed_fields_and_the_length_do_not_go_on() -> None:
    head = read_response_head(
        OK + b"\r\nA: 1\r\nConnection: x-mine\r\nX-Mine: 2\r\nKeep-Alive: 3\r\nContent-Length: 4\r\nB: 5"
    )

    assert head.block == b"\r\nA: 1\r\nB: 5"
