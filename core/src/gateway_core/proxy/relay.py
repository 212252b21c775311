"""A client's request on its way to the upstream, and the response on its way back.

A `Relay` is made by the exchange when the phases before the upstream are over. It owns the `Attempt`, makes the head
for each endpoint, and passes interim responses, the response and its body on to the client's `ResponseWriter`.
Neither side goes faster than the other takes: `pause` and `resume` for the response, the body itself for the request.

The attempt hooks run over the head of each attempt. What goes upstream in place of the client's body was asked for by
the gateway, so the upstream gets no Expect with it.

Response hooks run over the head when it comes. A response that no hook sees, or that plain hooks leave as it is, is
written as it comes. Any other is its `ResponsePhase`'s from its head on.
"""

from __future__ import annotations

from typing import Final

from gateway_core.hooks import Hook, Stop, announced_lines, start_response_phase
from gateway_core.messages import Response
from gateway_core.messages.request_lines import lines_added
from gateway_core.messages.response_lines import added_lines, has_assigned_body
from gateway_core.proxy.attempt import Attempt
from gateway_core.proxy.attempt_owner import AttemptTerms, PreparedRequest, Retries, UpstreamFailure, client_terms
from gateway_core.proxy.mirror import send_copies
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.response_fields import has_gateway_fields
from gateway_core.proxy.response_phase import ResponsePhase, add_cookies, join, refuse_success, write_head
from gateway_core.proxy.running_exchange import RunningExchange
from gateway_core.proxy.splice import BodySink, sink_of
from gateway_core.proxy.sweeper import NEVER
from gateway_core.proxy.tracing import traced_fields, traced_head
from gateway_core.proxy.upstream.connection import UpstreamConnection
from gateway_core.proxy.upstream_head import (
    AttemptPhase,
    UnsendableHeadError,
    framing_fields,
    tail_with,
    target_of,
    undo_rewrite,
    upstream_head,
)
from gateway_core.proxy.wire.grpc import is_grpc
from gateway_core.proxy.wire.request_head import HEAD_ONLY, IN_CHUNKS, MAY_SWITCH
from gateway_core.proxy.wire.response_head import ResponseHead
from gateway_core.routing import UnsafePathError
from gateway_core.snapshot import CompiledRoute, RouteTarget
from gateway_core.upstreams.endpoint import Endpoint

EXPECT_WAIT: Final = 1.0
"""Seconds to wait for an upstream's 100 before the gateway itself sends 100 (RFC 9110 section 10.1.1)."""


class Relay:
    """Sends one request upstream and passes the response on (an `AttemptOwner`)."""

    __slots__ = (
        "__dict__", "_attempt_phase", "_came", "_exchange", "_flags", "_route", "_target", "attempt", "body", "bound",
        "directory", "phase", "response", "response_head", "upstream", "wait",
    )  # fmt: skip

    _came: tuple[bytes, bool]  # what came of the body with the head, and whether it is all, while hooks look at that
    _flags: int  # of the request as it is sent
    _continue_sent = False  # or none is to be sent
    announced: bytes | None = None  # lines that hooks announced, appended to the head without a call of theirs
    _copies_wait = False  # for the end of the request's body

    def __init__(
        self, exchange: RunningExchange, route: CompiledRoute, target: RouteTarget, body: RequestBody | None
    ) -> None:
        """Send nothing yet; ``body`` is the client's, unless hooks changed it."""
        self._exchange, self._route, self._target = exchange, route, target
        upstream = self.upstream = target.upstream
        self.directory, self.bound = exchange.proxy.upstreams, exchange.client.bound
        self.wait = route.wait if upstream is route.upstream else route.wait_for(upstream)
        """Seconds to wait for a response; infinite if there is no limit."""
        self.response: Response | None = None
        """The response as hooks see it, if they do."""
        self.phase: ResponsePhase | None = None  # what has the response if hooks do more than look at it
        self._attempt_phase: AttemptPhase | None = None
        self.response_head: ResponseHead | None = None  # the upstream's, once it is there
        self.body = body
        if body is not None:
            self._keep(body)
        self.attempt = Attempt(self)  # the last one

    def _keep(self, body: RequestBody) -> None:
        """Have the body kept as far as it may be sent again, and its trailers be those of the client."""
        exchange, policy = self._exchange, self._route.retry or self.upstream.retries
        if body is not exchange.body:
            self._continue_sent = True
        elif body.trailers or not body.is_complete:
            body.reserve(exchange.chain.reserved)
        length = exchange.head.facts.content_length
        if (policy.is_enabled and policy.keeps_body(length)) or self.upstream.may_refuse:
            body.keep(policy.settings.max_body_bytes)
        if body.is_gathered:
            body.keep(body.received)

    @property
    def _may_be_quiet(self) -> bool:
        """Whether it is a call of gRPC: both sides may be silent for as long as the whole request may take."""
        return self.body is not None and is_grpc(self._exchange.head)

    def terms(self) -> AttemptTerms:
        its = self._exchange
        return client_terms(its.request, its.head, its.client, self._route, self.upstream, its.total_deadline)

    # -- the request

    def use_hooks(self, hooks: tuple[Hook, ...]) -> None:
        """Run these over each head, if there are any."""
        if hooks:
            self._attempt_phase = AttemptPhase(hooks, self._exchange.request, self._exchange.runner())

    def send_copies(self) -> None:
        """Send copies to the route's mirrors, now or when the body is complete."""
        exchange = self._exchange
        self._copies_wait = not send_copies(
            self._route, exchange.request, exchange.head, self.body, exchange.id_line, self.directory, exchange.runner
        )

    def prepare(self, endpoint: Endpoint) -> PreparedRequest | None:
        """Make the head, and run the hooks over it; None if it is passed on later, or refused."""
        exchange, target, body = self._exchange, self._target, self.body
        head, request, trace = exchange.head, exchange.seen, exchange.trace
        flags, framing = head.flags, head.framing
        tail: bytes | None = head.tail
        if framing is None or (body is not None and (body.is_chunked or body.is_gathered)):
            framing = self._framing(body)
        added = exchange.passed.lines if request is None else lines_added(request, head)
        if added != b"":
            tail = None if added is None else tail_with(head, added)
        if tail is not None and target.is_plain and head.line and not head.path_flags and not endpoint.path:
            # The usual request: all parts are there.
            host = (target.preserve_host and head.facts.host.encode("latin-1")) or endpoint.authority
            if trace is not None:
                request = exchange.request if added else None  # whose fields of a trace are not sent
                tail, framing = traced_fields(trace, self.attempt, request, head, tail, framing)
            data = b"".join((head.line, b"\r\nHost: ", host, tail, framing, exchange.id_line))
        else:
            request, policy = exchange.request, self._route.path_policy
            try:
                data, flags = upstream_head(request, head, policy, target, endpoint, framing, exchange.id_line)
                if not target.is_plain:
                    request.sent_target = target_of(data)
                if trace is not None:
                    data = traced_head(trace, self.attempt, data)
            except (UnsafePathError, UnsendableHeadError) as error:
                self.attempt.give_up()
                is_path = isinstance(error, UnsafePathError)
                exchange.fail(400 if is_path else 500, "path-refused" if is_path else "plugin.failed", str(error))
                return None
        if body is not None and (body.is_chunked or body.is_gathered):
            flags = flags | IN_CHUNKS if body.is_chunked else flags & ~IN_CHUNKS
        self._flags = flags
        if self._attempt_phase is None:
            return data, flags
        exchange.watch(0)
        self._attempt_phase.start(endpoint, (data, flags), self.attempt.connect, self._refused)
        return None

    def _framing(self, body: RequestBody | None) -> bytes:
        head = self._exchange.head
        length = body.received if body is not None and body.is_gathered else None
        in_chunks = body is not None and body.is_chunked
        framing = framing_fields(head.facts, expects=self.expects_continue, length=length, in_chunks=in_chunks)
        if not head.facts.expect and not in_chunks and length is None:
            head.know_framing(framing)
        return framing

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
        body, facts = self.body, self._exchange.head.facts
        return facts.expect and body is not None and not body.is_complete and not self._continue_sent

    def on_sent(self, now: float) -> None:  # noqa: ARG002 - the clock is read once more for it
        exchange, body = self._exchange, self.body
        if body is None or body.is_complete:
            exchange.watch(self.wait)
        elif self.expects_continue and not body.received:
            exchange.watch(EXPECT_WAIT)
        else:
            exchange.watch(0 if self._may_be_quiet else exchange.proxy.limits.body_timeout)

    def on_waiting(self, seconds: float) -> None:
        self._exchange.watch(seconds)

    def on_retry(self, retries: Retries) -> None:
        self.attempt, now = Attempt(self, retries), self.directory.now()
        if self.attempt.start(now):
            self.on_sent(now)

    def on_interim(self, head: ResponseHead) -> None:
        if head.status == 100:
            if not self.expects_continue:
                return
            self._continue_sent = True
            self.on_sent(self.directory.now())
        self._exchange.writer.interim(head.status, head.reason, head.block)

    def send_continue(self) -> bool:
        """Ask a client that waits for it (100-continue) to send its body; False if it does not wait."""
        if not self.expects_continue:
            return False
        self._continue_sent = True
        self._exchange.writer.send_continue()
        return True

    def body_progress(self) -> None:
        """Called when a piece of the request's body came."""
        if self.response_head is None and self.attempt.is_sent:
            self._exchange.watch(0 if self._may_be_quiet else self._exchange.proxy.limits.body_timeout)

    def body_ended(self) -> None:
        """Called when the client's body is complete."""
        if self.body is self._exchange.body:
            self.sent_body_ended()

    def sent_body_ended(self) -> None:
        """Called when the body that goes upstream is complete."""
        if self._copies_wait:
            self.send_copies()
        if self.response_head is None and self.attempt.is_sent:
            self._exchange.watch(self.wait)

    def keep_bound(self, endpoint: Endpoint, connection: UpstreamConnection) -> None:
        self._exchange.client.keep_bound(endpoint, connection)

    # -- the response

    @property
    def passes_whole(self) -> bool:
        is_sticky = self._route.split is not None or self.upstream.sticky is not None
        return not (is_sticky or self._exchange.chain.response)

    def on_response(self, head: ResponseHead, body: bytes, complete: bool, trailers: bytes = b"") -> None:
        exchange = self._exchange
        if self._flags & MAY_SWITCH and refuse_success(exchange, self.attempt, head):
            return
        lines: bytes | None = b""
        if self._route.is_transparent:
            self.response_head = head
        else:
            head = self.response_head = head if self._target.rewrite.response is None else self._undone(head)
            hooks = exchange.chain.response
            keeps_target = self._route.split is not None and exchange.sticky_target is not None
            is_sticky = keeps_target or self.upstream.sticky is not None
            lines = None if hooks or is_sticky else b""
            announced = (exchange.seen or exchange.passed).announced
            if (announced or exchange.chain.ignores) and not (is_sticky or exchange.hooks or self._flags & HEAD_ONLY):
                lines = self.announced = announced_lines(hooks, announced, head)
            if lines is None:
                lines = self._pass_hooks(head, hooks, body, complete, is_sticky)
        if lines is not None:
            if not exchange.proxy.keeps_alive or ((sent := exchange.body) is not None and not sent.is_complete):
                exchange.writer.make_last()  # as `begin_response` would, which takes a call for each request
            via = exchange.snapshot.scope.via_line
            exchange.writer.relay(head, via + lines if lines else via, exchange.id_line, body, complete, trailers)
        elif self.phase is not None or exchange.is_over:
            return
        if complete:
            exchange.finish(self.attempt.responded_at if self.response is None else self.directory.now())
        else:
            exchange.watch(NEVER if self._may_be_quiet else self._route.idle)
            exchange.snapshot_replaced()

    def _pass_hooks(
        self, head: ResponseHead, hooks: tuple[Hook, ...], body: bytes, complete: bool, is_sticky: bool
    ) -> bytes | None:
        """Run the response hooks; return the lines that they added if that is all, so that it goes on like any other.

        Otherwise (None) the head that they changed is written here. Or the response is the phase's, because a hook is
        awaited, replaced it, or asked something of its body.
        """
        exchange, response = self._exchange, self._show(head, hooks)
        if is_sticky:
            add_cookies(response, self.attempt, exchange)
        self._came = body, complete
        if hooks:
            response.in_progress = self
            context, request = exchange.context or exchange.begin_hooks(), exchange.seen or exchange.request
            outcome, runner = context.run(start_response_phase, hooks, request, response), exchange.hooks
            is_stopped = runner is not None and runner.is_stopped
            if outcome is not response or self.phase is not None or is_stopped:
                self.operations.settle(outcome)
                return None
            response.in_progress = None
        try:
            added = added_lines(response, head.status, head.reason, has_gateway_fields)
            if added is not None and not self._flags & HEAD_ONLY:
                return added
            if has_assigned_body(response):
                self.operations.settle(response)
            else:
                write_head(exchange, head, self._flags, response, body, complete)
        except Exception as error:  # noqa: BLE001 - hooks may leave anything, and the connection is not to blame for it
            exchange.crashed(error)
        return None

    def _show(self, head: ResponseHead, hooks: tuple[Hook, ...]) -> Response:
        """Return the response as hooks see it: with what the writer adds."""
        exchange = self._exchange
        block = head.block if head.has_date else head.block + exchange.proxy.date.block()
        more = exchange.snapshot.scope.via_line, exchange.id_line if hooks else b"\r\n\r\n"
        response = self.response = Response.streamed(head.status, head.reason, block, more, head.lowered, head.block)
        if exchange.head.method == "HEAD":
            response.is_for_head = True
        if head.length >= 0:
            response.came_length = head.length
        return response

    @property
    def operations(self) -> ResponsePhase:
        """What hooks can ask of the response (see `gateway_core.messages.Response`); made when one does."""
        if self.phase is None:
            head, response = self.response_head, self.response
            assert head is not None, "a hook asks"
            assert response is not None, "a hook asks"
            self.phase = ResponsePhase(self._exchange, self.attempt, head, self._flags, response, *self._came)
            self._came = b"", False
        return self.phase

    def _undone(self, head: ResponseHead) -> ResponseHead:
        """Return the response's head in the client's words (`rewrite_response`)."""
        return undo_rewrite(head, self._exchange.request, self._exchange.head, self._target, self.attempt.picked)

    def on_body(self, data: bytes | memoryview) -> None:
        exchange, phase = self._exchange, self.phase
        if phase is None:
            exchange.writer.data(data)
        else:
            phase.on_body(bytes(data))
            if not phase.is_decided:
                return
        if not exchange.writer.is_paused:
            exchange.watch(NEVER if self._may_be_quiet else self._route.idle)

    def sink(self) -> BodySink | None:
        idle = NEVER if self._may_be_quiet else self._route.idle
        return None if self.phase is not None else sink_of(self._exchange, idle)

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
            self._show(head, exchange.chain.response).in_progress = self
            self._came = b"", True
            self.operations.start_switch(connection, data)
            return
        block = head.block + exchange.snapshot.scope.via_line
        protocol = attempt.terms.protocol_of(head)
        join(exchange, exchange.writer.switch(head.status, head.reason, block, protocol), connection, data)

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
            self._exchange.watch(NEVER if self._may_be_quiet else self._route.idle)

    def give_up(self, *, timed_out: bool = False) -> None:
        """Stop whatever is in progress upstream; ``timed_out`` if the rest of its response did not come."""
        if self.phase is not None:
            self.phase.give_up()
        self.attempt.give_up(timed_out=timed_out)
