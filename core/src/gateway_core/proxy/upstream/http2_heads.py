"""The heads of responses over HTTP/2: from blocks of HPACK to what the reader of HTTP/1 makes of them.

A block that came before means the same again as long as the dynamic table stays the same, and is looked up whole. Some
endpoints, nginx among them, enter the same fields into the table with each response, so that it never stays the same;
but their blocks refer to nothing in it, and mean the same for ever (`Decoder.added`).
"""

from __future__ import annotations

import contextlib
from typing import Final, Generic, TypeVar

from gateway_core.proxy.wire.h2.errors import ErrorCode, Http2StreamError
from gateway_core.proxy.wire.h2.fields import MalformedFieldsError, response_fields, trailer_fields
from gateway_core.proxy.wire.h2.hpack import Decoder, Field, FieldsTooLargeError
from gateway_core.proxy.wire.repairs import BadResponseError
from gateway_core.proxy.wire.response_head import ResponseHead, read_response_head

_MOST: Final = 64
_LONGEST: Final = 4096
"""Blocks that are remembered, and bytes of one."""

MeaningT = TypeVar("MeaningT", ResponseHead, bytes)


class _Memory(Generic[MeaningT]):
    """What blocks meant that came before."""

    __slots__ = ("_decoder", "_known")

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._known: dict[bytes, tuple[MeaningT, int, tuple[Field, ...] | None]] = {}

    def forget(self) -> None:
        """Forget all blocks."""
        self._known.clear()

    def recall(self, block: bytes) -> MeaningT | None:
        """Return what a block means, and act upon it; None if it has to be decoded."""
        found = self._known.get(block)
        if found is None:
            return None
        meaning, generation, added = found
        if added:
            self._decoder.add_again(added)
        elif added is None and generation != self._decoder.generation:
            return None
        return meaning

    def remember(self, block: bytes, meaning: MeaningT, generation: int) -> None:
        """Remember the block that was decoded last, if it will mean the same again.

        :param generation: that of the table before.
        """
        added = self._decoder.added
        if len(block) <= _LONGEST and (added is not None or generation == self._decoder.generation):
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[block] = meaning, generation, added


class ResponseHeads:
    """Reads the blocks of one connection, in their order."""

    __slots__ = ("_decoder", "_ended", "_heads", "_trailers")

    def __init__(self, most: int) -> None:
        """Begin with an empty table.

        :param most: bytes of a list of fields at most, as it is announced in SETTINGS.
        """
        self._decoder = Decoder(most)
        self._heads: _Memory[ResponseHead] = _Memory(self._decoder)
        self._ended: _Memory[ResponseHead] = _Memory(self._decoder)
        self._trailers: _Memory[bytes] = _Memory(self._decoder)

    @property
    def most(self) -> int:
        """Bytes of a list of fields at most."""
        return self._decoder.most

    def limit(self, most: int) -> None:
        """Change `most`: what is remembered has to be measured again."""
        self._decoder.limit(most)
        for memory in (self._heads, self._ended, self._trailers):
            memory.forget()

    def read(self, stream_id: int, block: bytes, *, ends: bool) -> ResponseHead:
        """Return a head, interim ones as well.

        :param ends: whether the response has no body.
        :raises Http2ConnectionError: the block is no HPACK.
        :raises Http2StreamError: its fields make no response, or are too large.
        """
        memory = self._ended if ends else self._heads
        head = memory.recall(block)
        if head is None:
            generation = self._decoder.generation
            head = self._new(stream_id, block, ends=ends)
            memory.remember(block, head, generation)
        return head

    def read_trailers(self, stream_id: int, block: bytes) -> bytes:
        """Return the fields behind a body, as lines.

        :raises Http2ConnectionError: as `read`.
        :raises Http2StreamError: they are no trailers, or too large.
        """
        trailers = self._trailers.recall(block)
        if trailers is None:
            generation = self._decoder.generation
            fields = self._decode(stream_id, block)
            try:
                trailers = trailer_fields(fields)
            except MalformedFieldsError as error:
                raise Http2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, str(error)) from None
            self._trailers.remember(block, trailers, generation)
        return trailers

    def skip(self, block: bytes) -> None:
        """Decode a block only to keep the dynamic table in step.

        :raises Http2ConnectionError: as `read`.
        """
        with contextlib.suppress(FieldsTooLargeError):
            self._decoder.decode(block)

    def _decode(self, stream_id: int, block: bytes) -> list[Field]:
        try:
            return self._decoder.decode(block)
        except FieldsTooLargeError as error:
            raise Http2StreamError(stream_id, ErrorCode.ENHANCE_YOUR_CALM, str(error)) from None

    def _new(self, stream_id: int, block: bytes, *, ends: bool) -> ResponseHead:
        fields = self._decode(stream_id, block)
        try:
            status, lines = response_fields(fields)
            data = b"HTTP/1.1 %d %b\r\n\r\n" % (status, lines)
            head = read_response_head(data, len(data))
        except (MalformedFieldsError, BadResponseError) as error:
            raise Http2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, str(error)) from None
        if head is None:
            raise Http2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, "its fields are no head")
        head.came_over_http2(ends=ends)
        return head
