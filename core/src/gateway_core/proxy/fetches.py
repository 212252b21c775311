"""What plugins send by ``self.upstreams.fetch``: an `UpstreamCall` with the fields that its origin asks for.

A fetch is a request of the gateway's own, not the client's: it carries no forwarding fields of a client. Unless the
plugin wrote them, it has the request id of the request whose hook sends it (or a new one) and its trace context
(``traceparent``, ``tracestate``). Via is always the gateway's, and continues that of the request, so that a fetch that
comes back to this gateway again and again is refused there like any loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway_core.hooks import FetchHead, FetchRequest, current_request, current_scope
from gateway_core.messages import Headers, Request
from gateway_core.messages.headers import block_of, headers_of_block
from gateway_core.messages.request import arrival_of
from gateway_core.proxy.attempt_phase import AttemptPhase
from gateway_core.proxy.call_head import CallHead
from gateway_core.proxy.fetch_body import FetchBody
from gateway_core.proxy.hook_runner import HookRunner
from gateway_core.proxy.upstream.directory import UpstreamDirectory
from gateway_core.proxy.upstream_call import UpstreamCall
from gateway_core.proxy.wire.fields import valid_host, value_of
from gateway_core.proxy.wire.forwarding import CDN_ID, Origin
from gateway_core.snapshot import SnapshotHolder

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
        self._add_own(fields, parent, scope.via)
        block = block_of(fields)
        head = CallHead(asked.method, asked.path, block, host)
        timeouts, body = upstream.settings.timeouts, asked.body
        hooks = scope.attempt_hooks.get(upstream.name, ())
        if upstream.is_plain and not hooks:
            return Fetch(UpstreamCall(self._directory, upstream, head, timeouts, body, asked.timeout))
        # What the upstream's strategy and attempt hooks look at.
        request = Request(asked.method, asked.path, fields)
        request.request_id = fields.get("x-request-id", "")
        request.operations = FetchBody(body)
        key = None if upstream.hash_key is None else upstream.hash_key(request)
        call = UpstreamCall(self._directory, upstream, head, timeouts, body, asked.timeout, key=key)
        if hooks:
            call.attempt_phase = AttemptPhase(hooks, request, HookRunner(call.crashed, scope.context.copy()))
        return Fetch(call)

    def _add_own(self, fields: Headers, parent: Request | None, via: bytes) -> None:
        """Add the fields that the gateway writes itself."""
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
        if parent is not None and "traceparent" not in fields:
            for name in _TRACE_FIELDS:
                value = parent.headers.get(name)
                if value is not None:
                    fields[name] = value
