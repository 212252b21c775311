"""Fields of HTTP/2 as a head of HTTP/1.1."""

from __future__ import annotations

from math import inf

import pytest
from gateway_core.proxy.wire.h2 import fields
from gateway_core.proxy.wire.h2.fields import (
    MalformedFieldsError,
    encode_request,
    request_fields,
    response_fields,
    trailer_fields,
)
from gateway_core.proxy.wire.h2.hpack import Decoder, Field, field

_GET = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a.example"), (b":path", b"/x?y=1")]


def made(*pairs: tuple[bytes, bytes]) -> list[Field]:
    return [field(*pair) for pair in pairs]


def test_a_request_becomes_a_head_of_http_1() -> None:
    found = request_fields(made(*_GET, (b"accept", b"*/*"), (b"x-a", b"1")))
    assert found.line == b"GET /x?y=1 HTTP/1.1"
    assert found.block == b"\r\nHost: a.example\r\naccept: */*\r\nx-a: 1"
    assert (found.scheme, found.protocol) == (b"https", None)


def test_crumbs_of_cookies_are_joined() -> None:
    found = request_fields(made(*_GET, (b"cookie", b"a=1"), (b"x-a", b"1"), (b"cookie", b"b=2")))
    assert found.block == b"\r\nHost: a.example\r\nx-a: 1\r\ncookie: a=1; b=2"


def test_host_stands_for_a_missing_authority() -> None:
    found = request_fields(made(_GET[0], _GET[1], _GET[3], (b"host", b"b.example")))
    assert found.block == b"\r\nHost: b.example"


def test_host_may_say_the_authority_again() -> None:
    assert request_fields(made(*_GET, (b"host", b"A.example"))).block == b"\r\nHost: a.example"


def test_an_asterisk_is_for_options() -> None:
    pairs = [(b":method", b"OPTIONS"), _GET[1], _GET[2], (b":path", b"*")]
    assert request_fields(made(*pairs)).line == b"OPTIONS * HTTP/1.1"


def test_an_extended_connect_asks_for_a_protocol() -> None:
    found = request_fields(made((b":method", b"CONNECT"), (b":protocol", b"websocket"), *_GET[1:]))
    assert found.line == b"GET /x?y=1 HTTP/1.1"
    assert found.protocol == b"websocket"


def test_connect_names_an_authority_alone() -> None:
    found = request_fields(made((b":method", b"CONNECT"), (b":authority", b"a.example:443")))
    assert found.line == b"CONNECT a.example:443 HTTP/1.1"


def test_a_request_for_an_endpoint_is_what_it_would_be_over_http_1() -> None:
    head = (
        b"POST /a?b HTTP/1.1\r\nHost: a.example\r\nX-A: 1\r\nTE: trailers\r\nConnection: TE\r\n"
        b"Transfer-Encoding: chunked\r\ngrpc-timeout: 9S\r\nX-Request-Id: r\r\n\r\n"
    )
    found = [(name, value) for name, value, *_ in Decoder().decode(encode_request(head, b"https", lambda: 2.5))]
    assert found == [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":path", b"/a?b"),
        (b":authority", b"a.example"),
        (b"x-a", b"1"),
        (b"te", b"trailers"),
        (b"grpc-timeout", b"2500000u"),
        (b"x-request-id", b"r"),
    ]


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        (b"content-type: application/grpc", 1),
        (b"Content-Type: application/grpc+proto\r\nTE: trailers", 1),
        (b"content-type: application/json", 0),
    ],
)
def test_a_call_of_grpc_takes_trailers_whatever_its_client_said(fields: bytes, count: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\nX-Request-Id: r\r\n\r\n" % fields

    found = [(name, value) for name, value, *_ in Decoder().decode(encode_request(head, b"http"))]

    assert found.count((b"te", b"trailers")) == count


@pytest.mark.parametrize(
    "pairs",
    [
        _GET[1:],
        [_GET[0], *_GET[2:]],
        _GET[:3],
        [*_GET, _GET[0]],
        [*_GET, (b":status", b"200")],
        [*_GET, (b":unknown", b"x")],
        [*_GET[:3], (b"x-a", b"1"), _GET[3]],
        [*_GET, (b"X-Upper", b"1")],
        [*_GET, (b"connection", b"close")],
        [*_GET, (b"transfer-encoding", b"chunked")],
        [*_GET, (b"te", b"gzip")],
        [*_GET, (b"host", b"other.example")],
        [*_GET, (b"host", b"a.example"), (b"host", b"a.example")],
        [*_GET[:3], (b":path", b"")],
        [*_GET[:3], (b":path", b"x")],
        [*_GET[:3], (b":path", b"*")],
        [*_GET[:3], (b":path", b"http://a.example/")],
        [*_GET[:3], (b":path", b"/a HTTP/1.1")],
        [(b":method", b"GET /x HTTP/1.1"), *_GET[1:]],
        [*_GET[:2], (b":authority", b"user@a.example"), _GET[3]],
        [*_GET, (b":protocol", b"websocket")],
        [(b":method", b"CONNECT"), *_GET[1:]],
        [(b":method", b"CONNECT"), (b":protocol", b"websocket"), _GET[2]],
        [*_GET, (b"x", b"a\r\nb: c")],
    ],
)
def test_fields_that_make_no_request_are_refused(pairs: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(MalformedFieldsError):
        request_fields(made(*pairs))


def test_a_response_has_a_status_and_lines() -> None:
    assert response_fields(made((b":status", b"204"), (b"x-a", b"1"))) == (204, b"\r\nx-a: 1")


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [(b"x-a", b"1")],
        [(b":status", b"200"), (b":status", b"200")],
        [(b"x-a", b"1"), (b":status", b"200")],
        [(b":status", b"20")],
        [(b":status", b"2000")],
        [(b":status", b"099")],
        [(b":status", b"2x0")],
        [(b":path", b"/")],
        [(b":status", b"200"), (b"connection", b"close")],
    ],
)
def test_fields_that_make_no_response_are_refused(pairs: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(MalformedFieldsError):
        response_fields(made(*pairs))


def test_trailers_are_lines_without_pseudo_header_fields() -> None:
    assert trailer_fields(made((b"grpc-status", b"0"), (b"x", b""))) == b"\r\ngrpc-status: 0\r\nx: "
    for wrong in ((b":status", b"200"), (b"connection", b"close")):
        with pytest.raises(MalformedFieldsError):
            trailer_fields(made(wrong))


def sent(head: bytes, seconds: float = 5.0) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value, *_ in Decoder().decode(encode_request(head, b"http", lambda: seconds))]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (b"Host: a\r\nX-A: 1\r\nX-Request-Id: 1", [(b":authority", b"a"), (b"x-a", b"1"), (b"x-request-id", b"1")]),
        (b"X-A: 1\r\nHost: a", [(b":authority", b"a"), (b"x-a", b"1")]),
        (b"Host: a", [(b":authority", b"a")]),
        (b"Host: a\r\nTE: gzip\r\nConnection: close", [(b":authority", b"a")]),
        (b"Host: a\r\nX-A: 1\r\nTE: trailers", [(b":authority", b"a"), (b"x-a", b"1"), (b"te", b"trailers")]),
    ],
)
def test_the_same_head_is_encoded_the_same_again(lines: bytes, expected: list[tuple[bytes, bytes]]) -> None:
    head = b"PUT /x HTTP/1.1\r\n%b\r\n\r\n" % lines
    pseudo = [(b":method", b"PUT"), (b":scheme", b"http"), (b":path", b"/x")]
    assert sent(head) == sent(head) == [*pseudo, *expected]


def test_the_rest_of_a_timeout_is_said_anew_each_time() -> None:
    head = b"POST /x HTTP/1.1\r\nHost: a\r\ngrpc-timeout: 9S\r\nX-Request-Id: 1\r\n\r\n"
    assert [dict(sent(head, seconds))[b"grpc-timeout"] for seconds in (0.05, 0.04)] == [b"50000000n", b"40000000n"]


def test_a_timeout_that_went_on_as_it_came_is_not_what_the_next_request_has_left() -> None:
    head = b"POST /x HTTP/1.1\r\nHost: a\r\ngrpc-timeout: 8S\r\nX-Request-Id: 1\r\n\r\n"
    assert [dict(sent(head, seconds))[b"grpc-timeout"] for seconds in (inf, 0.04)] == [b"8S", b"40000000n"]


def test_credentials_of_requests_are_not_kept_in_memory() -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer only-for-one\r\nX-Request-Id: 1\r\n\r\n"
    encode_request(head, b"http")
    kept = [*fields._sent, *fields._starts[b"http"]]
    assert not any(b"only-for-one" in each for each in kept)


def test_a_request_is_remembered_with_its_target_unless_that_has_a_query() -> None:
    for target in (b"/of.Service/Call", b"/search?secret=1"):
        for number in (b"1", b"2"):
            head = b"POST %b HTTP/1.1\r\nHost: a\r\nX-Request-Id: %b\r\n\r\n" % (target, number)
            assert dict(sent(head))[b":path"] == target
            assert dict(sent(head))[b"x-request-id"] == number
    kept = b"".join(fields._starts[b"http"])
    assert b"/of.Service/Call" in kept
    assert b"secret" not in kept


def test_what_is_remembered_belongs_to_a_scheme() -> None:
    head = b"GET /x HTTP/1.1\r\nHost: schemes\r\n\r\n"
    blocks = [encode_request(head, scheme) for scheme in (b"http", b"https", b"http")]
    schemes = [value for block in blocks for name, value, *_ in Decoder().decode(block) if name == b":scheme"]
    assert schemes == [b"http", b"https", b"http"]


def test_lines_between_are_remembered_although_ids_of_traces_differ() -> None:
    before = len(fields._sent)

    found = [
        sent(
            b"GET / HTTP/1.1\r\nHost: traced\r\nX-A: 1\r\ntraceparent: 00-%d\r\nX-Request-Id: %d\r\n\r\n" % (n, n), inf
        )
        for n in range(3)
    ]

    assert [each[-3:] for each in found] == [
        [(b"x-a", b"1"), (b"traceparent", b"00-%d" % n), (b"x-request-id", b"%d" % n)] for n in range(3)
    ]
    assert len(fields._sent) == before + 1
