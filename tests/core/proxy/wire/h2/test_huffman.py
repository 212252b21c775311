"""Huffman strings: the library hpack is the oracle."""

from __future__ import annotations

import pytest
from gateway_core.proxy.wire.h2.huffman import HuffmanError, decode, encode
from hpack.exceptions import HPACKDecodingError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman
from hypothesis import given
from hypothesis import strategies as st

_oracle = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


@given(st.binary(max_size=200))
def test_a_string_is_encoded_as_the_table_of_the_rfc_says_and_read_back(text: bytes) -> None:
    encoded = encode(text)
    assert encoded == _oracle.encode(text)
    assert decode(encoded) == text


@given(st.text(st.characters(max_codepoint=127), min_size=16, max_size=200), st.binary(max_size=4))
def test_a_long_string_is_read_as_a_short_one_is(text: str, behind: bytes) -> None:
    data = encode(text.encode()) + behind
    try:
        expected: bytes | None = decode_huffman(data)
    except HPACKDecodingError:
        expected = None
    try:
        found: bytes | None = decode(data)
    except HuffmanError:
        found = None
    assert found == expected or (found is None and expected is not None and encode(expected) != data)


@given(st.binary(max_size=60))
def test_whatever_comes_is_read_as_the_oracle_reads_it_or_refused(data: bytes) -> None:
    try:
        expected = decode_huffman(data)
    except HPACKDecodingError:
        expected = None
    try:
        found = decode(data)
    except HuffmanError:
        found = None
    # The oracle takes a padding of eight bits and more, which section 5.2 forbids.
    assert found == expected or (found is None and expected is not None and encode(expected) != data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\xff\xff\xff\xff", "EOS"),
        (b"\x1f\xff", "more than seven bits of padding"),
        (b"\x18", "padding of zeros"),
        (b"\xff", "eight bits of padding"),
    ],
)
def test_bad_padding_and_eos_are_refused(data: bytes, why: str) -> None:
    for before in (b"", b"a" * 40):  # which is 25 bytes
        with pytest.raises(HuffmanError):
            decode(encode(before) + data)
    assert why
