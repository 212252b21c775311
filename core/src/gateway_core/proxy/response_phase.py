"""What becomes of an upstream's response that hooks change, ask something of, or decide over later.

Made by a relay as soon as a hook does so; a head that plain hooks changed is written at once (`write_head`). While
hooks decide over the head, what comes of the body is held, and the connection is paused. A hook may change the head, or
replace the response, which ends the upstream's connection; what is held then goes on, and the rest as it comes. The
same holds for the head of a 101: only then is it sent, and both byte streams are joined.

A hook may also read the body, set another one, or put filters over it. From then on the body comes through a
`BodyQueue`: what was read or set is written whole, the rest by a `ResponseStream`.
"""

from __future__ import annotations

from functools import partial

from gateway_core.errors import UpstreamError
from gateway_core.hooks import Suspended, start_response_phase
from gateway_core.messages import Response
from gateway_core.messages.body import BodySource, FilterSpec
from gateway_core.messages.headers import headers_of_block
from gateway_core.messages.response import with_assigned_body
from gateway_core.messages.response_lines import added_lines
from gateway_core.proxy.attempt import Attempt
from gateway_core.proxy.response_fields import BODILESS, changed_block, has_gateway_fields, trailer_block
from gateway_core.proxy.response_stream import ResponseStream, report_filter
from gateway_core.proxy.running_exchange import RunningExchange
from gateway_core.proxy.streamed_body import BodyQueue, StreamedBody
from gateway_core.proxy.tunnel import Tunnel, TunnelEnd
from gateway_core.proxy.upstream.connection import UpstreamConnection
from gateway_core.proxy.wire.grpc import is_grpc
from gateway_core.proxy.wire.request_head import HEAD_ONLY, RequestHead
from gateway_core.proxy.wire.response_head import NO_BODY, ResponseHead
from gateway_core.reasons import BAD_RESPONSE


class ResponsePhase:
    """One response of an upstream that hooks do more with than to look at it."""

    __slots__ = (
        "_attempt", "_body", "_broken", "_flags", "_head", "_held", "_is_decided", "_is_streaming", "_owner", "_queue",
        "_switched", "_trailers", "response",
    )  # fmt: skip

    def __init__(
        self,
        owner: RunningExchange,
        attempt: Attempt,
        head: ResponseHead,
        flags: int,
        response: Response,
        body: bytes,
        complete: bool,
    ) -> None:
        """Take a response over that hooks look at.

        :param flags: those of the request that went upstream: a hook may have made a HEAD of it.
        :param body: what came with the head; if ``complete``, all of it.
        """
        self._owner = owner
        self._attempt = attempt
        self._head = head
        self._flags = flags
        self.response = response
        """As hooks see it, and then as they left it."""
        response.operations = self
        self._is_decided = self._is_streaming = False
        self._held = [body]  # what comes of the body while hooks decide
        self._trailers = b"" if complete else None  # of a response that is complete while hooks decide
        self._broken: tuple[str, str] | None = None  # reason and detail of one that will never be complete
        self._switched: UpstreamConnection | None = None
        self._body: StreamedBody | None = None
        self._queue: BodyQueue | None = None

    def settle(self, outcome: Response | Suspended[Response]) -> None:
        """Pass on what the hooks leave, now or when the one that is awaited is done."""
        attempt, owner = self._attempt, self._owner
        try:
            owner.runner().settle(self._decided, outcome, owner.request)
        except Exception as error:  # noqa: BLE001 - hooks may leave anything, and the connection is not to blame for it
            owner.crashed(error)
            return
        if not self._is_decided:
            if self._queue is None:
                attempt.pause_reading()
            owner.watch(0)  # it is the hook that takes its time now, not the upstream

    def _decided(self, response: Response) -> None:
        self._is_decided = True
        owner = self._owner
        response.operations = self.response.operations = None
        response = self.response = with_assigned_body(response)
        if not response.is_streamed:
            # A hook replaced the response: the rest of the upstream's is not read.
            self._drop()
            owner.respond_with(response, ())
            return
        body, trailers = self._body, self._trailers
        if body is not None:
            if self._has_body(response):
                self._stream(response, body)
                return
            self._queue = None
        held, self._held = self._held, []
        self._write(response, held[0] if len(held) == 1 else b"".join(held), trailers == b"")
        if trailers == b"":
            owner.finish(owner.proxy.now())
        elif trailers is not None:
            self.on_end(trailers)
        elif self._broken is not None:
            owner.break_off("upstream", *self._broken)
        else:
            owner.snapshot_replaced()
            if not owner.writer.is_paused:
                owner.resume_response()

    def _drop(self) -> None:
        """Take no more from the upstream."""
        if self._queue is not None:
            self._queue.detach()
        self._attempt.give_up()

    def _has_body(self, response: Response) -> bool:
        """Return whether there is a body for filters and the like: `Content-Length: 0` is none."""
        is_set = self._body is not None and self._body.set_length is not None
        came = not self._flags & HEAD_ONLY and self._head.length not in {0, NO_BODY}
        return response.has_body and (is_set or came)

    def _stream(self, response: Response, body: StreamedBody) -> None:
        """Write a body that hooks read, replaced, or put filters over."""
        owner, taken = self._owner, body.take()
        if isinstance(taken, bytes):
            self._drop()
            self._write(response, taken, True)
            owner.finish(self._owner.proxy.now())
        else:
            self._is_streaming = True
            owner.watch(0)
            owner.stream(ResponseStream(self, taken, owner.writer, owner.runner()))

    def _write(self, response: Response, body: bytes, complete: bool) -> None:
        changes = self._body
        if changes is not None and not changes.is_changed:
            changes = None
        write_head(self._owner, self._head, self._flags, response, body, complete, changes)

    # -- the body

    def on_body(self, data: bytes) -> None:
        """Take the next part of the body."""
        if self._queue is not None:
            self._queue.send_body(data)
        elif self._is_decided:
            self._owner.writer.data(data)
        else:
            self._held.append(data)

    def on_end(self, trailers: bytes) -> None:
        """Take the end of the body."""
        if self._queue is not None:
            self._queue.send_end(trailers)
        if not self._is_decided or self._queue is not None:
            self._trailers = trailers
        else:
            self._owner.writer.end(trailers)
            self._owner.finish(self._owner.proxy.now())

    def on_broken(self, reason: str, detail: str) -> None:
        """Cut the response off, once hooks have decided over its head."""
        if self._queue is not None:
            self._queue.fail(UpstreamError(detail, reason=reason))
        if not self._is_decided:
            self._broken = reason, detail
        elif self._queue is None:
            self._owner.break_off("upstream", reason, detail)

    @property
    def is_decided(self) -> bool:
        """Whether the hooks have run, and what comes goes on at once."""
        return self._is_decided and not self._is_streaming

    # -- what hooks do to the body (`ResponseOperations`)

    async def read_body(self, limit: int) -> bytes:
        """Return the whole body (see `Response.read`)."""
        return await self._streamed().read_body(limit)

    def set_body(self, data: bytes) -> None:
        """Send another body (see `Response.set_body`)."""
        self._streamed().set_body(data)

    def add_body_filter(self, spec: FilterSpec) -> None:
        """Send the body through a filter (see `Response.add_body_filter`)."""
        self._streamed().add_body_filter(spec)

    def _streamed(self) -> StreamedBody:
        """Have the body come through a queue from here on."""
        if self._body is None:
            queue = self._queue = BodyQueue(self, self._held)
            if self._trailers is not None:
                queue.send_end(self._trailers)
            elif self._broken is not None:
                queue.fail(UpstreamError(self._broken[1], reason=self._broken[0]))
            failed = partial(report_filter, self._owner.request)
            self._body = StreamedBody(queue, "response", failed)
        return self._body

    # -- called by the queue (`QueueFlow`)

    def pause_reading(self) -> None:
        """Have the upstream wait."""
        self._attempt.pause_reading()

    def resume_reading(self) -> None:
        """Go on reading."""
        self._attempt.resume_reading()

    def waits(self, is_waiting: bool) -> None:
        """Begin the upstream's time for the next part of the body, or end it."""
        owner, route = self._owner, self._owner.route
        if is_waiting:
            self._attempt.resume_reading()
        idle = 0.0 if route is None or is_grpc(owner.head) else route.timeouts.idle
        owner.watch(idle if is_waiting else 0)

    def unwanted(self) -> None:
        """Close the upstream's connection: the rest is not read."""
        self._attempt.give_up()

    # -- called by the stream (`StreamedResponse`)

    def begin_stream(self, first: bytes) -> None:
        """Write the head, with the first part of the body."""
        self._write(self.response, first, not first)
        self._owner.snapshot_replaced()

    def end_stream(self, source: BodySource) -> None:
        """Complete the response."""
        owner, trailers = self._owner, source.trailers
        if not owner.head.facts.takes_trailers:
            came = headers_of_block(self._trailers or b"")
            for name in [name for name, _ in trailers.items() if name not in came]:
                trailers.remove(name)
        owner.writer.end(trailer_block(trailers))
        owner.finish(self._owner.proxy.now())

    def stream_failed(self, error: BaseException) -> None:
        """Respond otherwise, or cut the response off."""
        self._owner.body_broken(error)

    # -- 101

    def start_switch(self, connection: UpstreamConnection, data: bytes) -> None:
        """Run the hooks over the head of a 101, and join both byte streams if they leave it.

        :param data: what came behind the head.
        """
        owner = self._owner
        self._switched = connection
        connection.pause_reading()
        try:
            hooks, request = owner.chain.response, owner.request
            owner.runner().run(
                partial(self._decided_on_switch, data), start_response_phase, hooks, request, self.response
            )
        except Exception as error:  # noqa: BLE001 - hooks may leave anything
            self._owner.crashed(error)

    def _decided_on_switch(self, data: bytes, response: Response) -> None:
        connection, self._switched = self._switched, None
        assert connection is not None
        response.operations = self.response.operations = None
        owner, head = self._owner, self._head
        self._is_decided = True
        if response.is_streamed and response.status == head.status:
            self.response = response
            fields = changed_block(response)
            client = owner.writer.switch(head.status, response.reason, fields, self._attempt.terms.protocol_of(head))
            join(owner, client, connection, data)
            return
        connection.transport.abort()
        self._attempt.give_up()
        if response.is_streamed:  # a hook changed the status: there is no body to go with it
            response = Response(response.status, headers=response.headers)
        owner.respond_with(response, ())

    def give_up(self) -> None:
        """Close the connection of a 101 that hooks decide over; they decide over nothing any more."""
        self.response.operations = None
        if self._queue is not None:
            self._queue.detach()
        if self._switched is not None:
            self._switched.transport.abort()
            self._switched = None


def asks_for_tunnel(head: RequestHead) -> bool:
    """Return whether a 2xx would say that the stream is a byte stream from now on (RFC 8441 section 5)."""
    return head.facts.upgrade is not None and head.version == "2"


def refuse_success(owner: RunningExchange, attempt: Attempt, head: ResponseHead) -> bool:
    """Respond 502 in place of a success that would be taken for a 101; return whether this is one.

    An upstream of HTTP/1 that responds with a 2xx has not changed the protocol.
    """
    if not 200 <= head.status < 300 or not asks_for_tunnel(owner.head):
        return False
    attempt.give_up()
    detail = f"it responds {head.status} where a change of the protocol is asked for"
    owner.fail(502, BAD_RESPONSE, detail)
    return True


def begin_response(owner: RunningExchange) -> None:
    """Decide whether the client's connection may be used again: not if the request's body is still to come."""
    if not owner.proxy.keeps_alive or (owner.body is not None and not owner.body.is_complete):
        owner.writer.make_last()


def write_head(
    owner: RunningExchange,
    head: ResponseHead,
    flags: int,
    response: Response,
    body: bytes,
    complete: bool,
    changes: StreamedBody | None = None,
) -> None:
    """Write the head of an upstream's response as hooks left it, with the part of the body that is there.

    :param flags: those of the request that went upstream.
    :param changes: the body, if hooks changed it.
    """
    begin_response(owner)
    if response.status < 300 <= head.status and asks_for_tunnel(owner.head):
        response.status, response.reason = head.status, head.reason  # a hook's 2xx would open a tunnel
    is_head = owner.head.method == "HEAD"
    is_hooks_head = not is_head and bool(flags & HEAD_ONLY)
    if changes is None and not is_hooks_head:
        added = added_lines(response, head.status, head.reason, has_gateway_fields)
        if added is not None:
            owner.writer.relay(head, owner.snapshot.scope.via_line + added, owner.id_line, body, complete)
            return
    length = head.content_length
    if changes is not None:
        length = len(body) if complete and response.has_body else changes.set_length
    elif is_hooks_head or (not is_head and head.length == NO_BODY and response.status not in BODILESS):
        length = 0  # a hook made another status or method: what the head says of the body does not apply
    elif complete and length is None and not is_head:
        length = len(body)
    fields = changed_block(response)
    owner.writer.start(response.status, response.reason, fields, length, owner.id_line, body, complete)


def add_cookies(response: Response, attempt: Attempt, owner: RunningExchange) -> None:
    """Set the cookies that keep the client on its endpoint and on its target."""
    sticky, endpoint, route, target = attempt.upstream.sticky, attempt.endpoint, owner.route, owner.sticky_target
    cookies: list[str | None] = []
    if sticky is not None and endpoint is not None:
        cookies.append(sticky.set_cookie(endpoint, attempt.terms.sticky_cookie))
    if target is not None and route is not None and route.split is not None:
        cookies.append(route.split.set_cookie(target, owner.request))
    for cookie in cookies:
        if cookie is not None:
            response.headers.add("Set-Cookie", cookie)


def join(owner: RunningExchange, client: TunnelEnd, connection: UpstreamConnection, data: bytes) -> None:
    """Join both byte streams after a 101 until one ends.

    :param data: what the upstream sent behind its head.
    """
    proxy, route = owner.proxy, owner.route

    def closed(tunnel: Tunnel, received: int, sent: int) -> None:
        proxy.tunnels.discard(tunnel)
        owner.tunnel_closed(received, sent)

    idle_timeout = 0.0 if route is None else route.timeouts.idle
    upstream = TunnelEnd(connection.transport, data)
    is_websocket = owner.head.facts.upgrade == b"websocket"
    tunnel = Tunnel(
        client,
        upstream,
        idle_timeout=idle_timeout,
        now=proxy.now,
        on_closed=closed,
        # A stream stands for the connection over HTTP/2, which counts all that its streams carry.
        counts=connection.pool.counts if isinstance(connection, UpstreamConnection) else None,  # type: ignore[redundant-expr]
        is_websocket=is_websocket,
    )
    proxy.tunnels.add(tunnel)
    owner.tunnel_opened(tunnel)
