"""What plugins send by ``self.upstreams.fetch``: an `UpstreamCall` with the fields that its origin asks for.

A fetch is a request of the gateway's own, not the client's: it carries no forwarding fields of a client. Unless the
plugin wrote them, it has the request id of the request whose hook sends it (or a new one) and its trace context
(``traceparent``, ``tracestate``). Via is always the gateway's, and continues that of the request, so that a fetch that
comes back to this gateway again and again is refused there like any loop. Cookies that only a plugin of this gateway
reads (`Plugin.own_cookies`) are removed: they open sessions here, and are no other service's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final, NamedTuple

from gateway_core.errors import BodyTooLargeError
from gateway_core.hooks import FetchHead, FetchRequest, current_scope
from gateway_core.messages import Headers, Request, Response
from gateway_core.messages.body import FilterSpec
from gateway_core.messages.headers import block_of, headers_of_block
from gateway_core.messages.hook_owner import current_request
from gateway_core.messages.request_lines import arrival_of
from gateway_core.observe.tracing import RequestTrace, TracePlace
from gateway_core.observe.tracing.hook_spans import hook_span_id
from gateway_core.observe.tracing.plugin_context import current_span_id
from gateway_core.observe.tracing.propagation import fields_of, read_remote
from gateway_core.proxy.attempt_owner import PreparedRequest
from gateway_core.proxy.hook_runner import HookRunner
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.upstream.directory import UpstreamDirectory
from gateway_core.proxy.upstream_call import UpstreamCall
from gateway_core.proxy.upstream_head import AttemptPhase
from gateway_core.proxy.wire.fields import credentials_bind, valid_host, value_of
from gateway_core.proxy.wire.forwarding import CDN_ID, Origin
from gateway_core.proxy.wire.request_head import BINDS, HEAD_ONLY, IN_CHUNKS
from gateway_core.proxy.wire.response_head import ResponseHead
from gateway_core.snapshot import Snapshot, SnapshotHolder
from gateway_core.upstreams.endpoint import Endpoint


class CallHead(NamedTuple):
    """The head of a request that the gateway made."""

    method: str
    target: str
    """Path and query, as they go on the wire."""
    block: bytes = b""
    """Fields, each line with a CRLF before it; without Host and those that frame the body."""
    host: bytes = b""
    """The value of Host if it is not the endpoint's authority."""

    def head_for(self, endpoint: Endpoint, body: RequestBody | None) -> PreparedRequest:
        flags, framing = HEAD_ONLY if self.method == "HEAD" else 0, b""
        if body is not None and body.is_complete:
            framing = b"\r\nContent-Length: %d" % body.received
        elif body is not None:
            framing = b"\r\nTransfer-Encoding: chunked"
            flags |= IN_CHUNKS
        if credentials_bind(self.block.lower()):
            flags |= BINDS  # a login by this request, as for an error page, must not count for the next one
        line = f"{self.method} {self.target} HTTP/1.1\r\nHost: ".encode("latin-1")
        host = self.host or endpoint.authority
        return b"".join((line, host, self.block, framing, b"\r\n\r\n")), flags

    def on_interim(self, head: ResponseHead) -> None:
        """Drop it: a plugin gets the final response."""


class FetchBody:
    """The `RequestOperations` of a fetch."""

    __slots__ = ("_body",)

    def __init__(self, body: bytes | AsyncIterator[bytes]) -> None:
        self._body = body

    @property
    def has_body(self) -> bool:
        """Whether there is one; an iterator may turn out to be empty."""
        return bool(self._body)

    async def read_body(self, limit: int) -> bytes:
        """Return the body.

        :raises RuntimeError: it is streamed: it is made while it is sent.
        """
        if not isinstance(self._body, bytes):
            raise RuntimeError("the body of this fetch is an iterator, which cannot be read before it is sent")
        if len(self._body) > limit:
            raise BodyTooLargeError(f"the body is larger than {limit} bytes")
        return self._body

    def read_body_nowait(self, limit: int) -> bytes | None:
        """Return the body if it is there."""
        return self._body if isinstance(self._body, bytes) and len(self._body) <= limit else None

    def set_body(self, data: bytes) -> None:  # noqa: ARG002 - as requests have it
        raise RuntimeError("the body of a fetch is what its plugin sends")

    def add_body_filter(self, spec: FilterSpec) -> bool:  # noqa: ARG002 - as requests have it
        raise RuntimeError("the body of a fetch is what its plugin sends")

    async def forward(self) -> Response:
        raise RuntimeError("a fetch cannot be forwarded: it is sent already")

    def detach(self) -> Request:
        raise RuntimeError("a fetch cannot be detached")

    def abort(self, reason: str) -> None:
        """Do nothing: the hook that fetches ends it."""


_LOOP_FIELDS: Final = ("via", "cdn-loop")
_TRACE_FIELDS: Final = ("traceparent", "tracestate")


class Fetch:
    """One request of a plugin, and its response."""

    __slots__ = ("_call",)

    def __init__(self, call: UpstreamCall) -> None:
        self._call = call

    async def response(self) -> FetchHead:
        """Send it, and return the response's head, whatever its status."""
        head = await self._call.response()
        headers = headers_of_block(head.block)
        if head.content_length is not None:
            headers["Content-Length"] = str(head.content_length)
        return FetchHead(head.status, headers)

    @property
    def is_idle(self) -> bool:
        return self._call.is_idle

    @property
    def trailers(self) -> Headers:
        return self._call.trailers

    async def read(self) -> bytes:
        """Return the next part of the response's body."""
        return await self._call.read()

    async def aclose(self, error: Exception | None = None) -> None:
        """End it wherever it is."""
        await self._call.aclose(error)


class Fetches:
    """Sends what plugins fetch (a `Fetcher`)."""

    __slots__ = ("_directory", "_holder", "_new_id")

    def __init__(self, directory: UpstreamDirectory, holder: SnapshotHolder, new_id: Callable[[], str]) -> None:
        self._directory = directory
        self._holder = holder
        self._new_id = new_id

    def open(self, asked: FetchRequest) -> Fetch:
        """Prepare a request to the upstream of that name: the caller's context says of which configuration.

        :raises UpstreamError: 503, there is none.
        :raises ValueError: there are several Hosts, or one that is none.
        """
        scope = current_scope.get()
        if scope is None or scope.is_closed:
            scope = self._holder.current.scope
        upstream = scope.find(asked.name)
        parent = current_request.get()
        fields = asked.headers
        hosts = fields.get_all("host")
        host = ",".join(hosts).encode("latin-1")
        if hosts and not valid_host(host):
            raise ValueError(f"{host.decode('latin-1')[:80]!r} is not a Host: give one name, with or without a port")
        fields.remove("host")
        if scope.own_cookies is not None:
            scope.own_cookies.remove_from(fields)
        place = self._place_of(parent, fields)
        self._add_own(fields, parent, scope.via, copies_trace=place is None)
        block = block_of(fields)
        head = CallHead(asked.method, asked.path, block, host)
        timeouts, body = upstream.settings.timeouts, asked.body
        hooks = scope.attempt_hooks.get(upstream.name, ())
        if upstream.is_plain and not hooks:
            return Fetch(
                UpstreamCall(
                    self._directory, upstream, head, timeouts, body, asked.timeout, request=parent, place=place
                )
            )
        # What the upstream's strategy and attempt hooks look at.
        request = Request(asked.method, asked.path, fields)
        request.request_id = fields.get("x-request-id", "")
        request.operations = FetchBody(body)
        key = None if upstream.hash_key is None else upstream.hash_key(request)
        call = UpstreamCall(
            self._directory, upstream, head, timeouts, body, asked.timeout, key=key, request=parent, place=place
        )
        if hooks:
            runner = HookRunner(call.crashed, scope.context.copy())
            call.run_before_attempts(AttemptPhase(hooks, request, runner))
        return Fetch(call)

    def _place_of(self, parent: Request | None, fields: Headers) -> TracePlace | None:
        """Return where a fetch belongs; None if there is none, or the plugin wrote the fields of another.

        Its parent is the plugin's span if the plugin has one: the one that it wrote, or the current one; else that of
        the hook that sends it, if hooks have spans.
        """
        current: Snapshot | None = self._holder.current
        found = None if parent is None else parent.trace
        if isinstance(found, RequestTrace):
            trace = found
        elif parent is None and current is not None and current.tracer is not None:
            trace = current.tracer.begin_own()
        else:
            return None
        block = block_of(fields)
        written = read_remote(fields_of(block), trace.tracer.formats)
        if written is None:
            own = current_span_id(trace)
            parent_id = hook_span_id(trace) if own in {None, trace.span_id} else own
            return TracePlace(trace, "fetch", parent_id=parent_id)
        return TracePlace(trace, "fetch", parent_id=written.span_id) if written.trace_id == trace.trace_id else None

    def _add_own(self, fields: Headers, parent: Request | None, via: bytes, *, copies_trace: bool) -> None:
        """Add the fields that the gateway writes itself.

        :param copies_trace: whether the fields of the request's trace go on as they came.
        """
        for name in _LOOP_FIELDS:
            fields.remove(name)
        arrival = None if parent is None else arrival_of(parent)
        if isinstance(arrival, Origin):
            for key, line in arrival.lines:
                name = key.decode()
                if name in _LOOP_FIELDS:
                    fields.add(name, value_of(line).decode("latin-1"))
        elif via:
            fields.add("Via", via.decode("latin-1"))
        else:
            fields.add("CDN-Loop", CDN_ID.decode())
        request_id = self._new_id() if parent is None else parent.request_id
        fields.setdefault("X-Request-Id", request_id)
        if copies_trace and parent is not None and "traceparent" not in fields:
            for name in _TRACE_FIELDS:
                value = parent.headers.get(name)
                if value is not None:
                    fields[name] = value
