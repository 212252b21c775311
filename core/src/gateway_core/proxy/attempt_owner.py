"""What the attempts of one request have in common: who wants the response, on what terms, and what failed so far.

`AttemptOwner` is what the request is sent for. `AttemptTerms` is what few attempts look at: most requests go to the
only endpoint over an idle connection, and their first response is the last one. `Retries` is made with the first
attempt that fails; whether another one follows is decided by the retry policy (`gateway_core.upstreams.retry`): never
after the head of a response went to the owner, nor for want of local resources, of which another attempt takes more.

**The free resend.** A kept connection may be closed by the endpoint in the moment in which a request goes out on it.
This says nothing about the endpoint, so the same attempt is sent once more, over a new connection, and is not counted
as a retry. Only if the connection was used before, if no byte of a response came, once per request, if the body can be
sent again, and for the methods of the retry policy (RFC 9110 section 9.2.2).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from gateway_core.events import (
    UPSTREAM_BAD_RESPONSE,
    UPSTREAM_CONNECT_FAILED,
    UPSTREAM_CONNECT_TIMEOUT,
    UPSTREAM_RESET,
    UPSTREAM_RESPONSE_TIMEOUT,
    UPSTREAM_TRUNCATED,
    Event,
)
from gateway_core.messages import Attempt as AttemptRecord
from gateway_core.messages import Request
from gateway_core.messages.grpc_status import GrpcCode
from gateway_core.proxy.downstream.client import Client
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.splice import BodySink
from gateway_core.proxy.upstream.connection import UpstreamConnection
from gateway_core.proxy.upstream.directory import UpstreamDirectory
from gateway_core.proxy.upstream.pool import NO_CLIENT, BoundConnections, ProxyClient
from gateway_core.proxy.upstream.response_handler import MOST_UNSEEN, Failure
from gateway_core.proxy.wire.fields import list_members
from gateway_core.proxy.wire.grpc import has_own_deadline, pushback_of, with_previous_attempts
from gateway_core.proxy.wire.request_head import RequestHead
from gateway_core.proxy.wire.response_head import ResponseHead
from gateway_core.snapshot import CompiledRoute
from gateway_core.upstreams.endpoint import Endpoint
from gateway_core.upstreams.outcome import Outcome
from gateway_core.upstreams.retry import IDEMPOTENT_METHODS, Retry, RetryPolicy
from gateway_core.upstreams.upstream import Upstream


class Ending(NamedTuple):
    """What a failure of a connection means."""

    outcome: int
    """For the upstream (see `Upstream.record`)."""
    status: int
    """Of the gateway's response."""
    reason: str
    """A code of `gateway_core.reasons`."""
    word: str
    """For the record of the attempt."""
    event: Event | None = None
    """In the log; None if the failure is reported elsewhere."""


ENDINGS: Final = {
    Failure.CONNECT: Ending(
        Outcome.CONNECT_FAILURE, 502, "upstream.connect-failure", "connect-failure", UPSTREAM_CONNECT_FAILED
    ),
    Failure.CONNECT_TIMEOUT: Ending(
        Outcome.CONNECT_FAILURE, 504, "upstream.connect-timeout", "connect-failure", UPSTREAM_CONNECT_TIMEOUT
    ),
    Failure.RESET: Ending(Outcome.RESET, 502, "upstream.reset", "reset", UPSTREAM_RESET),
    Failure.TIMEOUT: Ending(Outcome.TIMEOUT, 504, "upstream.timeout", "timeout", UPSTREAM_RESPONSE_TIMEOUT),
    Failure.BAD_RESPONSE: Ending(Outcome.RESET, 502, "upstream.bad-response", "bad-response", UPSTREAM_BAD_RESPONSE),
    Failure.TRUNCATED: Ending(Outcome.RESET, 502, "upstream.truncated", "reset", UPSTREAM_TRUNCATED),
    Failure.STALE: Ending(Outcome.RESET, 502, "upstream.reset", "reset", UPSTREAM_RESET),
    Failure.REFUSED: Ending(Outcome.RESET, 502, "upstream.reset", "refused-stream", UPSTREAM_RESET),
    Failure.UNSEEN: Ending(Outcome.RESET, 502, "upstream.reset", "refused-stream", UPSTREAM_RESET),
    Failure.LOCAL: Ending(Outcome.LOCAL, 503, "upstream.local-error", "cancelled"),
}


_REASONS: Final[dict[Event, str]] = {each.event: each.reason for each in ENDINGS.values() if each.event is not None}


def reason_of(outcome: int | None, event: Event | None) -> str | None:
    """Return why an attempt failed, as a code of `gateway_core.reasons` where there is one; None if it did not."""
    if event is not None:
        return _REASONS[event]
    return "cancelled" if outcome == Outcome.ABANDONED else "upstream.local-error" if outcome == Outcome.LOCAL else None


def can_resend(failure: Failure, uses: int) -> bool:
    """Return whether a failure says nothing of the endpoint: it has not acted, or the connection had served others.

    :param uses: requests of the connection, this one included.
    """
    return failure in (Failure.REFUSED, Failure.UNSEEN) or (uses > 1 and failure in (Failure.RESET, Failure.STALE))


@dataclass(frozen=True, slots=True)
class AttemptTerms:
    """What is the same for all attempts of a request."""

    method: str
    """Decides whether it may be sent twice."""
    policy: RetryPolicy
    connect_timeout: float
    """Seconds to make a connection; 0 is no limit."""
    total_deadline: float
    """Monotonic seconds by which all has to be over."""
    key: str | None = None
    """What the upstream's strategy hashes."""
    sticky_cookie: str | None = None
    """The client's cookie that names an endpoint."""
    proxy_client: ProxyClient = NO_CLIENT
    """On whose behalf a connection begins with a PROXY header, if the upstream gets one."""
    offered_protocol: bytes = b""
    """The protocol that the client asks to change to."""
    request: Request | None = None
    """The one that it is for, for the log; None if that is none of a client's."""
    is_client_deadline: bool = False
    """Whether ``total_deadline`` is what the client asked for: when it is over says nothing of the endpoint."""

    def is_client_late(self, now: float) -> bool:
        """Return whether the time that the client gave is over, for which no endpoint is to blame."""
        return self.is_client_deadline and now >= self.total_deadline

    def protocol_of(self, head: ResponseHead) -> bytes:
        """Return the protocol that a 101 changes to."""
        return head.upgrade or self.offered_protocol

    def switch_problem(self, head: ResponseHead, body: RequestBody | None) -> str:
        """Return why a 101 is a bad response; empty if it is not.

        :param body: of the request.
        """
        if any(name != self.offered_protocol for name in list_members([self.protocol_of(head)])):
            # The client would take the bytes of one protocol for those of another.
            return "it changes to another protocol than the client offered"
        if body is not None and not body.is_complete:
            # The rest of the body would be the first bytes of the new protocol (RFC 9110 section 7.8).
            return "it changes the protocol before the request is complete"
        return ""


def client_terms(
    request: Request, head: RequestHead, client: Client, route: CompiledRoute, upstream: Upstream, total_deadline: float
) -> AttemptTerms:
    """Return the terms of a client's request to an upstream."""
    return AttemptTerms(
        request.method,
        route.retry or upstream.retries,
        route.timeouts.connect,
        total_deadline,
        None if upstream.hash_key is None else upstream.hash_key(request),
        None if upstream.sticky is None else upstream.sticky.cookie_of(request),
        NO_CLIENT if upstream.transport.send_proxy_protocol is None else ProxyClient(client.source, client.destination),
        head.facts.upgrade or b"",
        request,
        is_client_deadline=has_own_deadline(head, route.total),
    )


PreparedRequest = tuple[bytes, int]
"""The head, or a whole request, and the flags of `UpstreamConnection.send`."""


class UpstreamFailure(NamedTuple):
    """Why there is no response."""

    status: int
    reason: str
    """A code of `gateway_core.reasons`."""
    detail: str
    """For logs, never for clients."""
    retry_after: float | None = None
    """Seconds after which trying again may help."""


class AttemptOwner(Protocol):
    """What wants a response: learns once what became of it, by `on_response`, `on_switch` or `on_failed`."""

    @property
    def upstream(self) -> Upstream: ...

    @property
    def directory(self) -> UpstreamDirectory: ...

    @property
    def body(self) -> RequestBody | None:
        """What is sent behind the head that `prepare` makes."""

    @property
    def bound(self) -> BoundConnections | None:
        """The upstream connections that belong to the client."""

    def terms(self) -> AttemptTerms:
        """Return what few attempts need to know; called once an attempt needs it."""

    def prepare(self, endpoint: Endpoint) -> PreparedRequest | None:
        """Make the request's head for an endpoint.

        :returns: None if it is passed to `Attempt.connect` later, or after `Attempt.give_up`.
        """

    def on_sent(self, now: float) -> None:
        """Called when the head is written, with what was there of the body: the wait for the response begins.

        Not called if the request was sent within `Attempt.start`, which then returns True.
        """

    def on_waiting(self, seconds: float) -> None:
        """Called when the attempt waits for something else, ``seconds`` at most; 0 is no limit of its own."""

    def on_retry(self, retries: Retries) -> None:
        """Make another attempt, in the place of the last one."""

    def on_interim(self, head: ResponseHead) -> None:
        """Called with each 1xx head that is not 101."""

    @property
    def passes_whole(self) -> bool:
        """Whether `on_response` takes trailers: nothing looks at the head before it goes on."""

    def on_response(self, head: ResponseHead, body: bytes, complete: bool, trailers: bytes = b"") -> None:
        """Called with the head, and the part of the body that came with it."""

    def on_body(self, data: bytes | memoryview) -> None:
        """Called with the next part of the body; who keeps it makes bytes of it."""

    def sink(self) -> BodySink | None:
        """Return where the rest of the body goes as it comes; None if it is looked at, or must wait."""

    def on_end(self, trailers: bytes) -> None:
        """Called when the response is complete; ``trailers`` is a block of fields."""

    def on_switch(self, connection: UpstreamConnection, head: ResponseHead, data: bytes) -> None:
        """Called with a 101 head and the bytes behind it.

        The connection is the owner's from here on; the attempt is in progress until `Attempt.give_up`.
        """

    def on_failed(self, failure: UpstreamFailure) -> None:
        """Called when no response will come."""

    def on_broken(self, reason: str, detail: str) -> None:
        """Called when a response that has begun will not be completed."""

    def keep_bound(self, endpoint: Endpoint, connection: UpstreamConnection) -> None:
        """Keep a connection for the owner's client alone, or abort it."""

    def crashed(self, error: BaseException) -> None:
        """Called when the gateway itself failed."""


class Retries:
    """The failed attempts of one request; its next attempt goes on with them."""

    __slots__ = (
        "_is_retrying", "_owner", "_timer", "attempted", "first_picked_at", "records", "resends", "terms",
        "was_repeated",
    )  # fmt: skip

    def __init__(self, owner: AttemptOwner, terms: AttemptTerms) -> None:
        self._owner = owner
        self.terms = terms
        self._is_retrying = False
        self._timer: asyncio.TimerHandle | None = None  # of the backoff
        self.records: tuple[AttemptRecord, ...] = ()
        self.attempted: tuple[Endpoint, ...] = ()
        """Those that another attempt followed."""
        self.first_picked_at = 0.0
        """Monotonic seconds; 0 until another attempt follows the first."""
        self.resends = 0
        """How often the request was sent again over another connection, which is no retry."""
        self.was_repeated = False
        """Whether an attempt hook had it sent once more (`UpstreamAttempt.on_status`)."""

    @property
    def names(self) -> str:
        """The endpoints of the attempts that failed."""
        return ", ".join([failed.endpoint for failed in self.records])

    def note(
        self, endpoint: Endpoint, word: str, picked_at: float, status: int = 0, grpc_status: int | None = None
    ) -> None:
        """Record an attempt that failed."""
        seconds = self._owner.directory.now() - picked_at
        self.records = (*self.records, AttemptRecord(endpoint.id, word, status, seconds, endpoint.url, grpc_status))

    def takes_resend(self, failure: Failure) -> bool:
        """Decide whether the attempt may be sent again over another connection, and remember that it was."""
        terms, body = self.terms, self._owner.body
        is_safe = failure in (Failure.REFUSED, Failure.UNSEEN) or terms.method in terms.policy.methods
        if not is_safe or self.resends >= (MOST_UNSEEN if failure is Failure.UNSEEN else 1):
            return False
        if body is not None:
            if not body.is_replayable:
                return False
            body.rewind()
        self.resends += 1
        return True

    def takes_repeat(self) -> bool:
        """Decide whether the request may be sent once more because an attempt hook asks for it, and remember that."""
        owner, terms, body = self._owner, self.terms, self._owner.body
        if self.was_repeated or terms.method not in IDEMPOTENT_METHODS:
            return False
        self.end()
        is_replayable = body is None or body.is_replayable
        has_time = owner.directory.now() < terms.total_deadline
        self.was_repeated = is_replayable and has_time and owner.upstream.retry_budget.allows()
        return self.was_repeated

    def with_previous_attempts(self, head: PreparedRequest) -> PreparedRequest:
        """Return the head of a retry, with the number of attempts before it for services of gRPC."""
        count = sum(record.outcome != "connect-failure" for record in self.records)
        return with_previous_attempts(head[0], count), head[1]

    def delay(self, outcome: int, *, can_fail_over: bool = False, pushback: float | None = None) -> float | None:
        """Return the seconds to wait before another attempt, or None if there is to be none.

        :param outcome: of the attempt that is over: a status, a `grpc_outcome` or an `Outcome`.
        :param can_fail_over: whether it found no connection to a discovered endpoint, and there are others.
        :param pushback: see `RetryPolicy.decide`.
        """
        self.end()
        owner, terms, body = self._owner, self.terms, self._owner.body
        if outcome == Outcome.LOCAL or not (terms.policy.is_enabled or can_fail_over):
            return None
        verdict = terms.policy.decide(
            attempt=len(self.attempted) + 1,
            outcome=outcome,
            method=terms.method,
            is_replayable=body is None or body.is_replayable,
            response_started=False,
            now=owner.directory.now(),
            deadline=terms.total_deadline,
            budget=owner.upstream.retry_budget,
            rng=owner.directory.rng,
            can_fail_over=can_fail_over,
            pushback=pushback,
        )
        return verdict.delay if isinstance(verdict, Retry) else None

    def delay_after(
        self,
        head: ResponseHead,
        outcome: int,
        code: GrpcCode | None,
        endpoint: Endpoint,
        picked_at: float,
        *,
        is_asked: bool = False,
    ) -> float | None:
        """Return the seconds to wait before another attempt after a response, which is recorded; None for none.

        :param code: how a call of gRPC ended.
        :param is_asked: whether an attempt hook asks for it, which it gets once, whatever the policy's conditions.
        """
        if is_asked and self.takes_repeat():
            delay: float | None = 0.0
        else:
            delay = self.delay(outcome, pushback=pushback_of(head.block) if code else None)
        if delay is not None:
            self.note(endpoint, "responded", picked_at, head.status, code)
        return delay

    def begin(self, delay: float, endpoint: Endpoint, picked_at: float) -> None:
        """Have another attempt made in so many seconds, which follows one to this endpoint."""
        owner = self._owner
        owner.upstream.retry_budget.begin()
        self._is_retrying = True
        self.first_picked_at = self.first_picked_at or picked_at
        self.attempted = (*self.attempted, endpoint)
        if owner.body is not None:
            owner.body.rewind()
        owner.on_waiting(0)
        if delay <= 0:
            owner.on_retry(self)
        else:
            self._timer = owner.directory.loop.call_later(delay, self._start_next)

    def _start_next(self) -> None:
        self._timer = None
        try:
            self._owner.on_retry(self)
        except Exception as error:  # noqa: BLE001 - a timer has no caller to raise to
            self._owner.crashed(error)

    def end(self) -> None:
        """Count a retry to be over, if one waits or is in progress."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._is_retrying:
            self._is_retrying = False
            self._owner.upstream.retry_budget.end()
