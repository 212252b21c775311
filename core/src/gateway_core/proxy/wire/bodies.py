"""Bodies on the wire (RFC 9112 sections 6 and 7): read by their length or in chunks, chunks written canonically.

`BodyReader` takes the body of one request from its connection's bytes; what is behind it is not touched. `ChunkDecoder`
reads chunks of requests and responses.

Chunk extensions end here, as an intermediary may decide; trailer fields go on unless they are of the kind that must not
be trailers (RFC 9110 section 6.5.1). Requests are decoded strictly. Of responses some faults are repaired
(`gateway_core.proxy.wire.repairs`): white space behind a chunk's size, and trailer fields like those of a head; from
tolerant upstreams also lines that end with a bare LF.

`ChunkDecoder.take` stops after a number of chunks, because a client may send tens of thousands of them in one read and
the loop waits meanwhile; `feed` takes everything.
"""

from __future__ import annotations

import re
from typing import Final

from gateway_core.messages.fields import VALUE_BYTES
from gateway_core.proxy.wire.fields import NOT_IN_TRAILERS, Field, split_block
from gateway_core.proxy.wire.repairs import BadResponseError, Leniency, repair_fields

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
_LINE_END: Final = re.compile(rb"\r?\n")
_TRAILER_END: Final = re.compile(rb"\r?\n\r?\n")


class BadChunkError(Exception):
    """The bytes are not a chunked body."""


def encode_chunk(data: bytes) -> bytes:
    """Return data as one chunk; empty data is nothing at all, since an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def last_chunk(trailers: bytes) -> bytes:
    """Return the end of a body in chunks; ``trailers`` is a block of fields, usually empty."""
    return b"0%b\r\n\r\n" % trailers if trailers else LAST_CHUNK


def only_chunk(data: bytes, ending: bytes = _AFTER_ONLY_CHUNK) -> bytes | None:
    """Return the payload of bytes that are one whole chunk without extension, and an ending; None for any other.

    :param ending: its CRLF, and what else follows; by default the end of the body, without trailer.
    """
    end = data.find(b"\r\n", 1, _MOST_HEX_DIGITS + 2)
    if end < 0 or not data.endswith(ending) or data[:end].translate(None, _HEX):
        return None
    size, start = int(data[:end], 16), end + 2
    if size == 0 or len(data) != start + size + len(ending):
        return None
    return data[start : start + size]


def _take_small(data: bytes, position: int, pieces: list[bytes], most: int) -> int:
    """Take what is there of whole, small chunks; return where the first other thing begins."""
    for _ in range(most):
        end = data.find(b"\r\n", position, position + 4)
        if end >= 0:
            number = _SMALL.get(data[position:end], 0)
        elif data.find(b";", position, position + 4) > 0:  # an extension, which tiny chunks may all have
            end = data.find(b"\r\n", position, position + _MOST_LINE)
            digits, _, extension = data[position:end].partition(b";")
            number = 0 if end < 0 or extension.translate(None, VALUE_BYTES) else _SMALL.get(digits.rstrip(b" \t"), 0)
        else:
            return position
        stop = end + 2 + number
        if not number or data[stop : stop + 2] != b"\r\n":
            return position
        pieces.append(data[end + 2 : stop])
        position = stop + 2
    return position


class ChunkDecoder:
    """Takes a chunked body apart, however its bytes are cut."""

    __slots__ = ("_held", "_in_trailer", "_leniency", "_remaining", "done", "is_repaired", "rest", "trailer")

    def __init__(self, leniency: Leniency = Leniency.STRICT) -> None:
        self._remaining = 0  # bytes still to come of the current chunk, its CRLF included
        self._held = b""
        self._in_trailer = False
        self._leniency = leniency
        self.done = False
        self.is_repaired = False
        """Whether something of the framing was not valid to the letter."""
        self.rest = b""
        """Bytes behind the end of the body, once `done`."""
        self.trailer = b""
        """The trailer fields that may go on, as a block, once `done`."""

    def feed(self, data: bytes) -> bytes:
        """Return the payload in the next bytes.

        :raises BadChunkError: they are not a chunked body.
        """
        if not (self._remaining or self._held or self._in_trailer or self.done):
            only = only_chunk(data, b"\r\n")  # what most senders write at once
            if only is not None:
                return only
        payload, position = self.take(data, 0, len(data) + 1)
        if self.done:
            self.rest = data[position:]
        return payload

    def take(self, data: bytes, position: int, most: int) -> tuple[bytes, int]:
        """Return the payload of some of the chunks from a position on, and where the bytes begin that were not read.

        :param most: chunks that are taken at most; at least 1.
        :raises BadChunkError: the bytes are not a chunked body.
        """
        shift = 0
        pieces: list[bytes] = []
        if self._held:
            shift = position - len(self._held)
            data, self._held, position = self._held + data[position:], b"", 0
        size = len(data)
        # Every chunk is at least one piece, so that the pieces count the chunks.
        while position < size and len(pieces) < most and not self.done:
            if self._remaining:
                position = self._take_payload(data, position, pieces)
            elif self._in_trailer:
                position = self._take_trailer(data, position)
            else:
                position = _take_small(data, position, pieces, most - len(pieces))
                if len(pieces) < most:
                    position = self._take_size(data, position)
            if position < 0:
                position = size
        return pieces[0] if len(pieces) == 1 else b"".join(pieces), position + shift

    def _take_payload(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        payload = self._remaining - 2
        if payload > 0:
            piece = data[position : position + payload]
            pieces.append(piece)
            self._remaining -= len(piece)
            position += len(piece)
        if 0 < self._remaining <= 2 and position < len(data):
            ending = data[position : position + self._remaining]
            if self._remaining == 2 and ending[:1] == b"\n" and self._leniency is Leniency.TOLERANT:
                self._remaining, self.is_repaired = 0, True
                return position + 1
            if ending != b"\r\n"[2 - self._remaining :][: len(ending)]:
                raise BadChunkError("a chunk does not end with CRLF")
            self._remaining -= len(ending)
            position += len(ending)
        return position

    def _take_size(self, data: bytes, position: int) -> int:
        end = data.find(b"\r\n", position)
        digits = data[position:end]
        if 0 < end - position <= _MOST_HEX_DIGITS and not digits.translate(None, _HEX):
            following = end + 2  # the usual line: nothing but digits
        else:
            end, following = self._find_line_end(data, position)
            if end < 0:
                self._hold(data[position:], _MOST_LINE)
                return -1
            digits = self._read_size(data[position:end])
        number = int(digits, 16)
        if number:
            self._remaining = number + 2
        else:
            self._in_trailer = True
        return following

    def _read_size(self, line: bytes) -> bytes:
        """Return the digits of a line with more than digits."""
        digits, semicolon, extension = line.partition(b";")
        trimmed = digits.rstrip(b" \t")
        if len(trimmed) < len(digits) and not semicolon:
            # Before an extension it means nothing (RFC 9112 section 7.1.1), here it may only be padding.
            if self._leniency is Leniency.STRICT:
                raise BadChunkError("a chunk size has white space behind it")
            self.is_repaired = True
        if not trimmed or len(trimmed) > _MOST_HEX_DIGITS or trimmed.translate(None, _HEX):
            raise BadChunkError("a chunk size is not a plain hexadecimal number")
        if len(line) > _MOST_LINE or extension.translate(None, VALUE_BYTES):
            raise BadChunkError("a chunk extension is not valid")
        return trimmed

    def _find_line_end(self, data: bytes, position: int) -> tuple[int, int]:
        """Return where a line ends and where the next one begins; -1 for both if it is not complete."""
        if self._leniency is not Leniency.TOLERANT:
            end = data.find(b"\r\n", position)
            return end, end + 2
        end = data.find(b"\n", position)
        if end > position and data[end - 1] == 0x0D:
            return end - 1, end + 1
        self.is_repaired |= end >= 0
        return end, end + 1

    def _take_trailer(self, data: bytes, position: int) -> int:
        is_tolerant = self._leniency is Leniency.TOLERANT
        if data.startswith(b"\r\n", position):
            self.done = True
            return position + 2
        if is_tolerant and data.startswith(b"\n", position):
            self.done = self.is_repaired = True
            return position + 1
        if is_tolerant:
            match = _TRAILER_END.search(data, position)
            end, following = match.span() if match is not None else (-1, -1)
            self.is_repaired |= 0 <= end != following - 4
        else:
            end = data.find(b"\r\n\r\n", position)
            following = end + 4
        if end < 0:
            self._hold(data[position:], _MOST_TRAILER)
            return -1
        block = data[position:end]
        fields = split_block(b"\r\n" + block)
        if fields is None:
            fields = self._repair_trailer(block)
        if end - position > _MOST_TRAILER:
            raise BadChunkError("the trailer fields are too long")
        self.trailer = b"".join([b"\r\n" + line for name, line in fields if name not in NOT_IN_TRAILERS])
        self.done = True
        return following

    def _repair_trailer(self, block: bytes) -> list[Field]:
        if self._leniency is Leniency.STRICT:
            raise BadChunkError("trailer fields are not valid")
        lines = _LINE_END.split(block) if self._leniency is Leniency.TOLERANT else block.split(b"\r\n")
        self.is_repaired |= len(lines) != block.count(b"\r\n") + 1
        try:
            fields, is_repaired = repair_fields(lines, self._leniency)
        except BadResponseError as error:
            raise BadChunkError(f"trailer fields are not valid: {error}") from None
        self.is_repaired |= is_repaired
        return fields

    def _hold(self, data: bytes, most: int) -> None:
        """Keep an incomplete line for the next bytes; what can never become valid is refused now."""
        if len(data) > most:
            raise BadChunkError("a line between chunks is too long")
        if not self._in_trailer and data and data.partition(b";")[0].rstrip(b"\r \t").translate(None, _HEX):
            raise BadChunkError("a chunk size is not a plain hexadecimal number")
        if self._in_trailer and self._leniency is not Leniency.TOLERANT and data.count(b"\n") != data.count(b"\r\n"):
            raise BadChunkError("trailer fields are not valid")
        self._held = data


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
