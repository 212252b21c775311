"""A client's request on its way to the upstream, and the response on its way back.

A `Relay` is made by the exchange when the phases before the upstream are over. It owns the `Attempt`, makes the head
for each endpoint, and passes interim responses, the response and its body on to the client's `ResponseWriter`.
Neither side goes faster than the other takes: `pause` and `resume` for the response, the body itself for the request.

The head is made for each attempt; then the attempt hooks run over it. What goes upstream in place of the
client's body was asked for by the gateway, so the upstream gets no Expect with it.

A response that no hook sees is written as it comes. Any other is its `ResponsePhase`'s from its head on.
"""

from __future__ import annotations

from typing import Final

from gateway_core.hooks import Hook, Stop
from gateway_core.messages import Response
from gateway_core.proxy.attempt import Attempt
from gateway_core.proxy.attempt_owner import AttemptTerms, PreparedRequest, Retries, UpstreamFailure, client_terms
from gateway_core.proxy.mirror import send_copies
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.response_phase import ResponsePhase, join
from gateway_core.proxy.running_exchange import RunningExchange
from gateway_core.proxy.upstream.connection import UpstreamConnection
from gateway_core.proxy.upstream_head import (
    AttemptPhase,
    UnsendableHeadError,
    client_host,
    framing_fields,
    has_come_as_is,
    sent_host,
    target_of,
    upstream_head,
)
from gateway_core.proxy.wire.request_head import IN_CHUNKS
from gateway_core.proxy.wire.response_head import ResponseHead
from gateway_core.routing import ResponseFacts, UnsafePathError
from gateway_core.snapshot import CompiledRoute, RouteTarget
from gateway_core.upstreams.endpoint import Endpoint

EXPECT_WAIT: Final = 1.0
"""Seconds to wait for an upstream's 100 before the gateway itself sends 100 (RFC 9110 section 10.1.1)."""


class Relay:
    """Sends one request upstream and passes the response on (an `AttemptOwner`)."""

    __slots__ = (
        "_attempt_phase", "_continue_sent", "_copies_wait", "_exchange", "_flags", "_route", "_target",
        "_wait", "attempt", "body", "bound", "directory", "phase", "response_head", "upstream",
    )  # fmt: skip

    def __init__(self, exchange: RunningExchange, route: CompiledRoute, target: RouteTarget) -> None:
        """Send nothing yet."""
        self._exchange = exchange
        self._route = route
        self._target = target
        upstream = self.upstream = target.upstream
        self.directory = exchange.proxy.upstreams
        self.bound = exchange.client.bound
        self._wait = route.wait if upstream is route.upstream else route.wait_for(upstream)
        self.phase: ResponsePhase | None = None
        """What has the response if hooks see it."""
        self._attempt_phase: AttemptPhase | None = None
        self._flags = exchange.head.flags  # of the request as it is sent
        self._copies_wait = self._continue_sent = False  # the copies wait for the end of the request's body
        self.response_head: ResponseHead | None = None
        """The upstream's, once it is there."""
        body = self.body = exchange.sent_body
        if body is not None:
            self._keep(body)
        self.attempt = Attempt(self)
        """The last one."""

    def _keep(self, body: RequestBody) -> None:
        """Have the body kept as far as it may be sent again, and its trailers be those of the client."""
        exchange, policy = self._exchange, self._route.retry or self.upstream.retries
        if body is exchange.body:
            body.reserve(exchange.chain.reserved)
        else:
            self._continue_sent = True
        if policy.keeps_body(exchange.head.facts.content_length):
            body.keep(policy.settings.max_body_bytes)
        if body.is_gathered:
            body.keep(body.received)

    def terms(self) -> AttemptTerms:
        exchange = self._exchange
        return client_terms(
            exchange.request, exchange.head, exchange.client, self._route, self.upstream, exchange.total_deadline
        )

    # -- the request

    def use_hooks(self, hooks: tuple[Hook, ...]) -> None:
        """Run these over each head, if there are any."""
        if hooks:
            self._attempt_phase = AttemptPhase(hooks, self._exchange.request, self._exchange.runner())

    def send_copies(self) -> None:
        """Send copies to the route's mirrors, now or when the body is complete."""
        exchange = self._exchange
        is_done = send_copies(
            self._route, exchange.request, exchange.head, self.body, exchange.id_line, self.directory, exchange.runner
        )
        self._copies_wait = not is_done

    def prepare(self, endpoint: Endpoint) -> PreparedRequest | None:
        """Make the head, and run the hooks over it; None if it is passed on later, or refused."""
        exchange, target, body = self._exchange, self._target, self.body
        head, request = exchange.head, exchange.request
        facts, flags = head.facts, head.flags
        is_reframed = body is not None and (body.is_chunked or body.is_gathered)
        if is_reframed or facts.chunked or facts.expect or facts.takes_trailers or facts.upgrade is not None:
            framing = self._framing(body)
        elif facts.content_length >= 0:
            framing = b"\r\nContent-Length: %d" % facts.content_length
        else:
            framing = b""
        is_untouched = exchange.hooks is None or has_come_as_is(request, head)
        if is_untouched and target.is_plain and head.line and not head.path_flags and not endpoint.path:
            # The usual request: all parts are there.
            host = facts.host.encode("latin-1") if target.preserve_host and facts.host else endpoint.authority
            data = b"".join((head.line, b"\r\nHost: ", host, head.tail, framing, exchange.id_line))
        else:
            policy = self._route.path_policy
            try:
                data, flags = upstream_head(request, head, policy, target, endpoint, framing, exchange.id_line)
                if not target.is_plain:
                    request.sent_target = target_of(data)
            except (UnsafePathError, UnsendableHeadError) as error:
                self.attempt.give_up()
                is_path = isinstance(error, UnsafePathError)
                exchange.fail(400 if is_path else 500, "path-refused" if is_path else "plugin.failed", str(error))
                return None
        if body is not None and is_reframed:
            flags = flags | IN_CHUNKS if body.is_chunked else flags & ~IN_CHUNKS
        self._flags = flags
        prepared = data, flags
        if self._attempt_phase is None:
            return prepared
        exchange.watch(0)
        self._attempt_phase.start(endpoint, prepared, self._prepared, self._refused)
        return None

    def _framing(self, body: RequestBody | None) -> bytes:
        return framing_fields(
            self._exchange.head.facts,
            expects=self.expects_continue,
            length=body.received if body is not None and body.is_gathered else None,
            in_chunks=body is not None and body.is_chunked,
        )

    def _prepared(self, prepared: PreparedRequest) -> None:
        self.attempt.connect(prepared)

    def _refused(self, stop: Stop) -> None:
        """Respond for an attempt hook that failed; there is no other attempt."""
        exchange, response = self._exchange, stop.result
        assert isinstance(response, Response)
        self.attempt.give_up()
        exchange.note_failure(response.failure or "plugin.failed", stop.error or "")
        exchange.respond_with(response, exchange.chain.response)

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for a 100, which it did not get yet."""
        body = self.body
        return (
            self._exchange.head.facts.expect and body is not None and not body.is_complete and not self._continue_sent
        )

    def on_sent(self, now: float) -> None:
        exchange, body = self._exchange, self.body
        if body is None or body.is_complete:
            exchange.watch_until(now + self._wait)
        elif self.expects_continue and not body.received:
            exchange.watch(EXPECT_WAIT)
        else:
            exchange.watch(exchange.limits.body_timeout)

    def on_waiting(self, seconds: float) -> None:
        self._exchange.watch(seconds)

    def on_retry(self, retries: Retries) -> None:
        self.attempt = Attempt(self, retries)
        self.attempt.start(self.directory.now())

    def on_interim(self, head: ResponseHead) -> None:
        if head.status == 100:
            if not self.expects_continue:
                return
            self._continue_sent = True
            self.on_sent(self.directory.now())
        self._exchange.writer.interim(head.status, head.reason, head.block)

    def send_continue(self) -> bool:
        """Tell a client that waits for it to send its body; False if it does not wait."""
        if not self.expects_continue:
            return False
        self._continue_sent = True
        self._exchange.writer.send_continue()
        return True

    def body_progress(self) -> None:
        """Called when a piece of the request's body came."""
        if self.response_head is None and self.attempt.is_sent:
            self._exchange.watch(self._exchange.limits.body_timeout)

    def body_ended(self) -> None:
        """Called when the client's body is complete."""
        if self.body is self._exchange.body:
            self.sent_body_ended()

    def sent_body_ended(self) -> None:
        """Called when the body that goes upstream is complete."""
        if self._copies_wait:
            self.send_copies()
        if self.response_head is None and self.attempt.is_sent:
            self._exchange.watch(self._wait)

    def keep_bound(self, endpoint: Endpoint, connection: UpstreamConnection) -> None:
        self._exchange.client.keep_bound(endpoint, connection)

    # -- the response

    def on_response(self, head: ResponseHead, body: bytes, complete: bool) -> None:
        exchange = self._exchange
        if self._target.rewrite.response is not None:
            head = self._undone(head)
        self.response_head = head
        if exchange.chain.response or self.upstream.sticky is not None or exchange.sticky_target is not None:
            self.phase = ResponsePhase(exchange, self.attempt, head, self._flags)
            self.phase.start(body, complete)
            return
        if exchange.body is not None or not exchange.proxy.keeps_alive:
            exchange.response_begins()
        exchange.writer.relay(head, exchange.snapshot.scope.via_line, exchange.id_line, body, complete)
        if complete:
            exchange.finish(self.attempt.responded_at)
        else:
            exchange.watch(self._route.timeouts.idle)
            exchange.snapshot_replaced()

    def _undone(self, head: ResponseHead) -> ResponseHead:
        """Return the response's head in the client's words (`rewrite_response`)."""
        undo, endpoint = self._target.rewrite.response, self.attempt.endpoint
        if undo is None or endpoint is None:
            return head
        request, inbound = self._exchange.request, self._exchange.head
        host, _ = sent_host(request, inbound, self._target, endpoint)
        facts = ResponseFacts(
            request.scheme, client_host(inbound), endpoint.scheme, endpoint.host, endpoint.port, host.decode("latin-1")
        )
        block = undo.apply(head.block, facts)
        return head if block is head.block else head.with_block(block)

    def on_body(self, data: bytes) -> None:
        exchange, phase = self._exchange, self.phase
        if phase is None:
            exchange.writer.data(data)
        else:
            phase.on_body(data)
            if not phase.is_decided:
                return
        if not exchange.writer.is_paused:
            exchange.watch_until(self.directory.now() + self._route.idle)

    def on_end(self, trailers: bytes) -> None:
        if self.phase is not None:
            self.phase.on_end(trailers)
            return
        self._exchange.writer.end(trailers)
        self._exchange.finish(self.directory.now())

    def on_failed(self, failure: UpstreamFailure) -> None:
        self._exchange.fail(failure.status, failure.reason, failure.detail, failure.retry_after)

    def on_broken(self, reason: str, detail: str) -> None:
        if self.phase is not None:
            self.phase.on_broken(reason, detail)
        else:
            self._exchange.break_off("upstream", reason, detail)

    def on_switch(self, connection: UpstreamConnection, head: ResponseHead, data: bytes) -> None:
        """Join client and upstream (RFC 9110 section 7.8) once the hooks have seen the head."""
        exchange, attempt = self._exchange, self.attempt
        head = self.response_head = self._undone(head)
        exchange.watch(0)
        if exchange.chain.response:
            self.phase = ResponsePhase(exchange, attempt, head, self._flags)
            self.phase.start_switch(connection, data)
            return
        block = head.block + exchange.snapshot.scope.via_line
        client = exchange.writer.switch(head.status, head.reason, block, attempt.terms.protocol_of(head))
        join(exchange, client, connection, data)

    def crashed(self, error: BaseException) -> None:
        self._exchange.crashed(error)

    # -- flow and ends

    def pause(self) -> None:
        """Read no more of the response: the client does not keep up."""
        self.attempt.pause_reading()

    def resume(self) -> None:
        """Go on reading the response."""
        if self.phase is None or self.phase.is_decided:
            self.attempt.resume_reading()
            self._exchange.watch(self._route.timeouts.idle)

    def give_up(self, *, timed_out: bool = False) -> None:
        """Stop whatever is in progress upstream.

        :param timed_out: whether the upstream is to blame: the rest of its response did not come.
        """
        if self.phase is not None:
            self.phase.give_up()
        self.attempt.give_up(timed_out=timed_out)
