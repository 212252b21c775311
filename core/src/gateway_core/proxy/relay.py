"""A client's request on its way to the upstream, and the response on its way back.

A `Relay` is made by the exchange when the phases before the upstream are over. It owns the `UpstreamRequest`, makes the
head for each endpoint, and passes interim responses, the response and its body on to the client's `ResponseWriter`.
Neither side goes faster than the other takes: `pause` and `resume` for the response, the body itself for the request.

A response that no hook sees is written as it comes. Any other is its `ResponsePhase`'s from its head on.
"""

from __future__ import annotations

from typing import Final

from gateway_core.messages.request import request_block
from gateway_core.proxy.attempt_owner import PreparedRequest, UpstreamFailure
from gateway_core.proxy.mirror import send_copies
from gateway_core.proxy.relay_owner import RelayOwner
from gateway_core.proxy.response_phase import ResponsePhase, join
from gateway_core.proxy.upstream.connection import IN_CHUNKS, UpstreamConnection
from gateway_core.proxy.upstream.directory import UpstreamDirectory
from gateway_core.proxy.upstream.pool import ProxyClient
from gateway_core.proxy.upstream_head import (
    UnsendableHeadError,
    client_host,
    framing_fields,
    sent_host,
    upstream_head,
)
from gateway_core.proxy.upstream_request import UpstreamRequest
from gateway_core.proxy.wire.response_head import ResponseHead
from gateway_core.routing import ResponseFacts, UnsafePathError
from gateway_core.snapshot import CompiledRoute, RouteTarget
from gateway_core.upstreams.endpoint import Endpoint

EXPECT_WAIT: Final = 1.0
"""Seconds to wait for an upstream's 100 before the client is told to go on (RFC 9110 section 10.1.1)."""


class Relay:
    """Sends one request upstream and passes the response on (an `AttemptOwner`)."""

    __slots__ = ("__dict__", "_owner", "_route", "_target", "_wait", "response_head", "upstream_request")

    # What few requests set has its default here and a place in the dictionary when it is set.
    phase: ResponsePhase | None = None
    """What has the response if hooks see it."""
    _continue_sent = False
    _copies_wait = False  # for the end of the request's body
    _flags: int | None = None  # of the request as it was sent, if it is not as it came

    def __init__(
        self,
        owner: RelayOwner,
        directory: UpstreamDirectory,
        route: CompiledRoute,
        target: RouteTarget,
        total_deadline: float,
    ) -> None:
        """Send nothing yet.

        :param total_deadline: monotonic seconds by which all has to be over.
        """
        self._owner = owner
        upstream = target.upstream
        self._route = route
        self._target = target
        self._wait = route.wait if upstream is route.upstream else route.wait_for(upstream)
        self.response_head: ResponseHead | None = None
        """The upstream's, once it is there."""
        request, policy, body = owner.request, route.retry or upstream.retries, owner.sent_body
        if body is not None:
            if body is owner.body:
                body.reserve(owner.chain.reserved)
            keeps = policy.keeps_body(owner.head.facts.content_length)
            body.keep_limit = policy.settings.max_body_bytes if keeps else 0
            if body.is_gathered:
                body.keep_limit = max(body.keep_limit, body.received)
        self.upstream_request = call = UpstreamRequest(
            self,
            directory,
            upstream,
            policy,
            request.method,
            body,
            route.timeouts.connect,
            total_deadline,
            owner.client.bound,
        )
        if not upstream.is_plain:
            if upstream.hash_key is not None:
                call.key = upstream.hash_key(request)
            if upstream.sticky is not None:
                call.sticky_cookie = request.cookie(upstream.sticky.name)
        if upstream.transport.send_proxy_protocol is not None:
            call.proxy_client = ProxyClient(owner.client.source, owner.client.destination)
        if owner.head.facts.upgrade is not None:
            call.offered_protocol = owner.head.facts.upgrade

    # -- the request

    def send_copies(self) -> None:
        """Send copies to the route's mirrors, now or when the body is complete."""
        owner, directory = self._owner, self.upstream_request.directory
        is_done = send_copies(self._route, owner.request, owner.head, owner.sent_body, owner.id_line, directory)
        self._copies_wait = not is_done

    def prepare(self, endpoint: Endpoint, now: float) -> PreparedRequest | None:  # noqa: ARG002 - nothing is awaited
        """Make the head; most of it is known if the connection had the same request before."""
        owner = self._owner
        head, request = owner.head, owner.request
        prepared = head.upstream_head
        body = owner.sent_body
        length = body.received if body is not None and body.is_gathered else None
        is_usual = prepared is not None and length is None and not endpoint.path
        if prepared is not None and is_usual and (owner.hooks is None or self._is_as_prepared()):
            before, host, after = prepared
            return b"".join((before, host or endpoint.authority, after, owner.id_line)), head.flags
        in_chunks = body is not None and body.is_chunked
        framing = framing_fields(head.facts, expects=self.expects_continue, length=length, in_chunks=in_chunks)
        try:
            data, flags = upstream_head(
                request, head, self._route.path_policy, self._target, endpoint, framing, owner.id_line
            )
        except (UnsafePathError, UnsendableHeadError) as error:
            self.upstream_request.give_up()
            is_path = isinstance(error, UnsafePathError)
            owner.fail(400 if is_path else 500, "path-refused" if is_path else "plugin.failed", str(error))
            return None
        if in_chunks:
            flags |= IN_CHUNKS
        elif length is not None:
            flags &= ~IN_CHUNKS
        if flags != head.flags:
            self._flags = flags
        return data, flags

    def _is_as_prepared(self) -> bool:
        """Whether hooks have left the request as it came, and its route."""
        head, request, match = self._owner.head, self._owner.request, self._owner.head.match
        return (
            match is not None
            and match.payload is self._route
            and match.payload.alike is not None
            and match.payload.alike.is_like(self._target)
            and request_block(request) is head.facts.block
            and not request.path_was_set
            and request.query_string is head.query_string
            and request.method is head.method
        )

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for a 100, which it did not get yet."""
        body = self._owner.sent_body
        return self._owner.head.facts.expect and body is not None and not body.is_complete and not self._continue_sent

    def on_sent(self, now: float) -> None:
        owner = self._owner
        body = owner.sent_body
        if body is None or body.is_complete:
            owner.watch_until(now + self._wait)
        elif self.expects_continue and not body.received:
            owner.watch(EXPECT_WAIT)
        else:
            owner.watch(owner.limits.body_timeout)

    def on_waiting(self, seconds: float) -> None:
        self._owner.watch(seconds)

    def on_interim(self, head: ResponseHead) -> None:
        if head.status == 100:
            if not self.expects_continue:
                return
            self._continue_sent = True
            self.on_sent(self.upstream_request.directory.now())
        self._owner.writer.interim(head.status, head.reason, head.block)

    def send_continue(self) -> bool:
        """Tell a client that waits for it to send its body; False if it does not wait."""
        if not self.expects_continue:
            return False
        self._continue_sent = True
        self._owner.writer.send_continue()
        return True

    def body_progress(self) -> None:
        """Called when a piece of the request's body came."""
        if self.response_head is None and self.upstream_request.is_sent:
            self._owner.watch(self._owner.limits.body_timeout)

    def body_ended(self) -> None:
        """Called when the request's body is complete."""
        if self._copies_wait:
            self.send_copies()
        if self.response_head is None and self.upstream_request.is_sent:
            self._owner.watch(self._wait)

    def keep_bound(self, endpoint: Endpoint, connection: UpstreamConnection) -> None:
        self._owner.client.keep_bound(endpoint, connection)

    # -- the response

    def on_response(self, head: ResponseHead, body: bytes, complete: bool) -> None:
        owner, call = self._owner, self.upstream_request
        head = self.response_head = head if self._target.rewrite.response is None else self._undone(head)
        if owner.chain.response or call.upstream.sticky is not None or owner.sticky_target is not None:
            self.phase = ResponsePhase(owner, call, head, self._sent_flags)
            self.phase.start(body, complete)
            return
        if owner.body is not None or not owner.proxy.keeps_alive:
            owner.response_begins()
        owner.writer.relay(head, b"", owner.id_line, body, complete)
        if complete:
            owner.finish(call.responded_at)
        else:
            owner.watch(self._route.timeouts.idle)
            owner.snapshot_replaced()

    def _undone(self, head: ResponseHead) -> ResponseHead:
        """Return the response's head in the client's words (`rewrite_response`)."""
        undo, endpoint = self._target.rewrite.response, self.upstream_request.endpoint
        if undo is None or endpoint is None:
            return head
        request, inbound = self._owner.request, self._owner.head
        host, _ = sent_host(request, inbound, self._target, endpoint)
        facts = ResponseFacts(
            request.scheme, client_host(inbound), endpoint.scheme, endpoint.host, endpoint.port, host.decode("latin-1")
        )
        block = undo.apply(head.block, facts)
        return head if block is head.block else head.with_block(block)

    @property
    def _sent_flags(self) -> int:
        return self._owner.head.flags if self._flags is None else self._flags

    def on_body(self, data: bytes) -> None:
        owner, phase = self._owner, self.phase
        if phase is None:
            owner.writer.data(data)
        else:
            phase.on_body(data)
            if not phase.is_decided:
                return
        if not owner.writer.is_paused:
            owner.watch(self._route.timeouts.idle)

    def on_end(self, trailers: bytes) -> None:
        if self.phase is not None:
            self.phase.on_end(trailers)
            return
        self._owner.writer.end(trailers)
        self._owner.finish(self.upstream_request.directory.now())

    def on_failed(self, failure: UpstreamFailure) -> None:
        self._owner.fail(failure.status, failure.reason, failure.detail, failure.retry_after)

    def on_broken(self, reason: str, detail: str) -> None:
        if self.phase is not None:
            self.phase.on_broken(reason, detail)
        else:
            self._owner.break_off("upstream", reason, detail)

    def on_switch(self, connection: UpstreamConnection, head: ResponseHead, data: bytes) -> None:
        """Join client and upstream (RFC 9110 section 7.8) once the hooks have seen the head."""
        owner, call = self._owner, self.upstream_request
        head = self.response_head = head if self._target.rewrite.response is None else self._undone(head)
        owner.watch(0)
        if owner.chain.response:
            self.phase = ResponsePhase(owner, call, head, self._sent_flags)
            self.phase.start_switch(connection, data)
            return
        join(owner, owner.writer.switch(head.status, head.reason, head.block, call.protocol_of(head)), connection, data)

    def crashed(self, error: BaseException) -> None:
        self._owner.crashed(error)

    # -- flow and ends

    def pause(self) -> None:
        """Read no more of the response: the client does not keep up."""
        self.upstream_request.pause_reading()

    def resume(self) -> None:
        """Go on reading the response."""
        if self.phase is None or self.phase.is_decided:
            self.upstream_request.resume_reading()
            self._owner.watch(self._route.timeouts.idle)

    def give_up(self, *, timed_out: bool = False) -> None:
        """Stop whatever is in progress upstream.

        :param timed_out: whether the upstream is to blame: the rest of its response did not come.
        """
        if self.phase is not None:
            self.phase.give_up()
        self.upstream_request.give_up(timed_out=timed_out)
