"""One attempt to get the response to a request from one endpoint.

An `UpstreamRequest` makes one attempt after another. Each goes through these states, and is moved on by a call:

    picked -> (queued) -> prepared by the owner -> (connecting) -> sent -> response head -> response complete

* picked: the upstream chose an endpoint, and every pick is followed by exactly one `Upstream.record`.
* queued: the upstream's limits leave no room; `UpstreamDirectory` calls `dispatch`.
* prepared: `AttemptOwner.prepare` returns the head, or passes it to `UpstreamRequest.connect` later.
* sent: the connection reports to the attempt (`ResponseHandler`).

An attempt that ends without a response head is reported to its `UpstreamRequest`, which makes another one or gives up.
After the head there is no way back: a failure is `AttemptOwner.on_broken`.

**The free resend.** A kept connection may be closed by the endpoint in the moment in which a request goes out on it.
This says nothing about the endpoint, so the same attempt is sent once more, over a new connection, and is not counted
as a retry. Only if the connection was used before, if no byte of a response came, once per request, if the body can be
sent again, and for the methods of the retry policy (RFC 9110 section 9.2.2).
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from gateway_core.proxy.attempt_owner import ENDINGS, AttemptOwner, Ending, PreparedRequest
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.sweeper import NEVER
from gateway_core.proxy.upstream.bound_connections import BoundConnections
from gateway_core.proxy.upstream.connection import UpstreamConnection
from gateway_core.proxy.upstream.directory import UpstreamDirectory
from gateway_core.proxy.upstream.pool import Pool, ProxyClient
from gateway_core.proxy.upstream.response_handler import Failure
from gateway_core.proxy.wire.fields import list_members
from gateway_core.proxy.wire.response_head import ResponseHead
from gateway_core.upstreams.admission import Decision
from gateway_core.upstreams.endpoint import Endpoint
from gateway_core.upstreams.outcome import Outcome
from gateway_core.upstreams.upstream import Upstream

_STALE: Final = frozenset({Failure.RESET, Failure.STALE})
"""Failures of a connection that had served before, which say nothing of the endpoint."""


class AttemptMaker(Protocol):
    """The `UpstreamRequest` that an attempt is one of."""

    owner: AttemptOwner
    directory: UpstreamDirectory
    upstream: Upstream
    body: RequestBody | None
    bound: BoundConnections | None
    connect_timeout: float
    total_deadline: float
    is_retrying: bool
    proxy_client: ProxyClient
    offered_protocol: bytes

    def fail(self, status: int, reason: str, detail: str, retry_after: float | None = None) -> None: ...
    def attempt_failed(self, attempt: Attempt, ending: Ending, detail: str) -> None: ...
    def try_retry_on_status(self, attempt: Attempt, status: int, now: float) -> bool: ...
    def takes_resend(self) -> bool: ...
    def end_retry(self) -> None: ...


class Attempt:
    """One try to get the response from one endpoint; implements `ResponseHandler`."""

    __slots__ = (
        "_connecting",
        "_connection",
        "_head",
        "_is_counted",
        "_outcome",
        "_request",
        "endpoint",
        "is_queued",
        "picked_at",
        "responded_at",
    )

    def __init__(self, request: AttemptMaker, endpoint: Endpoint, now: float) -> None:
        self._request = request
        self.endpoint = endpoint
        self.picked_at = now
        self.responded_at = 0.0
        """Monotonic seconds of the response's head; 0 until then."""
        self.is_queued = self._is_counted = False
        self._connecting: asyncio.Task[None] | None = None
        self._connection: UpstreamConnection | None = None
        self._outcome: int | None = None  # how it ends unless the rest of the response's body fails

    def start(self, now: float) -> None:
        """Send the request, or wait in the upstream's queue."""
        request = self._request
        admission = request.upstream.admission
        if not admission.is_unlimited:
            decision = admission.decide(self.endpoint)
            if decision is Decision.QUEUE:
                self.is_queued = True
                request.directory.enqueue(self, request.upstream)
                request.owner.on_waiting(request.upstream.settings.limits.pending_timeout)
                return
            if decision is Decision.REFUSE:
                self._leave(Outcome.ABANDONED)
                request.fail(503, "upstream.overloaded", "has no free connection", 1)
                return
        admission.load.active += 1
        self.endpoint.active += 1
        self._is_counted = True
        head = request.owner.prepare(self.endpoint, now)
        if head is not None:
            self.connect(head, now)

    def dispatch(self) -> None:
        """Called by the queue when there is a free connection."""
        self.is_queued = False
        request = self._request
        try:
            request.upstream.admission.enter(self.endpoint)
            self._is_counted = True
            now = request.directory.now()
            head = request.owner.prepare(self.endpoint, now)
            if head is not None:
                self.connect(head, now)
        except Exception as error:  # noqa: BLE001 - the end of another request called this, which is not to fail for it
            request.owner.crashed(error)

    def connect(self, head: PreparedRequest, now: float, *, anew: bool = False) -> None:
        """Send over an idle connection to the endpoint, or a new one.

        :param now: monotonic seconds; the wait for the response begins here.
        :param anew: whether only a new one will do.
        """
        self._head = head
        if anew:
            self._connect_anew(now)
            return
        request, endpoint = self._request, self.endpoint
        bound, pool = request.bound, endpoint.pool
        connection = None if bound is None else bound.take(endpoint)
        if connection is None and isinstance(pool, Pool):
            connection = pool.take(request.proxy_client)
        if connection is None:
            self._connect_anew(now)
        elif request.body is not None:
            self._send(connection, now)
        else:
            self._connection = connection
            connection.send(self, head[0], head[1])
            request.owner.on_sent(now)

    def _connect_anew(self, now: float) -> None:
        request = self._request
        pool = request.directory.pool_for(self.endpoint, request.upstream)
        seconds = request.connect_timeout
        if request.total_deadline is not NEVER:
            seconds = max(0.001, min(seconds or NEVER, request.total_deadline - now))
        request.owner.on_waiting(0)
        self._connecting = pool.connect(seconds, self._connected, request.proxy_client)

    def _connected(self, connection: UpstreamConnection | None, failure: Failure, detail: str) -> None:
        self._connecting = None
        request = self._request
        try:
            if connection is None:
                request.attempt_failed(self, ENDINGS[failure], detail)
            else:
                self._send(connection, request.directory.now())
        except Exception as error:  # noqa: BLE001 - the task that connects has no one else to tell
            request.owner.crashed(error)

    def _send(self, connection: UpstreamConnection, now: float) -> None:
        request = self._request
        self._connection = connection
        body, (head, flags) = request.body, self._head
        if body is None:
            connection.send(self, head, flags)
        else:
            data, is_complete = body.take(), body.is_complete
            connection.send_with_body(self, head, data, flags, is_complete, body.trailers if is_complete else b"")
            if not is_complete:
                body.attach(connection)
        request.owner.on_sent(now)

    # -- what the connection reports

    def on_interim(self, head: ResponseHead) -> None:
        self._request.owner.on_interim(head)

    def on_response(
        self,
        connection: UpstreamConnection,  # noqa: ARG002 - the handler's signature
        head: ResponseHead,
        body: bytes,
        complete: bool,
    ) -> None:
        """Report the response, unless its status leads to a retry."""
        request, endpoint, status = self._request, self.endpoint, head.status
        now = request.directory.now()
        if complete:
            self._connection = None
            if request.body is not None:
                request.body.detach()
        if status >= 400 and request.try_retry_on_status(self, status, now):
            return
        self.responded_at = now
        if complete:
            request.upstream.record(endpoint, status, self.picked_at, now)
            self._count_out()
        elif endpoint.is_guarded:
            # Its breaker waits for this response, whose body may take hours.
            request.upstream.record(endpoint, status, self.picked_at, now)
        else:
            self._outcome = status
        request.owner.on_response(head, body, complete)

    def on_body(self, data: bytes) -> None:
        self._request.owner.on_body(data)

    def on_end(self, trailer: bytes) -> None:
        self._connection = None
        self._leave(self._outcome)
        if self._request.body is not None:
            self._request.body.detach()
        self._request.owner.on_end(trailer)

    def on_switch(self, connection: UpstreamConnection, head: ResponseHead, data: bytes) -> None:
        request, problem = self._request, ""
        if any(name != request.offered_protocol for name in list_members([head.upgrade or request.offered_protocol])):
            # The client would take the bytes of one protocol for those of another.
            problem = "it changes to another protocol than the client offered"
        elif request.body is not None and not request.body.is_complete:
            # The rest of the body would be the first bytes of the new protocol (RFC 9110 section 7.8).
            problem = "it changes the protocol before the request is complete"
        if problem:
            connection.transport.abort()
            self.on_failure(Failure.BAD_RESPONSE, problem)
            return
        now = request.directory.now()
        self._connection = None
        if request.body is not None:
            request.body.detach()
        self.responded_at = now
        request.upstream.record(self.endpoint, head.status, self.picked_at, now)
        request.owner.on_switch(connection, head, data)

    def on_failure(self, failure: Failure, detail: str) -> None:
        """Send again, report, or let the next attempt begin."""
        connection, self._connection = self._connection, None
        request, ending = self._request, ENDINGS[failure]
        if request.body is not None:
            request.body.detach()
        if self.responded_at:
            self._leave(ending.outcome, detail)
            request.owner.on_broken(ending.reason, detail)
        elif failure in _STALE and connection is not None and connection.uses > 1 and request.takes_resend():
            # The same pick goes on: breaker and limits have counted it, and it is not over.
            now = request.directory.now()
            head = request.owner.prepare(self.endpoint, now)
            if head is not None:
                self.connect(head, now, anew=True)
        else:
            request.attempt_failed(self, ending, detail)

    def keep_bound(self, connection: UpstreamConnection) -> None:
        self._request.owner.keep_bound(self.endpoint, connection)

    def pause_upload(self) -> None:
        if self._request.body is not None:
            self._request.body.pause()

    def resume_upload(self) -> None:
        if self._request.body is not None:
            self._request.body.resume()

    # -- what the owner says

    def pause_reading(self) -> None:
        """Have the response wait: the owner cannot take more."""
        if self._connection is not None:
            self._connection.pause_reading()

    def resume_reading(self) -> None:
        """Go on with the response."""
        if self._connection is not None:
            self._connection.resume_reading()

    @property
    def is_over(self) -> bool:
        """Whether it holds no place of its upstream any more."""
        return not self._is_counted and not self.is_queued

    @property
    def has_connection(self) -> bool:
        """Whether the request is sent, and its response is not complete."""
        return self._connection is not None

    def time_out(self) -> None:
        """Close the connection: it took too long."""
        if self._connection is not None:
            self._connection.abort()
        self.on_failure(Failure.TIMEOUT, "it did not respond in time")

    def close(self, *, timed_out: bool = False) -> None:
        """End the attempt wherever it is; nothing is reported.

        :param timed_out: whether the rest of a response that has begun did not come in time.
        """
        request = self._request
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self.is_queued:
            self.is_queued = False
            request.directory.leave_queue(self, request.upstream)
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
        if request.body is not None:
            request.body.detach()
        if not self.responded_at:
            self._leave(Outcome.ABANDONED)
        elif connection is not None:
            self._leave(Outcome.TIMEOUT if timed_out else self._outcome)
        else:
            self._count_out()

    def fail(self, outcome: int, detail: str) -> None:
        """Count the attempt out as a failure that was reported."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
        self._leave(outcome, detail)

    def _leave(self, outcome: int | None, detail: str = "") -> None:
        """Count the attempt to be over; the upstream learns from its outcome unless it did already."""
        if outcome is not None:
            request = self._request
            request.upstream.record(self.endpoint, outcome, self.picked_at, request.directory.now(), detail)
        self._count_out()

    def _count_out(self) -> None:
        if self._is_counted:
            self._is_counted = False
            request = self._request
            if request.is_retrying:
                request.end_retry()
            admission = request.upstream.admission
            admission.load.active -= 1
            self.endpoint.active -= 1
            if not admission.is_unlimited:
                request.directory.serve_queue(request.upstream)
