"""A request's body on its way from the connection's bytes to the exchange."""

from __future__ import annotations

from typing import Final

from gateway_core.proxy.downstream.client import Client
from gateway_core.proxy.downstream.http1_writer import Http1ResponseWriter
from gateway_core.proxy.request_body import HIGH_WATER, BodyOwner, RequestBody
from gateway_core.proxy.wire.body_reader import BodyReader
from gateway_core.proxy.wire.chunks import BadChunkError
from gateway_core.proxy.wire.request_fields import RequestFacts
from gateway_core.reasons import BAD_BODY

MALFORMED: Final = (400, BAD_BODY, "the request body is malformed")
"""Status, reason and detail; where such a body ends is unknown, and with it where another request could begin (RFC 9112
section 6.3)."""


class BodyIntake:
    """Reads the bodies of one connection, one after the other."""

    __slots__ = ("_client", "_expects_continue", "_reader", "_writer", "body", "is_large")

    def __init__(self, client: Client, writer: Http1ResponseWriter) -> None:
        self._client = client
        self._writer = writer
        self._expects_continue = False
        self._reader: BodyReader | None = None
        self.body: RequestBody | None = None
        """The body that is in progress and not complete."""
        self.is_large = False
        """Whether the body may be longer than what a read brings."""

    @property
    def waits_for_client(self) -> bool:
        """Whether the client could send more of the body now."""
        may_send = not self._expects_continue or self._writer.continue_sent
        return self.body is not None and not self.body.is_paused and may_send

    def begin(self, owner: BodyOwner, facts: RequestFacts, data: bytes, position: int) -> tuple[RequestBody, int]:
        """Return the body of a request, with what is there of it, and where the bytes begin that were not read.

        :raises BadChunkError: it is malformed.
        """
        length, end = facts.content_length, position + facts.content_length
        if not facts.chunked and end <= len(data):  # the usual body came whole
            piece = data[position:end] if length else b""
            return RequestBody(owner, self._writer, piece, is_complete=True), end
        reader = BodyReader(-1 if facts.chunked else facts.content_length)
        piece, position = reader.take(data, position)
        if reader.is_complete:
            trailers = self._client.trailers(reader.trailers)
            return RequestBody(owner, self._writer, piece, is_complete=True, trailers=trailers), position
        self._reader, self.is_large, self._expects_continue = reader, reader.is_large, facts.expect
        body = self.body = RequestBody(owner, self._writer, piece)
        if body.received >= HIGH_WATER:
            body.pause()
        return body, position

    def read(self, data: bytes, position: int) -> int:
        """Pass on the next part of the body in progress; return where the bytes begin that were not read."""
        reader, body = self._reader, self.body
        assert reader is not None
        assert body is not None
        try:
            piece, position = reader.take(data, position)
        except BadChunkError:
            self.stop()
            body.fail(*MALFORMED)
            return len(data)
        if piece:
            body.feed(piece)
        if reader.is_complete and self.body is body:
            self.stop()
            body.end(self._client.trailers(reader.trailers))
        return position

    def stop(self) -> None:
        """Feed nothing more: the body is complete, or the exchange is over."""
        self._reader = self.body = None
        self.is_large = False
