"""A connection to a discovered endpoint that takes long, while another endpoint could serve the request.

The endpoints of a discovery are mostly the addresses of one name, and get what RFC 8305 gives to those: after a quarter
of a second the request goes on to another endpoint, whatever the retry policy, since nothing of it was sent. The
connection goes on being made. When it is there, the next request takes it from the pool; when it cannot be had, the
endpoint is left out for a while, as after any connect failure (`PassiveHealth`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from gateway_core.messages import Request
from gateway_core.observe.tracing import AttemptSpan
from gateway_core.proxy.attempt_owner import ENDINGS, Retries
from gateway_core.proxy.upstream.pool import HAPPY_EYEBALLS_DELAY, Connecting, Lent, Pool, ProxyClient
from gateway_core.proxy.upstream.response_handler import Failure
from gateway_core.upstreams.endpoint import Endpoint
from gateway_core.upstreams.outcome import Outcome
from gateway_core.upstreams.upstream import Upstream

LONGEST: Final = 10.0
"""Seconds that a connection may take for which no request waits any more, where ``timeouts.connect`` sets no limit."""


_NEXT_TURN: Final = 1e-6
"""Seconds until another attempt begins: whatever that raises is reported as of a retry that had to wait."""


class RacingAttempt(Protocol):
    """The attempt that wants the connection."""

    upstream: Upstream
    picked_at: float
    retries: Retries | None
    span: AttemptSpan | None

    @property
    def picked(self) -> Endpoint: ...
    def history(self) -> Retries:
        """Return the attempts so far."""

    def connected(self, connection: Lent | None, failure: Failure, detail: str) -> None:
        """Called with the connection, or with why there is none, unless it was cancelled or passed over."""

    def count_out(self, endpoint: Endpoint) -> None:
        """Called when another attempt takes its place."""


def connect(
    attempt: RacingAttempt, pool: Pool, now: Callable[[], float], seconds: float, client: ProxyClient
) -> Connecting:
    """Have a connection made for an attempt, which another endpoint may overtake if there is one.

    :param now: the monotonic clock, in seconds.
    :param seconds: how long it may take; 0 is no limit.
    :returns: what to cancel if the attempt is given up.
    """
    attempted = () if attempt.retries is None else attempt.retries.attempted
    if attempt.upstream.can_fail_over(attempt.picked, attempted):
        return AddressRace(attempt, pool, now, seconds, client)
    return pool.connect(seconds, partial(_report, attempt, now), client)


def _report(
    attempt: RacingAttempt, now: Callable[[], float], connection: Lent | None, failure: Failure, detail: str
) -> None:
    if connection is not None and attempt.span is not None:
        attempt.span.connected_at = now()
    attempt.connected(connection, failure, detail)


class AddressRace:
    """One connection that is being made; until its attempt has passed over it, as `Pool.connect`."""

    __slots__ = ("_attempt", "_endpoint", "_now", "_picked_at", "_pool", "_request", "_task", "_timer", "_upstream")

    def __init__(
        self, attempt: RacingAttempt, pool: Pool, now: Callable[[], float], seconds: float, client: ProxyClient
    ) -> None:
        """Begin to connect.

        :param seconds: how long it may take; 0 is `LONGEST`.
        """
        self._attempt: RacingAttempt | None = attempt
        self._endpoint, self._upstream, self._picked_at = attempt.picked, attempt.upstream, attempt.picked_at
        self._pool = pool
        self._request: Request | None = None  # of the attempt, once that has passed over it
        self._now = now
        self._timer = asyncio.get_running_loop().call_later(HAPPY_EYEBALLS_DELAY, self._pass_over)
        self._task = pool.connect(seconds or LONGEST, self._connected, client)

    def cancel(self) -> None:
        """Give the connection up."""
        self._timer.cancel()
        self._task.cancel()

    def _pass_over(self) -> None:
        """Begin another attempt, if there can be one: the body may be gone, or the time over."""
        attempt = self._attempt
        if attempt is None:
            return
        retries = attempt.history()
        if retries.delay(Outcome.CONNECT_FAILURE, can_fail_over=True) is None:
            return
        self._attempt, self._request = None, retries.terms.request
        retries.note(self._endpoint, "connect-failure", self._picked_at)
        attempt.count_out(self._endpoint)
        retries.begin(_NEXT_TURN, self._endpoint, self._picked_at)

    def _connected(self, connection: Lent | None, failure: Failure, detail: str) -> None:
        self._timer.cancel()
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            _report(attempt, self._now, connection, failure, detail)
            return
        # The attempt is over, except for the outcome of its pick.
        record, endpoint, since = self._upstream.record, self._endpoint, self._picked_at
        if connection is not None:
            self._pool.give_back(connection)
            record(endpoint, Outcome.ABANDONED, since, self._now())
        else:
            ending = ENDINGS[failure]
            record(endpoint, ending.outcome, since, self._now(), detail, ending.event, request=self._request)
