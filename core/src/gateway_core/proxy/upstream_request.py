"""One request to an upstream: its attempts, and when another one is made.

An `UpstreamRequest` is made by its owner: the exchange of a client, a copy for a mirror, a call of the
gateway's own. It picks an endpoint and makes an `Attempt`, one after another until one brings a response or none is
left, and reports to its `AttemptOwner`. What differs from attempt to attempt is in the `Attempt`; here is what the
request has once: the retry policy and its budget, the endpoints that were tried, the body, the deadline of it all.

A failed attempt leads to another one as far as the retry policy allows (`gateway_core.upstreams.retry`): never after
the head of a response went to the owner, and never for want of local resources, of which another attempt takes more.
"""

from __future__ import annotations

import asyncio

from gateway_core.messages import Attempt as AttemptRecord
from gateway_core.proxy.attempt import Attempt
from gateway_core.proxy.attempt_owner import ENDINGS, AttemptOwner, Ending, PreparedRequest, UpstreamFailure
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.upstream.bound_connections import BoundConnections
from gateway_core.proxy.upstream.directory import UpstreamDirectory
from gateway_core.proxy.upstream.pool import NO_CLIENT
from gateway_core.proxy.upstream.response_handler import Failure
from gateway_core.proxy.wire.response_head import ResponseHead
from gateway_core.upstreams.endpoint import Endpoint
from gateway_core.upstreams.retry import Retry, RetryPolicy
from gateway_core.upstreams.upstream import Upstream


class UpstreamRequest:
    """A request to an upstream, over as many attempts as it takes."""

    __slots__ = (
        "__dict__",
        "_attempt",
        "_tried",
        "body",
        "bound",
        "connect_timeout",
        "directory",
        "endpoint",
        "is_retrying",
        "key",
        "method",
        "owner",
        "policy",
        "proxy_client",
        "sticky_cookie",
        "total_deadline",
        "upstream",
    )

    # What only retries and the like set or read has its default here and a place in the dictionary when it is set.
    attempts: tuple[AttemptRecord, ...] = ()
    """The attempts that failed."""
    _first_picked_at = 0.0  # if there is more than one attempt
    offered_protocol = b""
    """The protocol that the client asks to change to; 101 to another one is a bad response."""
    _number = 1
    _was_resent = False
    _timer: asyncio.TimerHandle | None = None

    def __init__(
        self,
        owner: AttemptOwner,
        directory: UpstreamDirectory,
        upstream: Upstream,
        policy: RetryPolicy,
        method: str,
        body: RequestBody | None,
        connect_timeout: float,
        total_deadline: float,
        bound: BoundConnections | None,
    ) -> None:
        """Send nothing yet.

        :param method: decides whether it may be sent twice.
        :param connect_timeout: seconds to make a connection; 0 is no limit.
        :param total_deadline: monotonic seconds by which all has to be over.
        :param bound: the upstream connections of the client.
        """
        self.owner = owner
        self.directory = directory
        self.upstream = upstream
        self.policy = policy
        self.method = method
        self.body = body
        self.connect_timeout = connect_timeout
        self.total_deadline = total_deadline
        self.bound = bound
        self.endpoint: Endpoint | None = None
        """The one that was picked last."""
        self.key: str | None = None
        """What the upstream's strategy hashes."""
        self.sticky_cookie: str | None = None
        """The client's cookie that names an endpoint."""
        self.proxy_client = NO_CLIENT
        """On whose behalf a connection begins with a PROXY header, if the upstream gets one."""
        self.is_retrying = False
        self._tried: tuple[Endpoint, ...] = ()
        self._attempt: Attempt | None = None

    def start(self, now: float) -> None:
        """Make the first attempt, or the next one."""
        upstream, bound = self.upstream, self.bound
        endpoint = None if bound is None or self._tried else bound.pick(upstream, now)
        if endpoint is None:
            endpoint = upstream.pick(self.key, now, self._tried, self.sticky_cookie)
        if endpoint is None:
            refusal = upstream.refusal(now)
            self.fail(503, "upstream.unavailable", refusal.reason.value, refusal.retry_after or None)
            return
        self.endpoint = endpoint
        attempt = self._attempt = Attempt(self, endpoint, now)
        attempt.start(now)

    def connect(self, head: PreparedRequest, now: float) -> None:
        """Send the head that the owner prepared later than it was asked to; nothing happens after `give_up`."""
        if self._attempt is not None and not self._attempt.is_over:
            self._attempt.connect(head, now, anew=self._was_resent)

    def fail(self, status: int, reason: str, detail: str, retry_after: float | None = None) -> None:
        """End the request without a response."""
        self.end_retry()
        self._attempt = None
        failure = UpstreamFailure(status, reason, f"upstream {self.upstream.name!r}: {detail}", retry_after)
        self.owner.on_failed(failure)

    # -- what an attempt reports

    def attempt_failed(self, attempt: Attempt, ending: Ending, detail: str) -> None:
        """Make another attempt if the policy allows it, or report the failure."""
        now = self.directory.now()
        self._note(attempt, ending.word, now)
        attempt.fail(ending.outcome, detail)
        can_fail_over = self.upstream.can_fail_over(attempt.endpoint, self._tried)
        delay = None
        if ending is not ENDINGS[Failure.LOCAL]:
            delay = self._delay_before_retry(ending.outcome, now, can_fail_over=can_fail_over)
        if delay is not None:
            self._start_retry(delay, now)
        else:
            names = ", ".join([failed.endpoint for failed in self.attempts])
            self.fail(ending.status, ending.reason, f"endpoint {names}: {detail}")

    def try_retry_on_status(self, attempt: Attempt, status: int, now: float) -> bool:
        """Make another attempt if the policy has it for a status; False if the response is to go on."""
        if not self.policy.is_enabled or str(status) not in self.policy.on:
            return False
        delay = self._delay_before_retry(status, now)
        if delay is None:
            return False
        self._note(attempt, "responded", now, status)
        attempt.fail(status, "")
        self._start_retry(delay, now)
        return True

    def takes_resend(self) -> bool:
        """Decide whether the attempt may be sent once more over a new connection, and remember that it was."""
        if self._was_resent or self.method not in self.policy.methods:
            return False
        if self.body is not None:
            if not self.body.is_replayable:
                return False
            self.body.rewind()
        self._was_resent = True
        return True

    def _note(self, attempt: Attempt, outcome: str, now: float, status: int = 0) -> None:
        endpoint = attempt.endpoint
        record = AttemptRecord(endpoint.id, outcome, status, now - attempt.picked_at, endpoint.url)
        self.attempts = (*self.attempts, record)

    # -- retries

    def _delay_before_retry(self, outcome: int, now: float, *, can_fail_over: bool = False) -> float | None:
        """Return the seconds to wait before another attempt, or None if there is to be none."""
        self.end_retry()
        if not self.policy.is_enabled and not can_fail_over:
            return None
        verdict = self.policy.decide(
            attempt=self._number,
            outcome=outcome,
            method=self.method,
            is_replayable=self.body is None or self.body.is_replayable,
            response_started=False,
            now=now,
            deadline=self.total_deadline,
            budget=self.upstream.retry_budget,
            rng=self.directory.rng,
            can_fail_over=can_fail_over,
        )
        return verdict.delay if isinstance(verdict, Retry) else None

    def _start_retry(self, delay: float, now: float) -> None:
        attempt, self._attempt = self._attempt, None
        assert attempt is not None
        self.upstream.retry_budget.begin()
        self.is_retrying = True
        self._number += 1
        self._first_picked_at = self._first_picked_at or attempt.picked_at
        self._tried = (*self._tried, attempt.endpoint)
        if self.body is not None:
            self.body.rewind()
        self.owner.on_waiting(0)
        if delay <= 0:
            self.start(now)
        else:
            self._timer = self.directory.loop.call_later(delay, self._start_later)

    def _start_later(self) -> None:
        self._timer = None
        try:
            self.start(self.directory.now())
        except Exception as error:  # noqa: BLE001 - a timer has no one else to tell
            self.owner.crashed(error)

    def end_retry(self) -> None:
        """Count a retry to be over."""
        if self.is_retrying:
            self.is_retrying = False
            self.upstream.retry_budget.end()

    # -- what the owner says

    def pause_reading(self) -> None:
        """Have the response wait: the owner cannot take more."""
        if self._attempt is not None:
            self._attempt.pause_reading()

    def resume_reading(self) -> None:
        """Go on with the response."""
        if self._attempt is not None:
            self._attempt.resume_reading()

    @property
    def is_queued(self) -> bool:
        """Whether it waits for a connection that its upstream's limits allow."""
        return self._attempt is not None and self._attempt.is_queued

    @property
    def is_sent(self) -> bool:
        """Whether a connection has the request, and its response is not complete."""
        return self._attempt is not None and self._attempt.has_connection

    def protocol_of(self, head: ResponseHead) -> bytes:
        """Return the protocol that a 101 changes to."""
        return head.upgrade or self.offered_protocol

    @property
    def responded_at(self) -> float:
        """Monotonic seconds of the response's head; 0 if there was none."""
        return self._attempt.responded_at if self._attempt is not None else 0.0

    @property
    def times(self) -> tuple[float, float, float]:
        """Monotonic seconds at which the first and the last endpoint were picked, and of the response's head; 0 for
        what has not been.
        """
        attempt = self._attempt
        if attempt is None:
            return self._first_picked_at, 0.0, 0.0
        return self._first_picked_at or attempt.picked_at, attempt.picked_at, attempt.responded_at

    def expire(self) -> None:
        """End what takes too long before a response has begun: the queue, the response, or all of it."""
        attempt = self._attempt
        if attempt is not None and attempt.is_queued:
            attempt.close()
            self.fail(503, "upstream.overloaded", "no connection became free in time", 1)
        elif attempt is not None and attempt.has_connection:
            attempt.time_out()
        else:
            self.give_up()
            self.fail(504, "request-timeout", "the request took too long")

    def give_up(self, *, timed_out: bool = False) -> None:
        """Stop whatever is under way; the owner wants no response, or no more of it.

        :param timed_out: whether a response that has begun failed because its rest did not come in time.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.end_retry()
        if self._attempt is not None:
            self._attempt.close(timed_out=timed_out)

    def clear(self) -> None:
        """Drop the references that make cycles, to the owner and the attempt; the request is over."""
        del self.owner, self._attempt
