"""Filters that compress a body as it passes. What was fed goes on whenever the sender has nothing more at once."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Final

import brotli
from gateway_plugin_sdk import BodyFilter, Headers

from gateway_plugin_compress.config import Coding, LevelsConfig
from gateway_plugin_compress.zstandard import CompressionParameter, ZstdCompressor

_GZIP: Final = 31
"""`wbits` of zlib with a gzip frame."""
_WINDOW_LOG: Final = 20
"""Windows of 1 MiB: what a response costs in memory while it passes, a few times over."""


class Gzip(BodyFilter):
    """Compresses with gzip (RFC 1952)."""

    def __init__(self, level: int) -> None:
        self._compressor = zlib.compressobj(level, wbits=_GZIP)

    def feed(self, data: bytes) -> bytes:
        return self._compressor.compress(data)

    def flush(self) -> bytes:
        return self._compressor.flush(zlib.Z_SYNC_FLUSH)

    def finish(self, trailers: Headers) -> bytes:  # noqa: ARG002
        return self._compressor.flush()


class Brotli(BodyFilter):
    """Compresses with Brotli (RFC 7932)."""

    def __init__(self, level: int) -> None:
        self._compressor = brotli.Compressor(quality=level, lgwin=_WINDOW_LOG)

    def feed(self, data: bytes) -> bytes:
        return bytes(self._compressor.process(data))

    def flush(self) -> bytes:
        return bytes(self._compressor.flush())

    def finish(self, trailers: Headers) -> bytes:  # noqa: ARG002
        return bytes(self._compressor.finish())


class Zstd(BodyFilter):
    """Compresses with Zstandard (RFC 8878); the window is far below the 8 MiB that clients must support (RFC 9659)."""

    def __init__(self, level: int) -> None:
        options: dict[int, int] = {
            CompressionParameter.compression_level: level,
            CompressionParameter.window_log: _WINDOW_LOG,
        }
        self._compressor = ZstdCompressor(options=options)

    def feed(self, data: bytes) -> bytes:
        return self._compressor.compress(data)

    def flush(self) -> bytes:
        return self._compressor.flush(ZstdCompressor.FLUSH_BLOCK)

    def finish(self, trailers: Headers) -> bytes:  # noqa: ARG002
        return self._compressor.flush(ZstdCompressor.FLUSH_FRAME)


def compressor_of(coding: Coding, levels: LevelsConfig) -> Callable[[], BodyFilter]:
    """Return what makes the filter of a coding."""
    match coding:
        case "gzip":
            return lambda: Gzip(levels.gzip)
        case "br":
            return lambda: Brotli(levels.br)
        case "zstd":
            return lambda: Zstd(levels.zstd)
