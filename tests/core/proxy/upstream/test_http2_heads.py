"""Blocks of responses."""

from __future__ import annotations

import hpack
import pytest
from gateway_core.proxy.upstream.http2_heads import ResponseHeads
from gateway_core.proxy.wire.h2.errors import ErrorCode, Http2ConnectionError, Http2StreamError


def test_a_block_that_comes_again_is_the_same_head_while_the_table_is_the_same() -> None:
    heads, encoder = ResponseHeads(65536), hpack.Encoder()
    heads.skip(encoder.encode([(":status", "200"), ("x", "2")]))
    block = b"\x88\xbe"
    first = heads.read(1, block, ends=False)
    assert heads.read(3, block, ends=False) is first
    assert heads.read(5, block, ends=True) is not first
    heads.skip(encoder.encode([("x", "3")]))
    assert b"x: 3" in heads.read(7, block, ends=False).block


def test_fields_that_are_too_large_cost_their_stream_and_keep_the_table_in_step() -> None:
    heads, encoder = ResponseHeads(1000), hpack.Encoder()
    with pytest.raises(Http2StreamError) as raised:
        heads.read(1, encoder.encode([(":status", "200"), ("x", "v" * 2000), ("y", "1")]), ends=False)
    assert raised.value.code is ErrorCode.ENHANCE_YOUR_CALM
    assert b"y: 1" in heads.read(3, encoder.encode([(":status", "200"), ("y", "1")]), ends=False).block


def test_a_block_that_was_read_is_measured_again_by_another_limit() -> None:
    heads, block = ResponseHeads(1000), b"\x88\x00\x01x\x64" + b"v" * 100
    before = heads.read(1, block, ends=False)
    heads.limit(100)
    with pytest.raises(Http2StreamError) as raised:
        heads.read(3, block, ends=False)
    assert raised.value.code is ErrorCode.ENHANCE_YOUR_CALM
    heads.limit(1000)
    assert heads.read(5, block, ends=False).block == before.block


def test_a_block_that_is_no_hpack_costs_the_connection() -> None:
    with pytest.raises(Http2ConnectionError):
        ResponseHeads(1000).skip(b"\xff\xff\xff\xff\xff\x0f")


def test_trailers_are_fields_alone() -> None:
    assert ResponseHeads(1000).read_trailers(1, hpack.Encoder().encode([("x", "1")])) == b"\r\nx: 1"
    with pytest.raises(Http2StreamError):
        ResponseHeads(1000).read_trailers(1, b"\x88")


def test_a_block_that_only_adds_to_the_table_is_the_same_head_and_adds_again() -> None:
    heads = ResponseHeads(65536)
    block = b"\x88\x40\x01x\x012"  # x: 2, which enters the table
    first = heads.read(1, block, ends=False)

    assert heads.read(3, block, ends=False) is first
    heads.skip(b"\x40\x01y\x013")

    assert heads.read(5, b"\x88\xbe\xbf\xc0", ends=False).block == b"\r\ny: 3\r\nx: 2\r\nx: 2"


@pytest.mark.parametrize("added", [b"\x40\x01y\x013", b"\x3f\x00"])
def test_trailers_that_refer_to_the_table_mean_something_else_with_another_one(added: bytes) -> None:
    heads = ResponseHeads(65536)
    heads.skip(b"\x40\x01x\x012")
    assert heads.read_trailers(1, b"\xbe") == heads.read_trailers(3, b"\xbe") == b"\r\nx: 2"

    heads.skip(added)

    if added == b"\x3f\x00":  # a table of 31 bytes, which holds nothing
        with pytest.raises(Http2ConnectionError):
            heads.read_trailers(5, b"\xbe")
    else:
        assert heads.read_trailers(5, b"\xbe") == b"\r\ny: 3"
