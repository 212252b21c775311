"""What hooks do to the body of a request: read it, replace it, put filters over it.

As long as no hook changes the body, it stays where the client's connection puts it, and a read only waits there. With
the first filter or other body, it is a `StreamedBody`, and `take` makes another `RequestBody` of that
(`gateway_core.proxy.request_filters`) when the request goes upstream.
"""

from __future__ import annotations

from functools import partial
from typing import Protocol

from gateway_core.config import LimitsConfig
from gateway_core.hooks import Chain
from gateway_core.messages import Request
from gateway_core.messages.body import FilterSpec
from gateway_core.messages.body_sources import BytesSource
from gateway_core.proxy.hook_runner import HookRunner
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.request_filters import ClientBody, FilteredRequest, whole_body
from gateway_core.proxy.response_fields import trailer_block
from gateway_core.proxy.response_stream import report_filter
from gateway_core.proxy.response_writer import ResponseWriter
from gateway_core.proxy.streamed_body import StreamedBody
from gateway_core.proxy.wire.request_head import RequestHead


class ChangingExchange(Protocol):
    """The exchange, as far as changes of its request's body use it."""

    body: RequestBody | None
    chain: Chain
    head: RequestHead
    is_over: bool
    request: Request
    writer: ResponseWriter

    @property
    def is_responding(self) -> bool:
        """Whether there is a response, written or not."""

    @property
    def limits(self) -> LimitsConfig:
        """Those of the snapshot in force."""

    def runner(self) -> HookRunner:
        """Return what runs the hooks."""

    def watch(self, seconds: float) -> None:
        """Expire in so many seconds; 0 is no limit but that of the whole request."""

    def body_broken(self, error: BaseException) -> None:
        """Called when a filter failed: the body that goes upstream will not be complete."""


class BodySender(Protocol):
    """What sends the body upstream."""

    def sent_body_ended(self) -> None:
        """Called when the body that goes upstream is complete."""


class RequestChanges:
    """The body of one request, as hooks leave it."""

    __slots__ = ("_changes", "_exchange", "_has_continued", "_is_taken", "_sender", "_sent", "whole")

    def __init__(self, exchange: ChangingExchange) -> None:
        self._exchange = exchange
        self._sender: BodySender | None = None
        self.whole: bytes | None = None
        """The body, if it was read or set and no filter follows."""
        self._changes: StreamedBody | None = None
        self._sent: RequestBody | None = None
        self._is_taken = self._has_continued = False

    async def read_body(self, limit: int) -> bytes:
        """Return the whole body (see `Request.read`)."""
        if self._changes is not None and not self._is_taken:
            self.whole = await self._changes.read_body(limit)
            return self.whole
        body = self._sent if self._is_taken else self._exchange.body
        if body is None:
            return b""
        self.body_wanted(not body.is_complete)
        try:
            self.whole = await body.read(limit)
        finally:
            self.body_wanted(False)
        return self.whole

    def set_body(self, data: bytes) -> None:
        """Send another body (see `Request.set_body`)."""
        self._changing().set_body(data)
        self.whole = data

    def add_body_filter(self, spec: FilterSpec) -> bool:
        """Send the body through a filter; return whether there is one (see `Request.add_body_filter`)."""
        if not self.has_body:
            return False
        self._changing().add_body_filter(spec)
        self.whole = None if not spec.observe else self.whole
        return True

    @property
    def has_body(self) -> bool:
        """Whether there is a body; `Content-Length: 0` is none."""
        if self._changes is None or self._changes.set_length is None:
            return self._exchange.body is not None and self._exchange.head.facts.content_length != 0
        return self._changes.set_length > 0

    def _changing(self) -> StreamedBody:
        if self._is_taken or self._exchange.is_responding:
            raise RuntimeError("the request is on its way upstream: change its body before, up to pre-proxy")
        if self._changes is None:
            exchange = self._exchange
            source = BytesSource(b"") if exchange.body is None else ClientBody(self, exchange.body)
            self._changes = StreamedBody(source, "request", partial(report_filter, exchange.request))
        return self._changes

    # -- what the exchange calls

    def sent_by(self, sender: BodySender) -> None:
        """Tell of the end of the body that goes upstream, if it is another one than the client's."""
        self._sender = sender

    def take(self) -> RequestBody | None:
        """Return the body that goes upstream; filters are made now, and nothing can be changed any more."""
        self._is_taken = True
        exchange, changes = self._exchange, self._changes
        if changes is None:
            self._sent = exchange.body
            return self._sent
        if exchange.body is not None:
            exchange.body.reserve(exchange.chain.reserved)
        taken = changes.take()
        if not isinstance(taken, bytes):
            body = FilteredRequest(self, taken, exchange.runner(), is_chunked=changes.is_changed).body
        elif not taken and exchange.body is None:
            return None
        else:
            body = whole_body(taken, trailer_block(changes.trailers))
        self._sent = body
        return body

    # -- what the body tells (`FilteringExchange`)

    def body_wanted(self, is_waiting: bool) -> None:
        """Begin the client's time for the next part of its body, or end it."""
        exchange = self._exchange
        client = exchange.body
        if exchange.is_over or exchange.is_responding or client is None:
            return
        if is_waiting and not client.is_complete:
            if exchange.head.facts.expect and not self._has_continued:
                self._has_continued = True
                exchange.writer.send_continue()
            exchange.watch(exchange.limits.body_timeout)
        elif not self._is_taken:
            exchange.watch(0)

    def sent_body_ended(self) -> None:
        """Tell of the end of the body that goes upstream."""
        if self._sender is not None:
            self._sender.sent_body_ended()

    def sent_body_failed(self, error: BaseException) -> None:
        """Tell of a filter that failed."""
        self._exchange.body_broken(error)
