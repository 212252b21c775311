"""HPACK: the library hpack is the oracle, and blocks are damaged anywhere."""

from __future__ import annotations

import hpack
import pytest
from gateway_core.proxy.wire.h2.errors import ErrorCode, Http2ConnectionError
from gateway_core.proxy.wire.h2.hpack import TABLE_SIZE, Decoder, FieldsTooLargeError, HpackError, field
from gateway_core.proxy.wire.h2.hpack_encoder import encode_integer
from hypothesis import given
from hypothesis import strategies as st

_names = st.sampled_from([b":path", b":method", b"accept", b"cookie", b"x-long-name-of-a-field", b"te", b"user-agent"])
_values = st.one_of(
    st.sampled_from([b"", b"GET", b"/", b"gzip, deflate", b"v" * 500]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=80).map(str.encode),
)
_lists = st.lists(st.tuples(_names, _values), max_size=12)


@given(st.lists(st.tuples(_lists, st.booleans(), st.sampled_from([None, 0, 64, 300, TABLE_SIZE])), max_size=8))
def test_blocks_of_one_connection_are_read_as_they_were_written(
    blocks: list[tuple[list[tuple[bytes, bytes]], bool, int | None]],
) -> None:
    encoder, decoder = hpack.Encoder(), Decoder()
    for fields, huffman, size in blocks:
        if size is not None:
            encoder.header_table_size = size
        block = encoder.encode(fields, huffman=huffman)
        if size is not None and not fields:
            block = b""  # the oracle would announce the size with the next block
            encoder = hpack.Encoder()
            decoder = Decoder()
        assert [(name, value) for name, value, *_ in decoder.decode(block)] == fields


@given(st.binary(max_size=80))
def test_whatever_comes_is_decoded_as_the_oracle_does_or_is_an_error(data: bytes) -> None:
    oracle = hpack.Decoder()
    oracle.max_allowed_table_size = TABLE_SIZE
    try:
        expected = [(bytes(name), bytes(value)) for name, value in oracle.decode(data, raw=True)]
    except hpack.HPACKError:
        expected = None
    try:
        found = [(name, value) for name, value, *_ in Decoder().decode(data)]
    except HpackError:
        # We are stricter where the RFC demands it: paddings, sizes behind fields; and integers have a bound.
        return
    if expected is not None:
        assert found == expected


@given(_lists, st.data())
def test_a_block_that_is_cut_is_an_error_or_the_fields_before_the_cut(
    fields: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    block = hpack.Encoder().encode(fields)
    cut = data.draw(st.integers(0, len(block)))
    try:
        found = [(name, value) for name, value, *_ in Decoder().decode(block[:cut])]
    except HpackError:
        return
    assert found == fields[: len(found)]


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # index 0
        b"\xbe",  # an entry of an empty table
        b"\xff\xff\xff\xff\xff\x01",  # an index of more than 2^28
        b"\xff\x80\x80\x80\x80\x80\x80\x00",  # an integer in needlessly many bytes
        b"\x00\x05ab",  # a string that is cut off
        b"\x00",
        b"\x40\x82\xff\xff\x00",  # a Huffman string with EOS
        b"\x3f\xe2\x1f",  # a table of 4097 bytes
        b"\x82\x20",  # a size behind a field
    ],
)
def test_a_block_that_breaks_a_rule_is_an_error(block: bytes) -> None:
    with pytest.raises(HpackError):
        Decoder().decode(block)


def test_a_list_that_is_too_large_is_an_error_after_all_of_it_was_decoded() -> None:
    decoder = Decoder(most=100)
    block = hpack.Encoder().encode([(b"x-large", b"v" * 80), (b"x-behind", b"kept")], huffman=False)
    with pytest.raises(FieldsTooLargeError):
        decoder.decode(block)
    # The table is that of the peer: index 62 is what came last.
    assert decoder.decode(b"\xbe")[0][:2] == (b"x-behind", b"kept")


def test_references_to_one_large_entry_do_not_add_up_in_memory() -> None:
    decoder = Decoder(most=16384)
    decoder.decode(b"\x40\x01x" + encode_integer(4000, 7, 0) + b"v" * 4000)
    with pytest.raises(FieldsTooLargeError):
        decoder.decode(b"\xbe" * 8)
    with pytest.raises(Http2ConnectionError) as raised:
        decoder.decode(b"\xbe" * 60_000)
    assert raised.value.code is ErrorCode.ENHANCE_YOUR_CALM


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"Upper", b"1"),
        (b"", b"1"),
        (b"sp ace", b"1"),
        (b"x", b"a\r\nb"),
        (b"x", b"a\0"),
        (b"x", b" a"),
        (b"x", b"a\t"),
        (b"connection", b"close"),
        (b"transfer-encoding", b"chunked"),
        (b"keep-alive", b"1"),
        (b"proxy-connection", b"1"),
        (b"upgrade", b"h2c"),
        (b"te", b"gzip"),
        (b":path", b"/\n"),
        (b"x\xff", b"1"),
    ],
)
def test_a_field_that_no_message_may_have_has_no_line(name: bytes, value: bytes) -> None:
    assert field(name, value)[2] is None


def test_a_generation_lasts_as_long_as_the_table() -> None:
    decoder = Decoder()
    decoder.decode(b"\x82\x84")
    before = decoder.generation
    decoder.decode(b"\x40\x01a\x01b")
    added = decoder.generation
    decoder.decode(b"\x20")
    assert before < added < decoder.generation


def test_a_block_that_refers_to_nothing_in_the_table_says_what_it_adds() -> None:
    decoder, again = Decoder(), Decoder()
    literal = b"\x40\x01a\x01b"  # enters the table
    for _ in range(3):
        fields = decoder.decode(b"\x88" + literal)
        assert decoder.added == (fields[1],)

    added = decoder.added or ()
    for _ in range(3):
        again.add_again(added)

    assert again.decode(b"\xbe\xc0") == decoder.decode(b"\xbe\xc0") == [fields[1], fields[1]]
    assert again.added is None


@pytest.mark.parametrize("block", [b"\xbe", b"\x7e\x01v", b"\x0f\x2f\x01v", b"\x3f\xe1\x1f", b"\x20"])
def test_a_block_that_depends_on_the_table_does_not(block: bytes) -> None:
    decoder = Decoder()
    decoder.decode(b"\x40\x01a\x01b")
    decoder.decode(block)
    assert decoder.added is None


def test_connections_share_the_fields_of_their_tables_but_no_credentials() -> None:
    block = b"\x40\x06accept\x03*/*" + b"\x40\x06cookie\x08s=secret"

    one, other = Decoder().decode(block), Decoder().decode(block)

    assert one == other
    assert one[0] is other[0]
    assert one[1] is not other[1]
