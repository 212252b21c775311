from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import pytest
from gateway_plugin_compress.compressors import compressor_of
from gateway_plugin_compress.config import LevelsConfig
from gateway_plugin_compress.zstandard import ZstdDecompressor
from gateway_plugin_sdk import Headers
from hypothesis import given
from hypothesis import strategies as st

WHOLE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": lambda data: ZstdDecompressor().decompress(data),
}


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
@given(pieces=st.lists(st.binary(min_size=1), max_size=6), flushes=st.lists(st.booleans(), min_size=6, max_size=6))
def test_the_other_end_gets_what_was_fed(coding: Any, pieces: list[bytes], flushes: list[bool]) -> None:
    compress: Any = compressor_of(coding, LevelsConfig())()
    out = b""

    for piece, flush in zip(pieces, flushes, strict=False):
        out += compress.feed(piece) + (compress.flush() if flush else b"")
    out += compress.finish(Headers())

    assert WHOLE[coding](out) == b"".join(pieces)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_what_was_flushed_can_be_read_at_once(coding: Any) -> None:
    decoders: dict[str, Callable[[], Callable[[bytes], bytes]]] = {
        "gzip": lambda: zlib.decompressobj(31).decompress,
        "br": lambda: brotli.Decompressor().process,
        "zstd": lambda: ZstdDecompressor().decompress,
    }
    compress: Any = compressor_of(coding, LevelsConfig())()
    read = decoders[coding]()

    for number in range(3):
        event = b"data: %d\n\n" % number
        assert read(compress.feed(event) + compress.flush()) == event
