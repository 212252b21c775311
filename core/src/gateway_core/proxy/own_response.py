"""A response that is not passed on as it comes from the upstream: a plugin's, the gateway's, or a forwarded one.

It goes through response hooks, and is written whole if its body is there. A file, an iterator, a forwarded response and
whatever has filters are streamed (`ResponseStream`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

from gateway_core.events import PLUGIN_BODY_FAILED, emit
from gateway_core.hooks import Hook, start_response_phase
from gateway_core.messages import Response
from gateway_core.messages.body import BodySource, FilteredBody, FilterSpec
from gateway_core.messages.body_sources import (
    Body,
    BodyTooShortError,
    BytesSource,
    ClosingBehind,
    ExactLength,
    source_of,
)
from gateway_core.messages.response import with_assigned_body
from gateway_core.messages.trace import trace_id_of
from gateway_core.proxy.gateway_responses import gateway_response, show_own_fields, with_request_id
from gateway_core.proxy.response_fields import BODILESS, own_block, trailer_block
from gateway_core.proxy.response_phase import asks_for_tunnel, begin_response
from gateway_core.proxy.response_stream import (
    PluginBody,
    ResponseStream,
    close_replaced,
    close_source,
    report_body,
    report_filter,
)
from gateway_core.proxy.running_exchange import RunningExchange
from gateway_core.proxy.streamed_body import StreamedBody
from gateway_core.proxy.wire.grpc import is_call, message_for, problem_detail, status_for
from gateway_core.reasons import PROTOCOL_NOT_CHANGED


class OwnResponse:
    """The one response of an exchange that is not an upstream's as it comes."""

    __slots__ = ("_body", "_length", "_owner", "reason", "response")

    def __init__(self, owner: RunningExchange, response: Response) -> None:
        self._owner = owner
        self.response = response
        self._body: Body = response.body
        self._length: int | None = None
        self.reason: str | None = None
        """Why it is not the response that it was at first, if a response hook failed."""

    def respond(self, hooks: tuple[Hook, ...]) -> None:
        """Run response hooks, and write what they leave."""
        owner, response = self._owner, self.response
        if hooks:
            if owner.head.method == "HEAD":
                response.is_for_head = True
            show_own_fields(response, owner.proxy.date, owner.request.request_id)
            owner.runner().run(self.write, start_response_phase, hooks, owner.request, response)
        else:
            self.write(response)

    def write(self, response: Response) -> None:
        """Write a response, or begin to."""
        response = with_assigned_body(response) if response.is_streamed else response
        if response is not self.response:
            self.reason = response.failure
            self.response = response
        head = self._owner.head
        if head.method == "HEAD":
            response.is_for_head = True
        if asks_for_tunnel(head):
            self._write_body(self._refuse_tunnel(response) if response.status < 300 else response)
        elif response.status >= 300 and is_call(head):
            self._write_grpc(response)
        else:
            self._write_body(response)

    def _write_body(self, response: Response) -> None:
        owner, specs = self._owner, response.body_filters
        streamed = response.operations if isinstance(response.operations, StreamedBody) else None
        body: Body | BodySource = response.body if streamed is None else streamed.take()
        if self._body is not response.body:
            replaced, self._body = self._body, b""
            if isinstance(replaced, AsyncIterator) and replaced not in response.replaced:
                response.replaced = (*response.replaced, replaced)
        self._body = b""  # it is closed by what reads it
        if isinstance(body, bytes):
            close_replaced(response, owner.runner)
            may_have_body = response.status not in BODILESS
            data = body if may_have_body else b""
            data = self._with_request_id(response, data) if data[-1:] == b"}" else data  # it may be a problem
            if streamed is not None or not specs or not data:
                self._write_head(len(data) if may_have_body else None, data, complete=True)
                owner.written(self.reason or self.response.failure)
                return
            body = BytesSource(data)
            length = None if response.is_filtered else len(data)
        elif streamed is not None:
            length = None if streamed.is_changed else streamed.length
        else:
            length = _stated_length(response)
        if isinstance(body, Path | AsyncIterator):
            body = PluginBody(source_of(body), owner.request, response.body_owner)
        source = ClosingBehind(body, response.replaced) if response.replaced else body
        self._stream(response, source, () if streamed is not None else specs, length)

    def _with_request_id(self, response: Response, body: bytes) -> bytes:
        request = self._owner.request
        return with_request_id(response, body, request.request_id, request.trace)

    def _refuse_tunnel(self, response: Response) -> Response:
        """Return what goes out in place of a 2xx, by which a tunnel would begin that leads nowhere."""
        self._close_bodies(response)
        refused = self.response = gateway_response(501, PROTOCOL_NOT_CHANGED)
        self.reason, self._body = PROTOCOL_NOT_CHANGED, refused.body
        return refused

    def _close_bodies(self, response: Response) -> None:
        """Close the bodies of a response that goes out without them."""
        runner = self._owner.runner
        self.discard()
        if isinstance(response.body, AsyncIterator):
            close_source(source_of(response.body), runner())
        close_replaced(response, runner)

    def _write_grpc(self, response: Response) -> None:
        """Refuse a call of gRPC: by its status in a head with which the stream ends."""
        owner = self._owner
        self._close_bodies(response)
        status, headers = response.status, response.headers
        message = message_for(status, problem_detail(response.body) if response.is_problem else "")
        headers["Content-Type"] = "application/grpc"
        code = status_for(status, response.failure)
        headers["grpc-status"] = str(int(code))
        headers["grpc-message"] = message
        begin_response(owner)
        owner.writer.start(200, "OK", own_block(response), None, owner.id_line, b"", complete=True)
        owner.written(self.reason or self.response.failure, code)

    def _stream(
        self, response: Response, source: BodySource, specs: tuple[FilterSpec, ...], length: int | None
    ) -> None:
        owner, self._length = self._owner, length
        if not response.has_body:
            close_source(source, owner.runner())
            self._write_head(length, b"", complete=True)
            owner.written(self.reason or self.response.failure)
            return
        if specs:
            source = FilteredBody(source, specs, partial(report_filter, owner.request))
        if length is not None:
            source = ExactLength(source, length, self._on_excess)
        owner.stream(ResponseStream(self, source, owner.writer, owner.runner()))

    def _on_excess(self) -> None:
        request = self._owner.request
        request_id = request.request_id
        reason = f"the response has more than its Content-Length of {self._length} bytes"
        text = f"request {request_id}: {reason}"
        emit(PLUGIN_BODY_FAILED, text, request_id=request_id, trace_id=trace_id_of(request.trace), reason=reason)

    def _write_head(self, length: int | None, body: bytes, *, complete: bool) -> None:
        owner, response = self._owner, self.response
        begin_response(owner)
        owner.writer.start(response.status, response.reason, own_block(response), length, owner.id_line, body, complete)

    def begin_stream(self, first: bytes) -> None:
        """Write the head with the first piece of the body."""
        length = self._length if first or self._length is not None else 0
        self._write_head(length, first, complete=not first)

    def end_stream(self, source: BodySource) -> None:
        """Complete the body."""
        owner = self._owner
        owner.writer.end(trailer_block(source.trailers) if owner.head.facts.takes_trailers else b"")
        owner.written(self.reason or self.response.failure)

    def stream_failed(self, error: BaseException) -> None:
        """Respond otherwise, or cut the response off."""
        if isinstance(error, BodyTooShortError):
            report_body(self._owner.request, self.response.body_owner, "a body", error)
        self._owner.body_broken(error)

    def discard(self) -> None:
        """Close a body that is not going to be read."""
        body, self._body = self._body, b""
        if isinstance(body, AsyncIterator):
            close_source(source_of(body), self._owner.runner())


def _stated_length(response: Response) -> int | None:
    """Return the Content-Length that a plugin gave a body of which it is not known."""
    value = response.headers.get("Content-Length", "")
    return int(value) if value.isascii() and value.isdigit() else None
