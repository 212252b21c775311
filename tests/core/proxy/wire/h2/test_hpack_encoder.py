"""Fields as HPACK: the library hpack reads what is encoded."""

from __future__ import annotations

import hpack
import pytest
from gateway_core.proxy.wire.h2.hpack import Decoder
from gateway_core.proxy.wire.h2.hpack_encoder import encode_block, encode_field, encode_integer, encode_status
from hypothesis import given
from hypothesis import strategies as st

_values = st.one_of(
    st.sampled_from([b"", b"GET", b"/", b"gzip, deflate", b"v" * 500]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=80).map(str.encode),
)


@given(st.lists(st.tuples(st.sampled_from([b"X-A", b"Date", b"Set-Cookie", b"Content-Type"]), _values), max_size=9))
def test_lines_are_encoded_so_that_any_decoder_reads_them(lines: list[tuple[bytes, bytes]]) -> None:
    block = b"".join(b"\r\n%b: %b" % line for line in lines)
    found = hpack.Decoder().decode(encode_status(204) + encode_block(block), raw=True)
    assert list(found) == [(b":status", b"204"), *((name.lower(), value) for name, value in lines)]


@pytest.mark.parametrize("status", [200, 204, 206, 304, 400, 404, 500, 100, 103, 418, 599, 999])
def test_every_status_is_encoded(status: int) -> None:
    assert list(hpack.Decoder().decode(encode_status(status), raw=True)) == [(b":status", b"%d" % status)]


@pytest.mark.parametrize("name", [b"authorization", b"cookie", b"set-cookie", b"proxy-authorization"])
def test_credentials_are_never_indexed(name: bytes) -> None:
    assert encode_field(name, b"secret")[0] & 0xF0 == 0x10


def test_nothing_that_is_encoded_enters_a_table() -> None:
    decoder = Decoder()
    decoder.decode(encode_status(418) + encode_block(b"\r\nDate: now\r\nX-New: 1\r\nCookie: a=b"))
    assert decoder.generation == 0


@given(st.integers(0, 2**20), st.integers(1, 7))
def test_integers_are_those_of_the_rfc(value: int, bits: int) -> None:
    from hpack.hpack import encode_integer as oracle

    expected = oracle(value, bits)
    assert encode_integer(value, bits, 0) == bytes(expected)


@given(
    st.lists(st.sampled_from([b"Date: now", b'ETag: "1"', b"Set-Cookie: a=b", b"X-Long: " + b"v" * 300]), max_size=6)
)
def test_what_is_encoded_again_is_the_same(lines: list[bytes]) -> None:
    block = b"".join([b"\r\n" + line for line in lines])
    fields = [line.partition(b": ") for line in lines]

    first, again = encode_block(block), encode_block(block)

    assert again == first
    assert list(hpack.Decoder().decode(first, raw=True)) == [(name.lower(), value) for name, _, value in fields]


def test_credentials_are_not_kept_in_memory() -> None:
    block = b"\r\nSet-Cookie: session=only-for-one-client\r\nX-A: 1"

    encoded = encode_block(block)

    assert encode_block(block) is not encoded, "it was remembered"
