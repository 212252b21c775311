"""The client's half of an exchange: the answer's head, its body as it comes, and the end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gateway_core.messages import Headers, Request, Response
from gateway_core.messages.body import Output
from gateway_core.messages.response import response_block
from gateway_core.proxy.answer_head import (
    BODILESS,
    Framing,
    framing_fields,
    framing_of,
    has_gateway_fields,
    own_block,
    status_line,
)
from gateway_core.proxy.gateway_responses import with_request_id
from gateway_core.proxy.socket_options import reset_on_close
from gateway_core.proxy.sweeper import NEVER
from gateway_core.proxy.upstream.connection import HEAD_ONLY
from gateway_core.proxy.wire.chunks import LAST_CHUNK, encode_chunk
from gateway_core.proxy.wire.response_head import NO_BODY

if TYPE_CHECKING:
    from gateway_core.hooks import Chain
    from gateway_core.proxy.lane import HeadMemo, Lane
    from gateway_core.proxy.service import Proxy
    from gateway_core.proxy.upload import Upload
    from gateway_core.proxy.upstream.connection import UpstreamConnection
    from gateway_core.proxy.wire.response_head import ResponseHead
    from gateway_core.snapshot import CompiledRoute, Snapshot
    from gateway_core.upstreams.endpoint import Endpoint
    from gateway_core.upstreams.upstream import Upstream

_CHUNKED = Framing.CHUNKED
_NONE = Framing.NONE


class Relaying:
    """Writes one answer to the client.

    What every request sets has a slot; the rest has its default in the class and a place in the instance's dictionary
    only when it is set. One dictionary for all would not do: above 30 keys CPython no longer shares them between
    instances, and making an exchange takes twice as long.
    """

    __slots__ = (
        "__dict__",
        "_is_counted",
        "answered_at",
        "bytes_sent",
        "chain",
        "connection",
        "deadline",
        "endpoint",
        "head",
        "head_sent",
        "id_line",
        "is_answering",
        "keep_alive",
        "lane",
        "memo",
        "over",
        "picked_at",
        "proxy",
        "request",
        "response",
        "route",
        "snapshot",
        "transport",
        "upload",
        "upstream",
    )

    is_client_slow = False
    aborted: str | None = None
    error: str | None = None
    _framing = Framing.NONE

    def __init__(
        self, lane: Lane, transport: asyncio.Transport, snapshot: Snapshot, memo: HeadMemo, request: Request
    ) -> None:
        self.lane = lane
        self.transport = transport
        self.proxy: Proxy = lane.proxy
        self.request = request
        self.memo = memo
        self.snapshot = snapshot
        self.chain: Chain = snapshot.global_chain
        self.id_line = f"\r\nX-Request-Id: {request.request_id}\r\n\r\n".encode("latin-1")
        """The field that ends a head in both directions."""
        self.upload: Upload | None = None
        self.connection: UpstreamConnection | None = None
        self.route: CompiledRoute | None = None
        self.upstream: Upstream | None = None
        self.endpoint: Endpoint | None = None
        """The one that was picked last."""
        self.response: Response | None = None
        self.head: ResponseHead | None = None
        """The upstream's head that is being answered with."""
        self.deadline = NEVER
        self.picked_at = self.answered_at = 0.0
        self.bytes_sent = 0
        self.keep_alive = True
        self.head_sent = self.is_answering = self.over = self._is_counted = self._binds = False

    # -- heads

    def relay_head(self, head: ResponseHead, body: bytes, complete: bool, added: bytes = b"") -> None:
        """Write an upstream's head as it is, with the part of the body that is there.

        :param added: lines behind those of the head, none of which the gateway writes itself.
        """
        self._settle_keep_alive()
        if complete and head.plain and self.memo.is_usual and self.keep_alive:
            self.bytes_sent = len(body)
            # What came whole in chunks goes on with its length, which spares everybody the chunks.
            plain = head.plain if head.length >= 0 else b"%b\r\nContent-Length: %d" % (head.plain, len(body))
            self.transport.write(b"".join((plain, added, self.id_line, body)))
            self._finish()
            return
        memo, version = self.memo, self.lane.version
        # What the client asked for says whether it expects a body; a hook may have made another method of it.
        is_head = memo.method == "HEAD"
        length = head.content_length
        if memo.flags & HEAD_ONLY and not is_head:
            length = 0
        elif length is None and complete and not is_head and head.length != NO_BODY:
            length = len(body)
        framing = self._framing = framing_of(head.status, is_head, length, version)
        if framing is Framing.UNTIL_CLOSE:
            self.keep_alive = False
        fields = framing_fields(head.status, framing, length, version, self.keep_alive)
        if framing is _NONE:
            body = b""
        self.bytes_sent = len(body)
        if framing is _CHUNKED:
            body = encode_chunk(body)
            added += head.trailer
        data = b"".join((status_line(head.status, head.reason), head.block, added, fields, self.id_line, body))
        self.head_sent = True
        self.transport.write(data)
        if complete:
            self._finish()

    def relay_response(self, response: Response, head: ResponseHead, body: bytes, complete: bool) -> None:
        """Write an upstream's answer whose head or body a hook may have changed."""
        memo = self.memo
        is_head = memo.method == "HEAD"
        data = self._filtered(response, body, complete) if response.filters else body
        block, known = response_block(response), head.block
        if (
            not response.is_filtered
            and response.status == head.status
            and response.reason is head.reason
            and block.startswith(known)
        ):
            added = b"" if block is known else block[len(known) :]
            # What does not begin a line went on with the last one: a value that a hook made longer.
            if not added or (added.startswith(b"\r\n") and not has_gateway_fields(added)):
                self.relay_head(head, data, complete, added)
                return
        length = head.content_length
        if response.is_filtered:
            length = len(data) if complete and not is_head else None
        elif not is_head and (memo.flags & HEAD_ONLY or (head.length == NO_BODY and response.status not in BODILESS)):
            length = 0  # a hook changed a status or method that has no body: what the head says of one does not follow
        self._settle_keep_alive()
        framing = self._framing = framing_of(response.status, is_head, length, self.lane.version)
        if framing is Framing.UNTIL_CLOSE:
            self.keep_alive = False
        self._write(response, own_block(response, head.block), length, data, complete)

    def write_own(self, response: Response) -> None:
        """Write an answer that was made here, whole."""
        self.response = response
        body = b"" if response.status in BODILESS else with_request_id(response, self.request.request_id)
        if response.filters:
            body = self._filtered(response, body, True)
        self._settle_keep_alive()
        length = None if response.status in BODILESS else len(body)
        self._framing = framing_of(response.status, self.memo.method == "HEAD", length, self.lane.version)
        block = own_block(response)
        if "date" not in response.headers:
            block += self.proxy.date.block()
        self._write(response, block, length, body, True)

    def _write(self, response: Response, block: bytes, length: int | None, data: bytes, complete: bool) -> None:
        """Write head and body together: one call to the system instead of two."""
        framing = self._framing
        if framing is _NONE:
            data = b""
        self.bytes_sent = len(data)
        if framing is _CHUNKED:
            data = encode_chunk(data) + (LAST_CHUNK if complete else b"")
        fields = framing_fields(response.status, framing, length, self.lane.version, self.keep_alive)
        data = b"".join((status_line(response.status, response.reason), block, fields, self.id_line, data))
        self.head_sent = True
        self.transport.write(data)
        if complete:
            self._finish()

    @staticmethod
    def _filtered(response: Response, data: bytes, complete: bool) -> bytes:
        for body_filter in response.filters:
            data = _joined(body_filter.feed(data)) if data else b""
            if complete:
                data += _joined(body_filter.finish(Headers()))
        return data

    def write_interim(self, head: ResponseHead) -> None:
        """Pass on 100, 103 and their like; HTTP/1.0 knows none (RFC 9110 section 15.2)."""
        if self.lane.version == "1.1" and not self.head_sent:
            self.transport.write(status_line(head.status, head.reason) + head.block + b"\r\n\r\n")

    def _settle_keep_alive(self) -> None:
        """Decide whether the connection may be used again: not if the request's body is still under way."""
        if (
            not self.memo.facts.keep_alive
            or not self.proxy.keeps_alive
            or (self.upload is not None and not self.upload.complete)
        ):
            self.keep_alive = False

    # -- bodies

    def relay_body(self, data: bytes) -> None:
        """Write the next part of an upstream's body."""
        response = self.response
        if response is not None and response.filters:
            data = self._filtered(response, data, False)
        framing = self._framing
        if data and framing is not _NONE:
            self.bytes_sent += len(data)
            self.transport.write(encode_chunk(data) if framing is _CHUNKED else data)

    def relay_end(self, trailer: bytes) -> None:
        """Write the end of an upstream's body."""
        response, framing = self.response, self._framing
        data = self._filtered(response, b"", True) if response is not None and response.filters else b""
        if framing is not _NONE:
            self.bytes_sent += len(data)
            if framing is _CHUNKED:
                data = encode_chunk(data) + (b"0%b\r\n\r\n" % trailer if trailer else LAST_CHUNK)
            if data:
                self.transport.write(data)
        self._finish()

    def break_off(self, *, flush: bool) -> None:
        """End an answer before its end so that the client sees it: one that ends with its connection needs a reset."""
        if self._framing is Framing.UNTIL_CLOSE:
            reset_on_close(self.transport)
        self.lane.break_off(flush=flush)

    # -- a slow client

    def pause_answer(self) -> None:
        """Read no more of the upstream's answer: the client does not keep up."""
        self.is_client_slow = True
        if self.connection is not None:
            self.connection.pause_reading()
        self.watch_client_write()

    def resume_answer(self) -> None:
        """Go on reading the upstream's answer."""
        self.is_client_slow = False
        if self.connection is not None:
            self.connection.resume_reading()
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

    def _finish(self, now: float | None = None) -> None:
        raise NotImplementedError


def _joined(output: Output) -> bytes:
    if isinstance(output, bytes):
        return output
    if isinstance(output, Iterable):
        return b"".join(output)
    raise TypeError("an awaitable of a body filter cannot be awaited here")
