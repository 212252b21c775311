"""Heads and bodies, however the bytes are cut."""

from __future__ import annotations

import pytest
from gateway_core.proxy.wire.chunks import BadChunkError
from gateway_core.proxy.wire.request_stream import BadHeadError, RequestStream
from hypothesis import given
from hypothesis import strategies as st

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def read_all(parts: list[bytes]) -> list[bytes]:
    """Return heads and payloads in the order in which they come out."""
    stream, found, body = RequestStream(), [], b""
    in_body = False
    for part in parts:
        stream.feed(part)
        while True:
            if in_body:
                body += stream.take_body()
                if stream.has_more_body():
                    break
                in_body = False
                found.append(body)
            head = stream.take_head(1000)
            if head is None:
                break
            found.append(head)
            if head != GET:
                stream.begin_body(5 if head == POST else -1)
                in_body, body = True, b""
    return found


@given(st.lists(st.integers(0, 300), max_size=12))
def test_heads_and_bodies_come_out_whole_wherever_the_bytes_are_cut(places: list[int]) -> None:
    data = b"\r\n" + GET + POST + b"hello" + b"\r\n\n" + CHUNKED + b"3;a\r\nabc\r\n0\r\nX: y\r\n\r\n" + GET
    bounds = sorted({place % (len(data) + 1) for place in places})

    parts = [data[start:end] for start, end in zip([0, *bounds], [*bounds, len(data)], strict=True)]

    assert read_all(parts) == [GET, POST, b"hello", CHUNKED, b"abc", GET]


def take_heads(data: bytes, size: int) -> None:
    stream = RequestStream()
    for start in range(0, len(data), size):
        stream.feed(data[start : start + size])
        stream.take_head(100)


BAD = {
    "lf ends a line": (b"GET / HTTP/1.1\nHost: x\r\n\r\n", 400),
    "lf ends the head": (b"GET / HTTP/1.1\r\nHost: x\r\n\n", 400),
    "begins with a space": (b" GET / HTTP/1.1\r\n\r\n", 400),
    "tls": (b"\x16\x03\x01", 400),
    "long line": (b"GET /" + b"a" * 200 + b" HTTP/1.1\r\n\r\n", 414),
    "long line without an end": (b"GET /" + b"a" * 200, 414),
    "long head": (b"GET / HTTP/1.1\r\nA: " + b"a" * 200 + b"\r\n\r\n", 431),
    "long head without an end": (b"GET / HTTP/1.1\r\nA: " + b"a" * 200, 431),
}


@pytest.mark.parametrize(("data", "status"), BAD.values(), ids=list(BAD))
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_what_cannot_become_a_head_is_refused_as_soon_as_it_is_known(data: bytes, status: int, size: int) -> None:
    with pytest.raises(BadHeadError) as caught:
        take_heads(data, size)

    assert caught.value.status == status


def test_what_is_no_chunked_body_is_refused() -> None:
    stream = RequestStream()
    stream.feed(b"x\r\n")
    stream.begin_body(-1)

    with pytest.raises(BadChunkError):
        stream.take_body()


def test_the_rest_can_be_had_as_it_is() -> None:
    stream = RequestStream()
    stream.feed(GET + b"\0frames")
    stream.take_head(1000)

    assert stream.take_rest() == b"\0frames"
    assert stream.size == 0
