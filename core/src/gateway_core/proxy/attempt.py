"""One attempt to get the response to a request from one endpoint: pick, connect, send, receive, and try again.

A request is sent for its `AttemptOwner`: the `Relay` of a client's request, a copy for a mirror, a call of the
gateway's own. `Retries` decides whether another attempt follows one that failed. The states, moved on by calls:

    picked -> (queued) -> prepared by the owner -> (connecting) -> sent -> response head -> complete

Every pick is followed by exactly one `Upstream.record`. Behind the response's head, failures are `on_broken`.
"""

from __future__ import annotations

from gateway_core.events import UPSTREAM_RESPONSE_TIMEOUT, Event
from gateway_core.messages import UpstreamAttempt
from gateway_core.messages.grpc_status import GrpcCode, read_code
from gateway_core.observe.tracing.spans import AttemptSpan, SpanPlace
from gateway_core.proxy import attempt_owner
from gateway_core.proxy.address_race import connect
from gateway_core.proxy.attempt_owner import AttemptOwner, AttemptTerms, PreparedRequest, Retries, UpstreamFailure
from gateway_core.proxy.splice import BodySink
from gateway_core.proxy.sweeper import NEVER
from gateway_core.proxy.upstream.connection import UpstreamConnection
from gateway_core.proxy.upstream.pool import Connecting, Lent, Pool
from gateway_core.proxy.upstream.response_handler import Failure
from gateway_core.proxy.wire.response_head import ResponseHead
from gateway_core.upstreams.admission import Decision
from gateway_core.upstreams.endpoint import Endpoint
from gateway_core.upstreams.outcome import Outcome, call_outcome


class Attempt:
    """One attempt (a `ResponseHandler`). What few of them set has its default in the class."""

    __slots__ = (
        "__dict__", "_connection", "_head", "_is_counted", "_owner", "endpoint", "grpc_code", "observed", "picked_at",
        "responded_at", "retries", "span", "upstream",
    )  # fmt: skip

    is_queued = _is_resent = False  # it waits for a connection that its upstream's limits allow; it was sent twice
    _connecting: Connecting | None = None
    _outcome: int | None = None  # how it ends unless the rest of the response's body fails
    _terms: AttemptTerms | None = None
    observed: UpstreamAttempt | None  # of which a hook wants to know the status
    grpc_code: GrpcCode | None  # of a call of gRPC whose response is complete
    span: AttemptSpan | None  # if its trace may be exported

    def __init__(self, owner: AttemptOwner, retries: Retries | None = None) -> None:
        """Send nothing yet; ``retries`` are the attempts before this one."""
        self._owner = owner
        self.upstream, self.retries = owner.upstream, retries
        self.endpoint: Endpoint | None = None  # that was picked
        self.picked_at, self.responded_at, self._is_counted = 0.0, 0.0, False
        self._connection: Lent | None = None
        self.observed = self.grpc_code = self.span = None

    @property
    def terms(self) -> AttemptTerms:
        """What is the same for all attempts of the request."""
        if self._terms is None:
            self._terms = self._owner.terms() if self.retries is None else self.retries.terms
        return self._terms

    def begin_span(self, place: SpanPlace, line: bytes) -> bytes:
        """Return the id of the span that its head is sent for; one that is sent again keeps it."""
        self.span = self.span or place.begin_attempt(line, self.picked_at)
        return place.parent_id if self.span is None else self.span.span_id

    def start(self, now: float) -> bool:
        """Pick an endpoint and send the request there, or wait in the upstream's queue.

        :returns: whether the head is written; otherwise `AttemptOwner` is called when it is, or when it cannot be.
        """
        owner, upstream = self._owner, self.upstream
        is_first = owner.bound is None and self.retries is None
        endpoint = upstream.pick(None, now) if is_first and upstream.is_plain else self._pick(now)
        if endpoint is None:
            refusal = upstream.refusal(now)
            self._fail(503, "upstream.unavailable", refusal.reason.value, refusal.retry_after or None)
            return False
        self.endpoint, self.picked_at = endpoint, now
        admission = upstream.admission
        if not admission.is_unlimited and not self._is_admitted(endpoint):
            return False
        admission.load.active += 1
        endpoint.active += 1
        self._is_counted = True
        if (head := owner.prepare(endpoint)) is None:
            return False
        if is_first and isinstance(idle := endpoint.pool, Pool) and not idle.sends_proxy_header:
            connection = self._connection = idle.take()
            if connection is not None:  # as almost always
                self._send(connection, head) if owner.body else connection.send(self, head[0], head[1])
                return True
        return self._connect(endpoint, head, now)

    def _pick(self, now: float) -> Endpoint | None:
        """Pick an endpoint for a request that was attempted before, or whose client or key has one of its own."""
        owner, upstream = self._owner, self.upstream
        attempted = () if self.retries is None else self.retries.attempted
        bound = None if attempted or owner.bound is None else owner.bound.pick(upstream, now)
        return bound or upstream.pick(self.terms.key, now, attempted, self.terms.sticky_cookie)

    def _is_admitted(self, endpoint: Endpoint) -> bool:
        """Whether the upstream's limits leave room; otherwise the attempt waits for it, or is refused."""
        owner, upstream = self._owner, self.upstream
        decision = upstream.admission.decide(endpoint)
        if decision is Decision.QUEUE:
            self.is_queued = True
            owner.directory.enqueue(self, upstream)
            owner.on_waiting(upstream.settings.limits.pending_timeout)
        elif decision is Decision.REFUSE:
            self._leave(Outcome.ABANDONED)
            self._fail(503, "upstream.overloaded", "has no free connection", 1)
        return decision is Decision.ADMIT

    def dispatch(self) -> None:
        """Called by the queue when there is a free connection."""
        owner, endpoint, self.is_queued = self._owner, self.picked, False
        try:
            self.upstream.admission.enter(endpoint)
            self._is_counted = True
            self.connect(owner.prepare(endpoint))
        except Exception as error:  # noqa: BLE001 - the end of another request called this, which is not to fail for it
            owner.crashed(error)

    def connect(self, head: PreparedRequest | None, observed: UpstreamAttempt | None = None) -> None:
        """Send the head that the owner prepared later than in `start`; nothing happens after `give_up`."""
        if head is not None and not self.is_over:
            self.observed, owner, now = observed, self._owner, self._owner.directory.now()
            if self._connect(self.picked, head, now):
                owner.on_sent(now)

    def _connect(self, endpoint: Endpoint, head: PreparedRequest, now: float) -> bool:
        """Send over an idle connection to the endpoint, or a new one; return whether the head is written."""
        owner, idle = self._owner, endpoint.pool
        if self.retries is not None and self.retries.attempted:
            head = self.retries.with_previous_attempts(head)
        connection: Lent | None = owner.bound.take(endpoint) if owner.bound and not self._is_resent else None
        if connection is None and not self._is_resent and isinstance(idle, Pool):
            connection = idle.take(self.terms.proxy_client) if idle.sends_proxy_header else idle.take()
        if connection is None:
            self._head, terms, seconds = head, self.terms, self.terms.connect_timeout
            if terms.total_deadline is not NEVER:
                seconds = max(0.001, min(seconds or NEVER, terms.total_deadline - now))
            owner.on_waiting(0)
            pool = owner.directory.pool_for(endpoint, self.upstream)
            self._connecting = connect(self, pool, owner.directory.now, seconds, terms.proxy_client)
            return False
        self._send(connection, head)
        return True

    def connected(self, connection: Lent | None, failure: Failure, detail: str) -> None:
        self._connecting = None
        try:
            if connection is None:
                self._retry_or_fail(failure, detail)
            else:
                self._send(connection, self._head)
                self._owner.on_sent(self._owner.directory.now())
        except Exception as error:  # noqa: BLE001 - the task that connects has no caller to raise to
            self._owner.crashed(error)

    def _send(self, connection: Lent, head: PreparedRequest) -> None:
        self._connection, (data, flags), body = connection, head, self._owner.body
        if body is None:
            connection.send(self, data, flags)
        else:
            piece, is_complete = body.take(), body.is_complete
            connection.send_with_body(self, data, piece, flags, is_complete, body.trailers if is_complete else b"")
            if not is_complete:
                body.attach(connection)

    def on_interim(self, head: ResponseHead) -> None:
        self._owner.on_interim(head)

    def on_response(self, head: ResponseHead, body: bytes, complete: bool, trailers: bytes = b"") -> None:
        """Report the response, unless its status leads to a retry."""
        owner, status, now = self._owner, head.status, self._owner.directory.now()
        if self.span is not None:
            self.span.responded(status, self._connection, now)
        if complete:
            self._connection = None
            if (sent := owner.body) is not None and not sent.is_complete:
                sent.detach()
            if not (trailers or body) and self.upstream.may_refuse:
                self.grpc_code = read_code(head.block)
                status = call_outcome(self.grpc_code, status)
        if (status >= 400 or self.observed is not None) and self._retries_on(status, head):
            return
        self.responded_at = now
        upstream, endpoint = self.upstream, self.endpoint
        assert endpoint is not None
        if complete or endpoint.is_guarded:  # whose breaker waits for this response, and a body may take hours
            upstream.record(endpoint, status, self.picked_at, now)
        else:
            self._outcome = status
        if complete and (self.retries is not None or self.span is not None or not upstream.admission.is_unlimited):
            self.count_out(endpoint, now)
        elif complete:  # the same without a call, as there is nothing else to do
            self._is_counted = False
            upstream.admission.load.active -= 1
            endpoint.active -= 1
        owner.on_response(head, body, complete, trailers)

    def on_whole(self, head: ResponseHead, body: bytes, trailers: bytes) -> None:
        """Report a response at once, unless its status, that of a call or the owner needs it in its parts."""
        if head.status < 400 and not (code := read_code(trailers)) and self._owner.passes_whole:
            self.grpc_code = code
            self.on_response(head, body, True, trailers)
            return
        self.on_response(head, body, False)
        if self._connection is not None:
            self.on_end(trailers)

    def on_body(self, data: bytes | memoryview) -> None:
        self._owner.on_body(data)

    def sink(self) -> BodySink | None:
        return self._owner.sink()

    def on_end(self, trailer: bytes) -> None:
        owner, self._connection = self._owner, None
        if trailer and self.upstream.may_refuse:
            self.grpc_code = read_code(trailer)
            self._outcome = self._outcome and call_outcome(self.grpc_code, self._outcome)
        self._leave(self._outcome)
        if owner.body is not None:
            owner.body.detach()
        owner.on_end(trailer)

    def on_switch(self, connection: UpstreamConnection, head: ResponseHead, data: bytes) -> None:
        owner, body = self._owner, self._owner.body
        if problem := self.terms.switch_problem(head, body):
            connection.transport.abort()
            self.on_failure(Failure.BAD_RESPONSE, problem)
            return
        self._connection = None
        if body is not None:
            body.detach()
        now = self.responded_at = owner.directory.now()
        if self.span is not None:
            self.span.responded(head.status, connection, now)
        self.upstream.record(self.picked, head.status, self.picked_at, now)
        owner.on_switch(connection, head, data)

    def on_failure(self, failure: Failure, detail: str) -> None:
        """Send again, report, or let the next attempt begin."""
        connection, self._connection = self._connection, None
        owner, ending = self._owner, attempt_owner.ENDINGS[failure]
        if owner.body is not None:
            owner.body.detach()
        may_resend = connection is not None and attempt_owner.can_resend(failure, connection.uses)
        if self.responded_at:
            self._leave(ending.outcome, detail, ending.event)
            owner.on_broken(ending.reason, detail)
        elif may_resend and self.history().takes_resend(failure):
            self._is_resent = True  # the same pick goes on: breaker and limits have counted it, and it is not over
            self.connect(owner.prepare(self.picked))
        else:
            self._retry_or_fail(failure, detail)

    def keep_bound(self, connection: UpstreamConnection) -> None:
        self._owner.keep_bound(self.picked, connection)

    def pause_upload(self) -> None:
        if self._owner.body is not None:
            self._owner.body.pause()

    def resume_upload(self) -> None:
        if self._owner.body is not None:
            self._owner.body.resume()

    @property
    def picked(self) -> Endpoint:
        assert self.endpoint is not None
        return self.endpoint

    def history(self) -> Retries:
        self.retries = self.retries or Retries(self._owner, self.terms)
        return self.retries

    def _retry_or_fail(self, failure: Failure, detail: str) -> None:
        """Make another attempt if the policy allows it, or report the failure."""
        endpoint, retries, ending = self.picked, self.history(), attempt_owner.ENDINGS[failure]
        retries.note(endpoint, ending.word, self.picked_at)
        self._leave(ending.outcome, detail, ending.event)
        delay = retries.delay(ending.outcome, can_fail_over=self.upstream.can_fail_over(endpoint, retries.attempted))
        if delay is not None:
            retries.begin(delay, endpoint, self.picked_at)
        else:
            self._fail(ending.status, ending.reason, f"endpoint {retries.names}: {detail}")

    def _retries_on(self, outcome: int, head: ResponseHead) -> bool:
        """Make another attempt if the policy or an attempt hook has it for a response; False if that is to go on."""
        observed, self.observed = self.observed, None
        is_asked = observed is not None and observed.note_status(head.status)
        if not is_asked and (outcome < 400 or not self.terms.policy.may_retry(outcome)):
            return False
        retries = self.history()
        delay = retries.delay_after(head, outcome, self.grpc_code, self.picked, self.picked_at, is_asked=is_asked)
        if delay is not None:
            self._leave(outcome)
            retries.begin(delay, self.picked, self.picked_at)
        return delay is not None

    def _fail(self, status: int, reason: str, detail: str, retry_after: float | None = None) -> None:
        """End the request without a response."""
        if self.retries is not None:
            self.retries.end()
        self.upstream.failures.refused(reason, detail, self._owner.directory.now(), self.terms.request)
        detail = f"upstream {self.upstream.name!r}: {detail}"
        self._owner.on_failed(UpstreamFailure(status, reason, detail, retry_after))

    def pause_reading(self) -> None:
        if self._connection is not None:
            self._connection.pause_reading()

    def resume_reading(self) -> None:
        if self._connection is not None:
            self._connection.resume_reading()

    @property
    def seconds_left(self) -> float:
        return self.terms.total_deadline - self._owner.directory.now()

    @property
    def is_over(self) -> bool:
        """Whether it holds no place of its upstream: it is over, or has not begun."""
        return not self._is_counted and not self.is_queued

    @property
    def is_sent(self) -> bool:
        """Whether a connection has the request, and its response is not complete."""
        return self._connection is not None

    def expire(self) -> None:
        """End what takes too long before a response has begun: the queue, the response, or all of it."""
        if self._connection is not None and not self.terms.is_client_late(self._owner.directory.now()):
            self._connection.abort()
            self.on_failure(Failure.TIMEOUT, "it did not respond in time")
            return
        was_queued = self.is_queued
        self.give_up()
        if was_queued:
            self._fail(503, "upstream.overloaded", "no connection became free in time", 1)
        else:
            self._fail(504, "request-timeout", "the request took too long")

    def give_up(self, *, timed_out: bool = False) -> None:
        """Stop whatever is in progress, and report nothing; ``timed_out`` if the rest of a response did not come."""
        owner = self._owner
        if self.retries is not None:
            self.retries.end()
        if self.is_over:
            return
        if self._connecting is not None:
            self._connecting.cancel()
        if self.is_queued:
            owner.directory.leave_queue(self, self.upstream)
        self._connecting, self.is_queued = None, False
        if owner.body is not None:
            owner.body.detach()
        if not self.responded_at:
            self._leave(Outcome.ABANDONED)
        elif self._connection is None:
            self.count_out(self.picked)
        elif timed_out and not self.terms.is_client_late(owner.directory.now()):
            self._leave(Outcome.TIMEOUT, "the rest did not come in time", UPSTREAM_RESPONSE_TIMEOUT)
        else:
            self._leave(self._outcome)

    def _leave(self, outcome: int | None, detail: str = "", event: Event | None = None) -> None:
        """End the attempt; the upstream learns from its outcome unless it did already, the log of its event."""
        connection, self._connection, endpoint = self._connection, None, self.picked
        if connection is not None:
            connection.abort()
        if self.span is not None:
            self.span.failed(attempt_owner.reason_of(outcome, event))
        if outcome is not None:
            now, request = self._owner.directory.now(), None if event is None else self.terms.request
            self.upstream.record(endpoint, outcome, self.picked_at, now, detail, event, self.responded_at, request)
        self.count_out(endpoint)

    def count_out(self, endpoint: Endpoint, now: float = 0.0) -> None:
        if self._is_counted:
            self._is_counted = False
            if (span := self.span) is not None:
                self.span = None
                span.end(now or self._owner.directory.now(), self.upstream.name, endpoint, self.retries, self.grpc_code)
            if self.retries is not None:
                self.retries.end()
            admission = self.upstream.admission
            admission.load.active -= 1
            endpoint.active -= 1
            if not admission.is_unlimited:
                self._owner.directory.serve_queue(self.upstream)

    def clear(self) -> None:
        """Drop the references that make cycles; the request is over."""
        del self._owner, self.retries
