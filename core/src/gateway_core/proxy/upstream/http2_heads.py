"""The heads of responses over HTTP/2: from blocks of HPACK to what the reader of HTTP/1 makes of them.

As long as the dynamic table stays the same, a block that came before means the same again, and is looked up whole.
"""

from __future__ import annotations

import contextlib
from typing import Final

from gateway_core.proxy.wire.h2.errors import ErrorCode, Http2StreamError
from gateway_core.proxy.wire.h2.fields import MalformedFieldsError, response_fields, trailer_fields
from gateway_core.proxy.wire.h2.hpack import Decoder, Field, FieldsTooLargeError
from gateway_core.proxy.wire.repairs import BadResponseError
from gateway_core.proxy.wire.response_head import ResponseHead, read_response_head

_MOST: Final = 64
_LONGEST: Final = 4096
"""Blocks that are remembered, and bytes of one."""


class ResponseHeads:
    """Reads the blocks of one connection, in their order."""

    __slots__ = ("_decoder", "_generation", "_known")

    def __init__(self, most: int) -> None:
        """Begin with an empty table.

        :param most: bytes of a list of fields at most, as it is announced in SETTINGS.
        """
        self._decoder = Decoder(most)
        self._known: dict[bytes, ResponseHead] = {}
        self._generation = 0

    def read(self, stream_id: int, block: bytes, *, ends: bool) -> ResponseHead:
        """Return a head, interim ones as well.

        :param ends: whether the response has no body.
        :raises Http2ConnectionError: the block is no HPACK.
        :raises Http2StreamError: its fields make no response, or are too large.
        """
        decoder = self._decoder
        if self._generation != decoder.generation:
            self._known.clear()
            self._generation = decoder.generation
        head = self._known.get(block)
        if head is None or ends:
            head = self._new(stream_id, block, ends=ends)
            if not ends and decoder.generation == self._generation and len(block) <= _LONGEST:
                if len(self._known) >= _MOST:
                    self._known.clear()
                self._known[block] = head
        return head

    def read_trailers(self, stream_id: int, block: bytes) -> bytes:
        """Return the fields behind a body, as lines.

        :raises Http2ConnectionError: as `read`.
        :raises Http2StreamError: they are no trailers, or too large.
        """
        fields = self._decode(stream_id, block)
        try:
            return trailer_fields(fields)
        except MalformedFieldsError as error:
            raise Http2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, str(error)) from None

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
