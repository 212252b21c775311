"""A client's bytes taken apart: one head at a time, then its body, and what is behind it waits (RFC 9112 section 2)."""

from __future__ import annotations

import re
from typing import Final

from gateway_core.messages.headers import TOKEN_BYTES
from gateway_core.proxy.wire.chunks import ChunkDecoder

_EMPTY_LINES: Final = re.compile(rb"(?:\r?\n)+")
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")
_END: Final = b"\r\n\r\n"


class BadHeadError(Exception):
    """What comes cannot become a head; ``status`` is the answer to it."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class RequestStream:
    """Holds what came and gives out heads and bodies, however the bytes are cut."""

    __slots__ = ("_data", "_decoder", "_left", "_searched")

    def __init__(self) -> None:
        self._data = b""
        self._searched = 0  # bytes of the next head that were looked at already
        self._left = 0
        self._decoder: ChunkDecoder | None = None

    @property
    def size(self) -> int:
        """Bytes that are held."""
        return len(self._data)

    def has_more_body(self) -> bool:
        """Whether the body that was begun is not at its end."""
        return self._left > 0 or self._decoder is not None

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._data = self._data + data if self._data else data

    def take_head(self, most: int) -> bytes | None:
        """Return the next head, from its first byte to its empty line; None if it is not complete.

        Empty lines before it are left out (RFC 9112 section 2.2).

        :param most: bytes that a head may have.
        :raises BadHeadError: it is too long, or has a line that does not end with CRLF.
        """
        if not self._searched:
            empty = _EMPTY_LINES.match(self._data)
            if empty is not None:
                self._data = self._data[empty.end() :]
        data = self._data
        if not data or data == b"\r":
            return None
        if data[0] not in TOKEN_BYTES:
            raise BadHeadError(400)
        end = data.find(_END, max(0, self._searched - 3))
        if (len(data) if end < 0 else end) > most:
            line_end = data.find(b"\r\n")
            raise BadHeadError(414 if not 0 <= line_end <= most else 431)
        if _BARE_LF.search(data, self._searched, len(data) if end < 0 else end):
            raise BadHeadError(400)
        if end < 0:
            self._searched = len(data)
            return None
        self._searched = 0
        self._data = data[end + 4 :]
        return data[: end + 4]

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
        data, self._data = self._data, b""
        decoder = self._decoder
        if decoder is None:
            self._data = data[self._left :]
            data = data[: self._left]
            self._left -= len(data)
            return data
        payload = decoder.feed(data)
        if decoder.done:
            self._data = decoder.rest
            self._decoder = None
        return payload

    def take_rest(self) -> bytes:
        """Return everything that is held: it is no request any more."""
        data, self._data = self._data, b""
        return data
