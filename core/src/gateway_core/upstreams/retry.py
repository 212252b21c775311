"""When a request is sent again.

Two decisions are kept apart. May it be sent twice? Always if nothing of it was sent (a connect failure), whatever the
method; otherwise only for the methods that ``retries.methods`` lists, which are the idempotent ones unless the
configuration has more. Is it worth it? Only for the outcomes that ``retries.on`` lists, while there are attempts, time
and budget left, nothing of a response has gone to the client, and the body can be sent again.

A call of gRPC that a response without a message ends (trailers-only) is retried if ``on`` has its code. Every call is a
POST, so the code alone says that calls may be sent twice. What the endpoint says of when (``grpc-retry-pushback-ms``)
takes the place of the backoff.

Endpoints that a discovery found are like the addresses of one name: a connect failure at one goes on to the next, also
where ``retries`` is not configured.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Final

from gateway_core.config import RetriesConfig
from gateway_core.config.models.resilience import IDEMPOTENT_METHODS as IDEMPOTENT
from gateway_core.upstreams.admission import Load
from gateway_core.upstreams.outcome import FIRST_GRPC, FIRST_STATUS, Outcome, code_of


class StopReason(Enum):
    """Why a request is not sent again."""

    SUCCESS = "not a failure"
    RESPONSE_STARTED = "part of the response has been sent"
    CONDITION = "outcome is not one to retry"
    METHOD = "method must not be sent twice"
    BODY = "request body cannot be sent again"
    ATTEMPTS = "no attempts left"
    DEADLINE = "no time left"
    BUDGET = "retry budget is used up"
    PUSHBACK = "the endpoint asks for no retry, or for one much later"


@dataclass(frozen=True, slots=True)
class Retry:
    """Send it again."""

    delay: float
    """Seconds to wait first."""
    avoid_attempted: bool = True
    """Whether to prefer an endpoint that was not attempted yet."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Leave it at that."""

    reason: StopReason


MOST_EARNED: Final = 10_000
"""Responses that count towards later retries."""


class RetryBudget:
    """How many retries may be in progress: a share of the live requests, and what good times have earned.

    Without a budget, an upstream that fails under load gets ``attempts + 1`` times that load. With nothing but a share
    of the live requests, however, an endpoint that dies takes requests with it: all that are in progress to it fail in
    the same moment, which are more than the share. So each response earns the same share of a retry for later, up to
    ``MOST_EARNED`` responses' worth, and retries beyond the share of the live requests are paid for with that. In a
    lasting failure nothing is earned, and only the share of the live requests remains.
    """

    __slots__ = ("load", "minimum", "percent")

    def __init__(self, percent: float, minimum: int, load: Load) -> None:
        self.percent = percent
        self.minimum = minimum
        self.load = load

    def allows(self) -> bool:
        """Tell whether one more retry may start."""
        return self._is_within_share() or self.load.earned * self.percent >= 100

    def begin(self) -> None:
        """Count a retry that starts."""
        load = self.load
        if not self._is_within_share() and self.percent > 0:
            load.earned = max(0.0, min(load.earned, MOST_EARNED) - 100 / self.percent)
        load.retrying += 1
        load.counts.retries += 1

    def end(self) -> None:
        """Count a retry that has ended, however."""
        if self.load.retrying <= 0:
            raise RuntimeError("a retry ended that had not begun")
        self.load.retrying -= 1

    def _is_within_share(self) -> bool:
        return self.load.retrying < max(self.minimum, self.load.active * self.percent / 100)


_CONDITIONS: Final = {
    Outcome.CONNECT_FAILURE: "connect-failure",
    Outcome.RESET: "reset",
    Outcome.TIMEOUT: "timeout",
}


LONGEST_PUSHBACK: Final = 10.0
"""Seconds that a request waits at most because an endpoint asks for it; the client is better placed to wait longer."""


def condition_of(outcome: int) -> str | None:
    """Return what ``retries.on`` calls an outcome; None if it has no name for it."""
    if outcome < FIRST_STATUS:
        return _CONDITIONS.get(Outcome(outcome))
    code = code_of(outcome)
    return str(outcome) if code is None else code.name.lower().replace("_", "-")


IDEMPOTENT_METHODS: Final = frozenset(IDEMPOTENT)
"""Methods that are retried by default (RFC 9110 section 9.2.2)."""

NO_RETRIES: Final = RetriesConfig(attempts=0)


class RetryPolicy:
    """``retries`` of an upstream or a route."""

    __slots__ = ("is_enabled", "methods", "on", "settings")

    def __init__(self, config: RetriesConfig | None) -> None:
        """Follow the configuration; without one nothing is sent again."""
        self.settings = NO_RETRIES if config is None else config
        self.is_enabled = self.settings.attempts > 0
        """Whether anything is ever sent again, so that bodies need to be kept."""
        self.on = frozenset(self.settings.on)
        """Conditions that are retried."""
        self.methods = frozenset(self.settings.methods)
        """Methods that may be sent twice."""

    def may_retry(self, outcome: int) -> bool:
        """Return whether a response with this outcome is one to retry, if all else allows it."""
        return self.is_enabled and condition_of(outcome) in self.on

    def keeps_body(self, length: int) -> bool:
        """Return whether a body is to be kept for a retry, as far as it is no longer than that.

        :param length: its bytes; -1 if that is not known yet.

        That holds for any method, since after a connect failure each may be sent again.
        """
        return self.is_enabled and length <= self.settings.max_body_bytes

    def decide(
        self,
        *,
        attempt: int,
        outcome: int,
        method: str,
        is_replayable: bool,
        response_started: bool,
        now: float,
        deadline: float,
        budget: RetryBudget,
        rng: Random,
        can_fail_over: bool = False,
        pushback: float | None = None,
    ) -> Retry | Stop:
        """Decide after an attempt has ended. Changes nothing: to retry, call ``budget.begin()`` and ``end()``.

        :param attempt: the number of the attempt, from 1.
        :param outcome: an HTTP status, a `grpc_outcome` or an `Outcome`.
        :param is_replayable: whether the body is empty or was kept whole.
        :param response_started: whether a byte of this response has gone to the client.
        :param deadline: monotonic seconds by which the whole request has to end.
        :param can_fail_over: whether another endpoint of a discovery is left (`Upstream.can_fail_over`), which a
            connect failure goes on to whatever the policy.
        :param pushback: seconds that the endpoint asks to wait, negative for no retry; None if it says nothing.
        """
        if can_fail_over and outcome == Outcome.CONNECT_FAILURE and is_replayable and not response_started:
            # As with the addresses of one name (RFC 8305): nothing was sent, and another address may be reachable.
            return Retry(0.0) if now < deadline else Stop(StopReason.DEADLINE)
        reason = self._reason_to_stop(attempt, outcome, method, is_replayable, response_started)
        if reason is not None:
            return Stop(reason)
        if pushback is not None and not 0 <= pushback <= LONGEST_PUSHBACK:
            return Stop(StopReason.PUSHBACK)
        delay = self.backoff(attempt, rng) if pushback is None else pushback
        if now + delay >= deadline:
            return Stop(StopReason.DEADLINE)
        if not budget.allows():
            return Stop(StopReason.BUDGET)
        return Retry(delay)

    def _reason_to_stop(
        self, attempt: int, outcome: int, method: str, is_replayable: bool, response_started: bool
    ) -> StopReason | None:
        if response_started:
            return StopReason.RESPONSE_STARTED
        condition = condition_of(outcome)
        if condition is None or condition not in self.on:
            return StopReason.SUCCESS if FIRST_STATUS <= outcome < 400 else StopReason.CONDITION
        if outcome != Outcome.CONNECT_FAILURE and outcome < FIRST_GRPC and method not in self.methods:
            return StopReason.METHOD
        if not is_replayable:
            return StopReason.BODY
        if attempt > self.settings.attempts:
            return StopReason.ATTEMPTS
        return None

    def backoff(self, attempt: int, rng: Random) -> float:
        """Return the seconds before attempt number ``attempt + 1``: exponential with full jitter."""
        ceiling = min(self.settings.backoff_max, self.settings.backoff_base * 2.0 ** min(attempt - 1, 32))
        return rng.random() * ceiling

    def attempt_timeout(self, now: float, deadline: float) -> float:
        """Return the monotonic time by which an attempt that starts now has to bring a head."""
        limit = self.settings.per_try_timeout
        return min(deadline, now + limit) if limit > 0 else deadline
