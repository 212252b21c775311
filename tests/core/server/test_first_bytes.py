from __future__ import annotations

import ssl

import pytest
from gateway_core.server.first_bytes import PEEK, FirstBytes, judge_first_bytes
from hypothesis import given
from hypothesis import strategies as st


def client_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    connection = context.wrap_bio(incoming, outgoing, server_hostname="a.test")
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


def test_a_client_hello_is_waited_for_as_a_whole() -> None:
    hello = client_hello()

    for size in range(1, len(hello)):
        assert judge_first_bytes(hello[:size]) is FirstBytes.MORE
    assert judge_first_bytes(hello) is FirstBytes.TLS
    assert judge_first_bytes(hello + b"more") is FirstBytes.TLS


@pytest.mark.parametrize("start", [b"GET / HTTP/1.1", b"P", b"PRI * HTTP/2.0", b"\r\nGET", b"\nGET", b"get"])
def test_a_request_without_tls_is_text(start: bytes) -> None:
    assert judge_first_bytes(start) is FirstBytes.TEXT


@pytest.mark.parametrize(
    "start",
    [
        b"\x00",
        b"\x80\x2e\x01",
        b"\x15\x03\x01\x00\x02",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\xff\xff",
        b"\x16\x02aaa",
    ],
)
def test_what_is_neither_is_for_the_tls_library_to_refuse(start: bytes) -> None:
    assert judge_first_bytes(start) is FirstBytes.TLS


@given(st.binary(min_size=1, max_size=100))
def test_what_is_waited_for_can_still_be_looked_at(data: bytes) -> None:
    if judge_first_bytes(data) is FirstBytes.MORE:
        whole = data.ljust(5, b"\x03")[:3] + (16384).to_bytes(2, "big") + bytes(16384)
        assert len(whole) <= PEEK
        assert judge_first_bytes(whole) is FirstBytes.TLS
