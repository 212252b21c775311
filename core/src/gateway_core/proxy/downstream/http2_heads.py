"""The heads of an HTTP/2 connection: from blocks of HPACK to what an exchange begins with.

A block becomes a head of HTTP/1.1, which the one reader of heads judges (`HeadReader`), so that nothing depends on the
protocol that a request came in. As long as the dynamic table stays the same, a block that came before means the same
again, and clients that repeat their fields send such blocks: they are looked up whole.
"""

from __future__ import annotations

import contextlib
import os
from typing import Final

from gateway_core.proxy.downstream.client import Client
from gateway_core.proxy.downstream.head_reader import HeadReader
from gateway_core.proxy.wire.h2.fields import MalformedFieldsError, handshake_lines, request_fields, trailer_fields
from gateway_core.proxy.wire.h2.hpack import Decoder, FieldsTooLargeError
from gateway_core.proxy.wire.request_head import HeadProblem, RequestHead
from gateway_core.reasons import BAD_REQUEST, HEAD_TOO_LARGE
from gateway_core.snapshot import Snapshot

_MOST: Final = 64
"""Blocks that are remembered."""

_TOO_LARGE: Final = HeadProblem(431, HEAD_TOO_LARGE, "the fields are larger than limits.max_head_bytes")


class Http2Heads:
    """Reads the blocks of one connection, in their order."""

    __slots__ = ("_decoder", "_generation", "_known", "_plain", "_snapshot", "_with_body")

    def __init__(self, client: Client, most: int) -> None:
        """Begin with an empty table.

        :param most: bytes of a list of fields at most, as it is announced in SETTINGS.
        """
        self._decoder = Decoder(most)
        # The same fields mean something else with a body behind them, so each kind has a reader of its own.
        self._plain = HeadReader(client)
        self._with_body = HeadReader(client)
        self._known: dict[tuple[bytes, bool], RequestHead] = {}
        self._generation = 0
        self._snapshot: Snapshot | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is remembered that belongs to a configuration."""
        return self._plain.is_empty and self._with_body.is_empty

    def clear(self) -> None:
        """Forget everything but the table, which is the client's as well."""
        self._known.clear()
        self._plain.clear()
        self._with_body.clear()
        self._snapshot = None

    def read(self, block: bytes, snapshot: Snapshot, *, has_body: bool) -> RequestHead | HeadProblem:
        """Return the head of a request, or why there is none that is served.

        :param has_body: whether the stream does not end with this block.
        :raises Http2ConnectionError: the block is no HPACK.
        :raises MalformedFieldsError: its fields make no request.
        """
        decoder = self._decoder
        if self._snapshot is not snapshot or self._generation != decoder.generation:
            self._known.clear()
            self._snapshot, self._generation = snapshot, decoder.generation
        else:
            known = self._known.get((block, has_body))
            if known is not None:
                return known
        try:
            fields = request_fields(decoder.decode(block))
        except FieldsTooLargeError:
            return _TOO_LARGE
        reader = self._with_body if has_body else self._plain
        handshake = b"" if fields.protocol is None else handshake_lines(fields.protocol, os.urandom(16))
        data = b"".join((fields.line, fields.block, handshake, b"\r\n\r\n"))
        head = reader.read(data, 0, snapshot)
        if head is None:
            return HeadProblem(400, BAD_REQUEST, "the fields are no head")
        if isinstance(head, HeadProblem):
            return head
        if not has_body and head.facts.content_length > 0:
            raise MalformedFieldsError("there is a Content-Length and no body")
        head.came_over_http2(has_body=has_body and fields.protocol is None)
        if fields.protocol is None and decoder.generation == self._generation:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[block, has_body] = head
        return head

    def read_trailers(self, block: bytes) -> bytes:
        """Return the trailer fields behind a body, as lines.

        :raises Http2ConnectionError: the block is no HPACK.
        :raises MalformedFieldsError: they are no trailers, or too large.
        """
        try:
            return trailer_fields(self._decoder.decode(block))
        except FieldsTooLargeError as error:
            raise MalformedFieldsError(str(error)) from None

    def skip(self, block: bytes) -> None:
        """Decode a block only to keep the dynamic table in step.

        :raises Http2ConnectionError: the block is no HPACK.
        """
        with contextlib.suppress(FieldsTooLargeError):
            self._decoder.decode(block)
