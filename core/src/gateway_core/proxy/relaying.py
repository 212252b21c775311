"""The client's half of an exchange: the answer's head, its body as it comes, and the end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway_core.messages import Request, Response
from gateway_core.proxy.answer_head import BODILESS, Framing, framing_fields, framing_of, own_block, status_line
from gateway_core.proxy.own_answers import with_request_id
from gateway_core.proxy.sweeper import NEVER
from gateway_core.proxy.wire.chunks import LAST_CHUNK, encode_chunk
from gateway_core.proxy.wire.response_head import NO_BODY

if TYPE_CHECKING:
    from gateway_core.proxy.lane import HeadMemo, Lane
    from gateway_core.proxy.service import Proxy
    from gateway_core.proxy.upload import Upload
    from gateway_core.proxy.upstream_connection import UpstreamConnection
    from gateway_core.proxy.wire.response_head import ResponseHead
    from gateway_core.snapshot import Snapshot

_LENGTH = Framing.LENGTH
_CHUNKED = Framing.CHUNKED
_NONE = Framing.NONE


class Relaying:
    """Writes one answer to the client.

    Attributes have their defaults in the class, so that making an exchange sets only the few that differ.
    """

    lane: Lane
    transport: asyncio.Transport
    proxy: Proxy
    request: Request
    memo: HeadMemo
    snapshot: Snapshot
    response: Response | None = None
    head: ResponseHead | None = None
    """The upstream's head that is being answered with."""
    upload: Upload | None = None
    connection: UpstreamConnection | None = None
    head_sent = False
    over = False
    keep_alive = True
    bytes_sent = 0
    deadline = NEVER
    is_client_slow = False
    aborted: str | None = None
    error: str | None = None
    _framing = Framing.NONE
    _write_timeout_from: float | None = None

    # -- heads

    def relay_head(self, head: ResponseHead, body: bytes, complete: bool) -> None:
        """Write an upstream's head as it is, with the part of the body that is there; nothing of it was changed."""
        request, lane = self.request, self.lane
        length = head.content_length
        self._settle_keep_alive()
        is_head = request.method == "HEAD"
        if (
            self.keep_alive
            and length is not None
            and not is_head
            and lane.version == "1.1"
            and head.status not in BODILESS
        ):
            self._relay_plain(head, length, body, complete)
            return
        if length is None and complete and not is_head and head.length != NO_BODY:
            length = len(body)
        framing = self._framing = framing_of(head.status, is_head, length, lane.version)
        if framing is Framing.UNTIL_CLOSE:
            self.keep_alive = False
        fields = framing_fields(head.status, framing, length, lane.version, self.keep_alive)
        self.head_sent = True
        size = len(body)
        self.bytes_sent = size
        if framing is _CHUNKED:
            body = encode_chunk(body)
        self.transport.write(
            b"".join(
                (
                    status_line(head.status, head.reason),
                    head.block,
                    fields,
                    b"\r\nX-Request-Id: ",
                    request.request_id.encode("latin-1"),
                    b"\r\n\r\n",
                    body,
                )
            )
        )
        if complete:
            self._finish()

    def _relay_plain(self, head: ResponseHead, length: int, body: bytes, complete: bool) -> None:
        """Write the usual answer: a body of known length to a client that keeps its connection."""
        plain = head.plain
        if not plain:
            plain = head.plain = b"%b%b\r\nContent-Length: %d\r\nX-Request-Id: " % (
                status_line(head.status, head.reason),
                head.block,
                length,
            )
        self._framing = _LENGTH
        self.head_sent = True
        self.bytes_sent = len(body)
        self.transport.write(b"".join((plain, self.request.request_id.encode("latin-1"), b"\r\n\r\n", body)))
        if complete:
            self._finish()

    def relay_response(self, response: Response, head: ResponseHead, body: bytes, complete: bool) -> None:
        """Write an upstream's answer whose head or body a hook may have changed."""
        if not response.transforms and response.headers.block is head.block and response.status == head.status:
            self.relay_head(head, body, complete)
            return
        is_head = self.request.method == "HEAD"
        length = None if response.transforms and not is_head else head.content_length
        self._settle_keep_alive()
        framing = self._framing = framing_of(response.status, is_head, length, self.lane.version)
        if framing is Framing.UNTIL_CLOSE:
            self.keep_alive = False
        self._write_head(response, own_block(response), length)
        if body:
            self.relay_body(body)
        if complete:
            self.relay_end(b"")

    def write_own(self, response: Response) -> None:
        """Write an answer that was made here, whole."""
        self.response = response
        request = self.request
        body = b"" if response.status in {204, 304} else with_request_id(response, request.request_id)
        for transform in response.transforms:
            body = transform.feed(body) + transform.finish()
        self._settle_keep_alive()
        length = None if response.status in {204, 304} else len(body)
        self._framing = framing_of(response.status, request.method == "HEAD", length, self.lane.version)
        self._write_head(response, own_block(response), length)
        if self._framing is Framing.LENGTH and body:
            self.bytes_sent = len(body)
            self.transport.write(body)
        self._finish()

    def _write_head(self, response: Response, block: bytes, length: int | None) -> None:
        self.head_sent = True
        fields = framing_fields(response.status, self._framing, length, self.lane.version, self.keep_alive)
        request_id = b"" if b"\r\nx-request-id:" in block.lower() else self.request.request_id.encode("latin-1")
        self.transport.write(
            b"".join(
                (
                    status_line(response.status, response.reason),
                    block,
                    fields,
                    b"\r\nX-Request-Id: " + request_id if request_id else b"",
                    b"\r\n\r\n",
                )
            )
        )

    def write_interim(self, head: ResponseHead) -> None:
        """Pass on 100, 103 and their like; HTTP/1.0 knows none (RFC 9110 section 15.2)."""
        if self.lane.version == "1.1" and not self.head_sent:
            self.transport.write(status_line(head.status, head.reason) + head.block + b"\r\n\r\n")

    def _settle_keep_alive(self) -> None:
        """Decide whether the connection may be used again: not if the request's body is still under way."""
        if self.keep_alive and not (
            self.memo.facts.keep_alive and self.proxy.keeps_alive and (self.upload is None or self.upload.complete)
        ):
            self.keep_alive = False

    # -- bodies

    def relay_body(self, data: bytes) -> None:
        """Write the next part of an upstream's body."""
        response = self.response
        if response is not None and response.transforms:
            for transform in response.transforms:
                data = transform.feed(data)
        self._write_body(data)

    def _write_body(self, data: bytes) -> None:
        framing = self._framing
        if not data or framing is _NONE:
            return
        self.bytes_sent += len(data)
        self.transport.write(encode_chunk(data) if framing is _CHUNKED else data)

    def relay_end(self, trailer: bytes) -> None:
        """Write the end of an upstream's body."""
        response = self.response
        if response is not None and response.transforms:
            data = b""
            for transform in response.transforms:
                data = (transform.feed(data) if data else b"") + transform.finish()
            self._write_body(data)
        if self._framing is _CHUNKED:
            self.transport.write(b"0%b\r\n\r\n" % trailer if trailer else LAST_CHUNK)
        self._finish()

    # -- a slow client

    def pause_answer(self) -> None:
        """Read no more of the upstream's answer: the client does not keep up."""
        self.is_client_slow = True
        if self.connection is not None:
            self.connection.transport.pause_reading()
        self.watch_client_write()

    def resume_answer(self) -> None:
        """Go on reading the upstream's answer."""
        self.is_client_slow = False
        if self.connection is not None:
            self.connection.transport.resume_reading()
        self.watch_answer_body()

    def pause_upload(self) -> None:
        """Take no more of the request's body for now: the upstream does not keep up."""
        if self.upload is not None:
            self.upload.pause()

    def resume_upload(self) -> None:
        """Take more of the request's body again."""
        if self.upload is not None:
            self.upload.resume()

    def watch_client_write(self) -> None:
        raise NotImplementedError

    def watch_answer_body(self) -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        raise NotImplementedError
