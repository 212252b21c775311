"""Bodies in chunks (RFC 9112 section 7.1): decoded strictly, written canonically.

Chunk extensions end here, as an intermediary may decide; trailer fields go on unless they are of the kind that must not
be trailers (RFC 9110 section 6.5.1).
"""

from __future__ import annotations

from typing import Final

from gateway_core.messages.fields import VALUE_BYTES
from gateway_core.proxy.wire.fields import HOP_BY_HOP, split_block

LAST_CHUNK: Final = b"0\r\n\r\n"
_AFTER_ONLY_CHUNK: Final = b"\r\n" + LAST_CHUNK
_HEX: Final = b"0123456789abcdefABCDEF"
_MOST_HEX_DIGITS: Final = 15
_SMALL: Final = {
    text: number
    for number in range(1, 256)
    for form in ("%x", "%X", "%02x", "%02X")
    for text in ((form % number).encode(),)
}
"""Sizes of one or two digits; those in two cases (`aB`) are read the long way."""
_MOST_LINE: Final = 4096
_MOST_TRAILER: Final = 16384
_NOT_IN_TRAILERS: Final = HOP_BY_HOP | {
    b"authorization", b"cache-control", b"content-encoding", b"content-length", b"content-range", b"content-type",
    b"cookie", b"expect", b"host", b"if-match", b"if-modified-since", b"if-none-match", b"if-unmodified-since",
    b"max-forwards", b"pragma", b"range", b"set-cookie", b"www-authenticate",
}  # fmt: skip


class BadChunkError(Exception):
    """The bytes are not a chunked body."""


def encode_chunk(data: bytes) -> bytes:
    """Return data as one chunk; empty data is nothing at all, since an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def only_chunk(data: bytes) -> bytes | None:
    """Return the payload of a body that is one chunk without extension or trailer, all there; None for any other."""
    end = data.find(b"\r\n", 1, _MOST_HEX_DIGITS + 2)
    if end < 0 or not data.endswith(_AFTER_ONLY_CHUNK) or data[:end].translate(None, _HEX):
        return None
    size, start = int(data[:end], 16), end + 2
    if size == 0 or len(data) != start + size + len(_AFTER_ONLY_CHUNK):
        return None
    return data[start : start + size]


def _take_small(data: bytes, position: int, pieces: list[bytes]) -> int:
    """Take what is there of whole, plain, small chunks; return where the first other thing begins.

    A client may send thousands of chunks of one byte in one read, and the loop waits for all of them.
    """
    while True:
        end = data.find(b"\r\n", position, position + 4)
        number = _SMALL.get(data[position:end], 0) if end >= 0 else 0
        stop = end + 2 + number
        if not number or data[stop : stop + 2] != b"\r\n":
            return position
        pieces.append(data[end + 2 : stop])
        position = stop + 2


class ChunkDecoder:
    """Takes a chunked body apart, however its bytes are cut."""

    __slots__ = ("_held", "_in_trailer", "_remaining", "done", "rest", "trailer")

    def __init__(self) -> None:
        self._remaining = 0  # bytes still to come of the current chunk, its CRLF included
        self._held = b""
        self._in_trailer = False
        self.done = False
        self.rest = b""
        """Bytes behind the end of the body, once `done`."""
        self.trailer = b""
        """The trailer fields that may go on, as a block, once `done`."""

    def feed(self, data: bytes) -> bytes:
        """Return the payload in the next bytes.

        :raises BadChunkError: they are not a chunked body.
        """
        if self._held:
            data, self._held = self._held + data, b""
        pieces: list[bytes] = []
        position, size = 0, len(data)
        while position < size and not self.done:
            if self._remaining:
                position = self._take_payload(data, position, pieces)
            elif self._in_trailer:
                position = self._take_trailer(data, position)
            else:
                position = _take_small(data, position, pieces)
                position = self._take_size(data, position)
            if position < 0:
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if self.done:
            self.rest = data[position:]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _take_payload(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        payload = self._remaining - 2
        if payload > 0:
            piece = data[position : position + payload]
            pieces.append(piece)
            self._remaining -= len(piece)
            position += len(piece)
        if 0 < self._remaining <= 2 and position < len(data):
            ending = data[position : position + self._remaining]
            if ending != b"\r\n"[2 - self._remaining :][: len(ending)]:
                raise BadChunkError("a chunk does not end with CRLF")
            self._remaining -= len(ending)
            position += len(ending)
        return position

    def _take_size(self, data: bytes, position: int) -> int:
        end = data.find(b"\r\n", position)
        if end < 0:
            self._hold(data[position:], _MOST_LINE)
            return -1
        digits, semicolon, extension = data[position:end].partition(b";")
        if semicolon:
            digits = digits.rstrip(b" \t")  # white space that means nothing (RFC 9112 section 7.1.1)
        if not digits or len(digits) > _MOST_HEX_DIGITS or digits.translate(None, _HEX):
            raise BadChunkError("a chunk size is not a plain hexadecimal number")
        if semicolon and (end - position > _MOST_LINE or extension.translate(None, VALUE_BYTES)):
            raise BadChunkError("a chunk extension is not valid")
        number = int(digits, 16)
        if number:
            self._remaining = number + 2
        else:
            self._in_trailer = True
        return end + 2

    def _take_trailer(self, data: bytes, position: int) -> int:
        if data.startswith(b"\r\n", position):
            self.done = True
            return position + 2
        end = data.find(b"\r\n\r\n", position)
        if end < 0:
            self._hold(data[position:], _MOST_TRAILER)
            return -1
        fields = split_block(b"\r\n" + data[position:end])
        if fields is None or end - position > _MOST_TRAILER:
            raise BadChunkError("trailer fields are not valid")
        self.trailer = b"".join([b"\r\n" + line for name, line in fields if name not in _NOT_IN_TRAILERS])
        self.done = True
        return end + 4

    def _hold(self, data: bytes, most: int) -> None:
        """Keep an incomplete line for the next bytes; what can never become valid is refused now."""
        if len(data) > most:
            raise BadChunkError("a line between chunks is too long")
        if not self._in_trailer and data and data.partition(b";")[0].rstrip(b"\r \t").translate(None, _HEX):
            raise BadChunkError("a chunk size is not a plain hexadecimal number")
        if self._in_trailer and data.count(b"\n") != data.count(b"\r\n"):
            raise BadChunkError("trailer fields are not valid")
        self._held = data
