"""A client's bytes taken apart: one head at a time, then its body, and what is behind it waits (RFC 9112 section 2)."""

from __future__ import annotations

import re
from typing import Final

from gateway_core.messages.fields import TOKEN_BYTES
from gateway_core.proxy.wire.chunks import ChunkDecoder

_EMPTY_LINES: Final = re.compile(rb"(?:\r?\n)+")
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")
_END: Final = b"\r\n\r\n"
_CR: Final = 0x0D


class BadHeadError(Exception):
    """What comes cannot become a head; ``status`` is the answer to it."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class RequestStream:
    """Holds what came and gives out heads and bodies, however the bytes are cut."""

    __slots__ = ("_data", "_decoder", "_left", "_searched", "_start")

    def __init__(self) -> None:
        # What was given out stays in front of `_start` until the next bytes come: a copy of the rest for each head
        # would be quadratic work over a buffer of pipelined requests.
        self._data = b""
        self._start = 0
        self._searched = 0  # bytes of the next head that were looked at already
        self._left = 0
        self._decoder: ChunkDecoder | None = None

    @property
    def size(self) -> int:
        """Bytes that are held."""
        return len(self._data) - self._start

    def has_more_body(self) -> bool:
        """Whether the body that was begun is not at its end."""
        return self._left > 0 or self._decoder is not None

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._data = self._data[self._start :] + data if self.size else data
        self._start = 0

    def take_head(self, most: int) -> bytes | None:
        """Return the next head, from its first byte to its empty line; None if it is not complete.

        Empty lines before it are left out (RFC 9112 section 2.2).

        :param most: bytes that a head may have.
        :raises BadHeadError: it is too long, or has a line that does not end with CRLF.
        """
        data = self._data
        if not self._searched:
            empty = _EMPTY_LINES.match(data, self._start)
            if empty is not None:
                self._start = empty.end()
        start = self._start
        if start == len(data) or (start + 1 == len(data) and data[start] == _CR):
            return None
        if data[start] not in TOKEN_BYTES:
            raise BadHeadError(400)
        end = data.find(_END, start + max(0, self._searched - 3))
        stop = len(data) if end < 0 else end
        if stop - start > most:
            line_end = data.find(b"\r\n", start)
            raise BadHeadError(414 if not 0 <= line_end - start <= most else 431)
        if _BARE_LF.search(data, start + self._searched, stop):
            raise BadHeadError(400)
        if end < 0:
            self._searched = self.size
            return None
        self._searched = 0
        self._start = end + 4
        return data[start : end + 4]

    def begin_body(self, length: int) -> None:
        """Take what follows for a body of so many bytes; -1 is one in chunks."""
        if length < 0:
            self._decoder = ChunkDecoder()
        else:
            self._left = length

    def take_body(self) -> bytes:
        """Return what is there of the body's payload.

        :raises BadChunkError: what follows is no body in chunks.
        """
        decoder = self._decoder
        if decoder is None:
            start = self._start
            data = self._data[start : start + self._left]
            self._start = start + len(data)
            self._left -= len(data)
            return data
        payload = decoder.feed(self.take_rest())
        if decoder.done:
            self._data = decoder.rest
            self._decoder = None
        return payload

    def take_rest(self) -> bytes:
        """Return everything that is held: it is no request any more."""
        data, start = self._data, self._start
        self._data, self._start = b"", 0
        return data[start:] if start else data
