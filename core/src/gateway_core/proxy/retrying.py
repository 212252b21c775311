"""Another try: when an endpoint fails, and what becomes of the request then."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from gateway_core.messages import Attempt
from gateway_core.proxy.sending import Sending
from gateway_core.proxy.upstream.connection import UpstreamConnection
from gateway_core.proxy.upstream.response_handler import Failure
from gateway_core.upstreams.outcome import Outcome
from gateway_core.upstreams.retry import IDEMPOTENT_METHODS, Retry

if TYPE_CHECKING:
    from gateway_core.proxy.wire.response_head import ResponseHead

_OUTCOMES: Final = {
    Failure.CONNECT: Outcome.CONNECT_FAILURE,
    Failure.CONNECT_TIMEOUT: Outcome.CONNECT_FAILURE,
    Failure.RESET: Outcome.RESET,
    Failure.TIMEOUT: Outcome.TIMEOUT,
    Failure.BAD_ANSWER: Outcome.RESET,
    Failure.TRUNCATED: Outcome.RESET,
    Failure.LOCAL: Outcome.LOCAL,
    Failure.STALE: Outcome.RESET,
}
_ATTEMPT_WORDS: Final = {
    Failure.CONNECT: "connect-failure",
    Failure.CONNECT_TIMEOUT: "connect-failure",
    Failure.RESET: "reset",
    Failure.TIMEOUT: "timeout",
    Failure.BAD_ANSWER: "bad-answer",
    Failure.TRUNCATED: "reset",
    Failure.LOCAL: "local-failure",
    Failure.STALE: "reset",
}
_STATUSES: Final = {Failure.TIMEOUT: 504, Failure.CONNECT_TIMEOUT: 504, Failure.LOCAL: 503}
_UNUSED: Final = frozenset({Failure.RESET, Failure.STALE})


class Retrying(Sending):
    """Tries again, once or more, as the policy has it; gives up when the request is over."""

    __slots__ = ()

    attempts: list[Attempt] | None = None
    """The tries that failed."""
    _retry_timer: asyncio.TimerHandle | None = None

    def on_failure(self, failure: Failure, detail: str) -> None:
        """Try again if that is right, or tell the client."""
        connection, self.connection = self.connection, None
        now = self.proxy.now()
        if self.upload is not None:
            self.upload.disconnect()
        if self.answered_at:
            self._leave(_OUTCOMES[failure], detail)
            self.aborted, self.error = "upstream", detail
            if self.head_sent:
                self.break_off(flush=True)
            return  # a hook still thinks about the head; the break follows it
        if self._retries_stale(connection, failure):
            return
        self._note_attempt(_ATTEMPT_WORDS[failure], now)
        self._leave(_OUTCOMES[failure], detail)
        if not self._retries(_OUTCOMES[failure], now):
            self.fail(_STATUSES.get(failure, 502), f"endpoint {self.attempts_names()}: {detail}")

    def attempts_names(self) -> str:
        """Return the ids of the endpoints that failed, for the log."""
        return ", ".join([attempt.endpoint for attempt in self.attempts or ()])

    def _note_attempt(self, outcome: str, now: float, status: int = 0) -> None:
        if self.attempts is None:
            self.attempts = []
        name, url = (self.endpoint.id, self.endpoint.url) if self.endpoint is not None else ("", "")
        self.attempts.append(Attempt(name, outcome, status, now - self.picked_at, url))

    def _retries_stale(self, connection: UpstreamConnection | None, failure: Failure) -> bool:
        """Send once more over a new connection if the endpoint closed an idle one just as it was used again.

        Only where nothing of an answer came and the method may be sent twice (RFC 9110 section 9.2.2): never a POST.
        """
        if (
            failure not in _UNUSED
            or connection is None
            or connection.uses <= 1
            or self._is_fresh_only
            or self.request.method not in IDEMPOTENT_METHODS
            or not self._is_replayable
        ):
            return False
        self._is_fresh_only = True
        if self.upload is not None:
            self.upload.rewind()
        # The same pick goes on: the breaker and the limits have counted it, and it is not over.
        assert self.upstream is not None
        assert self.endpoint is not None
        self.take_connection(self.upstream, self.endpoint, self.proxy.now())
        return True

    @property
    def _is_replayable(self) -> bool:
        return self.upload is None or self.upload.is_replayable

    def _retries(self, outcome: int, now: float) -> bool:
        """Start another try, now or a little later; False if there is to be none."""
        delay = self._delay_before_retry(outcome, now)
        if delay is None:
            return False
        self._start_retry(delay, now)
        return True

    def _delay_before_retry(self, outcome: int, now: float) -> float | None:
        """Return the seconds to wait before another try, or None if there is to be none."""
        upstream = self.upstream
        assert upstream is not None
        policy = (self.route.retry if self.route is not None else None) or upstream.retries
        if self._is_retrying:
            self._is_retrying = False
            upstream.retry_budget.end()
        if not policy.is_enabled or self.over:
            return None
        verdict = policy.decide(
            attempt=self.tries,
            outcome=outcome,
            method=self.request.method,
            is_replayable=self._is_replayable,
            response_started=self.head_sent,
            now=now,
            deadline=self.total_deadline,
            budget=upstream.retry_budget,
            rng=self.proxy.rng,
        )
        return verdict.delay if isinstance(verdict, Retry) else None

    def _start_retry(self, delay: float, now: float) -> None:
        upstream, endpoint = self.upstream, self.endpoint
        assert upstream is not None
        upstream.retry_budget.begin()
        self._is_retrying = True
        self._is_fresh_only = False
        self.tries += 1
        self.first_try_at = self.first_try_at or self.picked_at
        if endpoint is not None:
            self.tried = (*self.tried, endpoint)
        self.endpoint = None
        if self.upload is not None:
            self.upload.rewind()
        self.deadline = self.total_deadline
        if delay <= 0:
            self._try(now)
        else:
            self._retry_timer = self.proxy.loop.call_later(delay, self._try_later)

    def _try_later(self) -> None:
        self._retry_timer = None
        if self.over:
            return
        try:
            self._try(self.proxy.now())
        except Exception as error:  # noqa: BLE001 - a timer has nobody else to tell
            self.crashed(error)

    def retries_status(self, connection: UpstreamConnection, head: ResponseHead, complete: bool, now: float) -> bool:
        upstream = self.upstream
        assert upstream is not None
        policy = (self.route.retry if self.route is not None else None) or upstream.retries
        if not policy.is_enabled or str(head.status) not in policy.on:
            return False
        delay = self._delay_before_retry(head.status, now)
        if delay is None:
            return False
        self.connection = None
        if not complete:
            connection.abort()
        if self.upload is not None:
            self.upload.disconnect()
        self._note_attempt("answered", now, head.status)
        self._leave(head.status)
        self._start_retry(delay, now)
        return True

    def give_up(self) -> None:
        """Stop whatever is under way upstream: the client left, or the request is answered otherwise."""
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
            self._leave(Outcome.ABANDONED)
        if self._retry_timer is not None:
            self._retry_timer.cancel()
            self._retry_timer = None
        if self._is_queued:
            self._is_queued = False
            self.proxy.leave_queue(self)
            self._leave(Outcome.ABANDONED)
        if self._is_retrying and self.upstream is not None:
            self._is_retrying = False
            self.upstream.retry_budget.end()
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.abort()
            self._leave(self._unrecorded if self.answered_at else Outcome.ABANDONED)
        if self.upload is not None:
            self.upload.disconnect()
