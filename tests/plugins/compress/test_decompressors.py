from __future__ import annotations

import gzip
import tracemalloc
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import brotli
import pytest
from gateway_plugin_compress.decompressors import Decompress
from gateway_plugin_compress.zstandard import ZstdCompressor
from gateway_plugin_sdk import BadBodyError, BodyTooLargeError, Headers
from hypothesis import given
from hypothesis import strategies as st

CODINGS: Any = ["gzip", "br", "zstd"]
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "br": lambda data: brotli.compress(data, quality=4),
    "zstd": lambda data: ZstdCompressor().compress(data, ZstdCompressor.FLUSH_FRAME),
}


def decompressed(coding: Any, pieces: list[bytes], limit: int = 1 << 20) -> bytes:
    filter_ = Decompress(coding, limit)
    out = b"".join(data for piece in pieces if piece for data in filter_.feed(piece))
    filter_.finish(Headers())
    return out


@pytest.mark.parametrize("coding", CODINGS)
@given(data=st.binary(max_size=2000), cut=st.integers(1, 40))
def test_a_body_is_what_was_compressed_wherever_it_is_cut(coding: Any, data: bytes, cut: int) -> None:
    whole = COMPRESS[coding](data)

    assert decompressed(coding, [whole[start : start + cut] for start in range(0, len(whole), cut)]) == data


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_one_stream_behind_the_other_is_one_body(coding: Any) -> None:
    assert decompressed(coding, [COMPRESS[coding](b"one, ") + COMPRESS[coding](b"two")]) == b"one, two"


@pytest.mark.parametrize("coding", CODINGS)
def test_a_bomb_ends_at_the_limit_in_bounded_memory(coding: Any) -> None:
    bomb = COMPRESS[coding](bytes(200 << 20))
    filter_ = Decompress(coding, 1 << 20)
    tracemalloc.start()

    with pytest.raises(BodyTooLargeError):
        deque(filter_.feed(bomb), maxlen=0)

    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("coding", CODINGS)
def test_what_is_cut_short_is_the_clients_fault(coding: Any) -> None:
    whole = COMPRESS[coding](b"some text " * 100)

    with pytest.raises(BadBodyError):
        decompressed(coding, [whole[:-5]])


@pytest.mark.parametrize("coding", CODINGS)
@given(data=st.binary(min_size=1, max_size=200))
def test_whatever_is_sent_only_a_clients_errors_are_raised(coding: Any, data: bytes) -> None:
    with suppress(BadBodyError, BodyTooLargeError):
        assert len(decompressed(coding, [data], 10_000)) <= 10_000


@pytest.mark.parametrize("coding", CODINGS)
def test_an_empty_body_is_one(coding: Any) -> None:
    assert decompressed(coding, []) == b""


def test_what_follows_a_brotli_stream_is_refused() -> None:
    with pytest.raises(BadBodyError):
        decompressed("br", [brotli.compress(b"text"), b"more"])
