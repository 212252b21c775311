"""The reading of upstreams' response heads; `test_repairs` has those that are not valid to the letter."""

from __future__ import annotations

import pytest
from gateway_core.proxy.wire import response_head
from gateway_core.proxy.wire.response_head import CHUNKED, NO_BODY, UNTIL_CLOSE, BadResponseError, ResponseHead

OK = b"HTTP/1.1 200 OK"


def read_response_head(raw: bytes) -> ResponseHead:
    head = response_head.read_response_head(raw + b"\r\n\r\nbody", 1000)
    assert head is not None
    assert head.size == len(raw) + 4
    return head


REFUSED = {
    "no version": b"200 OK",
    "http 2": b"HTTP/2.0 200 OK",
    "no status": b"HTTP/1.1 abc OK",
    "unknown coding": OK + b"\r\nTransfer-Encoding: br",
    "empty length": OK + b"\r\nContent-Length:",
    "length with an empty member": OK + b"\r\nContent-Length: 1,",
    "huge length": OK + b"\r\nContent-Length: " + b"9" * 30,
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=list(REFUSED))
def test_what_has_no_single_reading_is_refused(raw: bytes) -> None:
    with pytest.raises(BadResponseError):
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


def test_the_trailer_field_is_kept_apart_without_what_no_trailer_may_be() -> None:
    head = read_response_head(
        OK + b"\r\nTrailer: X-Sum, Content-Length\r\nTrailer: B, b c\r\nTransfer-Encoding: chunked"
    )

    assert (head.block, head.trailer) == (b"", b"\r\nTrailer: X-Sum, B")


def test_the_trailer_field_ends_here_if_connection_lists_it() -> None:
    assert read_response_head(OK + b"\r\nTrailer: A\r\nConnection: trailer").trailer == b""


@pytest.mark.parametrize("field", [b"Date: x", b"date:x"])
def test_a_date_is_noticed(field: bytes) -> None:
    assert read_response_head(OK + b"\r\n" + field).has_date
    assert not read_response_head(OK + b"\r\nX-" + field).has_date


def test_a_date_that_connection_names_does_not_count() -> None:
    assert not read_response_head(OK + b"\r\nDate: x\r\nConnection: date").has_date


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"HTTP/1.1 2x0 OK\r\n", "its status line is 'HTTP/1.1 2x0 OK'"),
        (b"HTTP/1.1 200 OK\r\nA: b\r\nX Y: secret\r\n", "header field 2 is named 'X Y'"),
        (b"HTTP/1.1 200 OK\r\nsecret\r\n", "header field 1 has no colon"),
        (b"HTTP/1.1 200 OK\r\nA: b\x00secret\r\n", "the value of its field 'A' holds control characters"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n", "its Content-Length is '3' and '4'"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n", "its Transfer-Encoding is 'gzip'"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n",
            "its Transfer-Encoding is 'chunked' beside a Content-Length",
        ),
        (b"HTTP/1.1 200 OK\r\n%b: c\r\n" % (b"(" * 80), f"header field 1 is named '{'(' * 60}'..."),
    ],
)
def test_a_refusal_says_where_and_shows_no_value_but_of_the_framing(head: bytes, reason: str) -> None:
    with pytest.raises(BadResponseError) as refused:
        read_response_head(head + b"\r\n")

    assert str(refused.value) == reason
