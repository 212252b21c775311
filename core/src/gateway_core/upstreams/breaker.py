"""Circuit breaker of one endpoint: a table of three states and a window of results.

Every result comes with the time at which its request was started. A result whose request was started before the
current state began says nothing about that state and is dropped: requests that were let through while closed may
fail long after the breaker opened, and must neither close nor re-open it.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from gateway_core.config import CircuitBreakerConfig

BUCKETS: Final = 10
"""The window moves in tenths of its length."""


class BreakerState(Enum):
    """What a breaker does with requests."""

    CLOSED = "closed"
    """Lets everything through, and counts."""
    OPEN = "open"
    """Lets nothing through."""
    HALF_OPEN = "half-open"
    """Lets a few probes through."""


class _Event(Enum):
    TOO_MANY_FAILURES = 1
    WAITED = 2
    PROBE_FAILED = 3
    PROBES_SUCCEEDED = 4


_NEXT: Final = {
    (BreakerState.CLOSED, _Event.TOO_MANY_FAILURES): BreakerState.OPEN,
    (BreakerState.OPEN, _Event.WAITED): BreakerState.HALF_OPEN,
    (BreakerState.HALF_OPEN, _Event.PROBE_FAILED): BreakerState.OPEN,
    (BreakerState.HALF_OPEN, _Event.PROBES_SUCCEEDED): BreakerState.CLOSED,
}
"""Everything that may happen; whatever is not in the table leaves the state as it is."""


class CircuitBreaker:
    """Decides whether requests may go to an endpoint, from how earlier ones ended."""

    __slots__ = (
        "_failures",
        "_fresh",
        "_probes",
        "_settings",
        "_successes",
        "_turn_at",
        "_window",
        "since",
        "state",
        "times_opened",
    )

    def __init__(self, settings: CircuitBreakerConfig) -> None:
        self.state = BreakerState.CLOSED
        self.since = float("-inf")
        """When the current state began, in monotonic seconds."""
        self.times_opened = 0
        self._settings = settings
        self._probes = 0
        self._successes = 0
        self._window: list[tuple[int, int]] = []
        self._fresh = 0
        self._failures = 0
        self._turn_at = float("-inf")

    def allows(self, now: float) -> bool:
        """Tell whether a request may go through. Changes nothing; see :meth:`enter`."""
        if self.state is BreakerState.CLOSED:
            return True
        if self.state is BreakerState.OPEN:
            return now >= self.since + self._settings.open_for
        # No more probes than may still be needed to close: the rest would only be load.
        return self._probes + self._successes < self._settings.half_open_requests or now >= self.changes_at()

    def changes_at(self) -> float:
        """Return when :meth:`allows` becomes True without any result, where it is False."""
        # A probe whose end is never reported must not shut the endpoint out forever: probes expire after open_for.
        return float("inf") if self.state is BreakerState.CLOSED else self.since + self._settings.open_for

    def retry_after(self, now: float) -> float:
        """Return the seconds until :meth:`allows` may be True; 0 when it is."""
        return 0.0 if self.allows(now) else max(0.0, self.changes_at() - now)

    def enter(self, now: float) -> bool:
        """Take the right to send one request; its end is to be reported by exactly one ``record_`` call.

        :returns: False if the breaker does not let it through.
        """
        if self.state is BreakerState.CLOSED:
            return True
        if not self.allows(now):
            return False
        if self.state is BreakerState.OPEN:
            self._move(_Event.WAITED, now)
        elif now >= self.changes_at():
            self._begin(BreakerState.HALF_OPEN, now)
        self._probes += 1
        return True

    def record_success(self, started: float, now: float) -> None:
        """Note that a request which was let through at ``started`` has succeeded."""
        if self.state is BreakerState.CLOSED:
            if started >= self.since:
                if now >= self._turn_at:
                    self._turn(now)
                self._fresh += 1
        elif self._is_probe(started):
            self._probes -= 1
            self._successes += 1
            if self._successes >= self._settings.half_open_requests:
                self._move(_Event.PROBES_SUCCEEDED, now)

    def record_failure(self, started: float, now: float) -> None:
        """Note that a request which was let through at ``started`` has failed."""
        if self.state is BreakerState.CLOSED:
            if started >= self.since:
                self._count_failure(now)
        elif self._is_probe(started):
            self._move(_Event.PROBE_FAILED, now)

    def record_nothing(self, started: float) -> None:
        """Note that a request which was let through at ``started`` ended without saying anything about the endpoint."""
        if self._is_probe(started):
            self._probes -= 1

    def counts(self, now: float) -> tuple[int, int]:
        """Return (requests, failures) in the window."""
        if now >= self._turn_at:
            self._turn(now)
        failures = self._failures + sum(bad for _, bad in self._window)
        return self._fresh + self._failures + sum(good + bad for good, bad in self._window), failures

    def _is_probe(self, started: float) -> bool:
        return self.state is BreakerState.HALF_OPEN and started >= self.since and self._probes > 0

    def _count_failure(self, now: float) -> None:
        if now >= self._turn_at:
            self._turn(now)
        self._failures += 1
        total, failures = self.counts(now)
        settings = self._settings
        if total >= settings.minimum_requests and failures >= settings.failure_ratio * total:
            self._move(_Event.TOO_MANY_FAILURES, now)

    def _turn(self, now: float) -> None:
        """Begin a new bucket, and forget those that the window has left behind."""
        width = self._settings.window / BUCKETS
        is_first = self._turn_at == float("-inf")
        passed = BUCKETS if is_first else int((now - self._turn_at) / width) + 1
        if passed >= BUCKETS:
            self._window.clear()
        else:
            self._window.append((self._fresh, self._failures))
            self._window.extend([(0, 0)] * (passed - 1))
            del self._window[: max(0, len(self._window) - (BUCKETS - 1))]
        self._fresh = self._failures = 0
        self._turn_at = now + width if passed >= BUCKETS else self._turn_at + width * passed

    def _move(self, event: _Event, now: float) -> None:
        target = _NEXT.get((self.state, event))
        if target is not None:
            self._begin(target, now)

    def _begin(self, state: BreakerState, now: float) -> None:
        if state is BreakerState.OPEN:
            self.times_opened += 1
        self.state = state
        self.since = now
        self._probes = self._successes = 0
        self._window.clear()
        self._fresh = self._failures = 0
        self._turn_at = float("-inf")
