"""Filters that decompress a request's body, in bounded pieces and up to a limit.

A bomb of a few bytes may stand for gigabytes: no step makes more than a piece of 64 KiB, and the sum ends at the limit.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final, Protocol

import brotli
from gateway_plugin_sdk import BadBodyError, BodyFilter, BodyTooLargeError, Headers

from gateway_plugin_compress.config import Coding
from gateway_plugin_compress.zstandard import DecompressionParameter, ZstdDecompressor, ZstdError

_PIECE: Final = 65536
_WINDOW_LOG: Final = 23
"""Windows of 8 MiB at most (RFC 9659)."""


class Decoder(Protocol):
    """Decompresses one body."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what some bytes stand for, in pieces."""

    @property
    def is_complete(self) -> bool:
        """Whether the body may end here."""


class GzipDecoder:
    """gzip, also several members one behind the other (RFC 1952 section 2.2)."""

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(wbits=31)
        self._has_begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._decoder.eof:
                self._decoder = zlib.decompressobj(wbits=31)
            self._has_begun = True
            yield self._decoder.decompress(data, _PIECE)
            data = self._decoder.unused_data if self._decoder.eof else self._decoder.unconsumed_tail
            while not data and not self._decoder.eof and (more := self._decoder.decompress(b"", _PIECE)):
                yield more

    @property
    def is_complete(self) -> bool:
        return self._decoder.eof or not self._has_begun


class BrotliDecoder:
    """Brotli."""

    def __init__(self) -> None:
        self._decoder = brotli.Decompressor()
        self._has_begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._decoder.is_finished():
            raise BadBodyError("there is more behind the end of the Brotli stream")
        self._has_begun = True
        yield self._decoder.process(data, output_buffer_limit=_PIECE)
        while not self._decoder.can_accept_more_data():
            yield self._decoder.process(b"", output_buffer_limit=_PIECE)

    @property
    def is_complete(self) -> bool:
        return self._decoder.is_finished() or not self._has_begun


class ZstdDecoder:
    """Zstandard, also several frames one behind the other (RFC 8878 section 3.1)."""

    def __init__(self) -> None:
        self._decoder = _zstd()
        self._has_begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._decoder.eof:
                self._decoder = _zstd()
            self._has_begun = True
            yield self._decoder.decompress(data, _PIECE)
            while not self._decoder.eof and not self._decoder.needs_input:
                yield self._decoder.decompress(b"", _PIECE)
            data = self._decoder.unused_data if self._decoder.eof else b""

    @property
    def is_complete(self) -> bool:
        return self._decoder.eof or not self._has_begun


def _zstd() -> ZstdDecompressor:
    return ZstdDecompressor(options={DecompressionParameter.window_log_max: _WINDOW_LOG})


_DECODERS: Final[dict[Coding, type[GzipDecoder | BrotliDecoder | ZstdDecoder]]] = {
    "gzip": GzipDecoder, "br": BrotliDecoder, "zstd": ZstdDecoder,
}  # fmt: skip


class Decompress(BodyFilter):
    """Decompresses a body."""

    def __init__(self, coding: Coding, max_size: int) -> None:
        self._decoder: Decoder = _DECODERS[coding]()
        self._coding = coding
        self._left = max_size

    def feed(self, data: bytes) -> Iterator[bytes]:
        try:
            for piece in self._decoder.feed(data):
                self._left -= len(piece)
                if self._left < 0:
                    raise BodyTooLargeError("the body is over requests.max_size when it is decompressed")
                if piece:
                    yield piece
        except (zlib.error, brotli.error, ZstdError) as error:
            raise BadBodyError(f"the body is not {self._coding}: {error}") from None

    def finish(self, trailers: Headers) -> bytes:  # noqa: ARG002
        if not self._decoder.is_complete:
            raise BadBodyError(f"the body ends within its {self._coding} stream")
        return b""
