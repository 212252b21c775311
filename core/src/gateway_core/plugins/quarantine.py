"""When a binding whose hooks keep failing is left alone for a while: pure, ``now`` is an argument."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QuarantinePolicy:
    """``failures`` within ``window`` seconds skip the binding for ``open_for`` seconds."""

    failures: int
    window: float
    open_for: float


class Quarantine:
    """The state of one binding: closed (it runs), open (it is skipped) or half-open (one try at a time).

    Only the phase that failed last is tried, since a hook of another phase that works proves nothing.
    """

    __slots__ = ("_opened_at", "_phase", "_recent", "_tried_at", "is_closed", "policy", "trips")

    def __init__(self, policy: QuarantinePolicy) -> None:
        self.policy = policy
        self.is_closed = True
        """Whether the binding runs; the request path reads only this."""
        self.trips = 0
        """How often it went from closed to open."""
        self._recent: deque[float] = deque(maxlen=policy.failures)
        self._opened_at = 0.0
        self._tried_at: float | None = None
        self._phase = ""

    def state(self, now: float) -> str:
        """Return ``closed``, ``open`` or ``half-open``."""
        if self.is_closed:
            return "closed"
        return "open" if now < self._opened_at + self.policy.open_for else "half-open"

    def failed(self, now: float, phase: str) -> bool:
        """Count a failure.

        :returns: whether it opened the quarantine, or opened it again after a try.
        """
        if not self.is_closed:
            # A failure of a hook that began before the quarantine says nothing new, unless tries are on.
            if self.state(now) == "open" and self._tried_at is None:
                return False
            self._open(now, phase)
            return True
        self._recent.append(now)
        if len(self._recent) < self.policy.failures or now - self._recent[0] > self.policy.window:
            return False
        self.trips += 1
        self._open(now, phase)
        return True

    def _open(self, now: float, phase: str) -> None:
        self.is_closed = False
        self._opened_at = now
        self._tried_at = None
        self._phase = phase
        self._recent.clear()

    def admits(self, now: float, phase: str) -> bool:
        """Tell whether a hook may run now; if it is a try, one of `succeeded`, `failed` or `abandoned` must follow."""
        if self.is_closed:
            return True
        if phase != self._phase or self.state(now) == "open":
            return False
        # A try that never comes back (a hook without a timeout that hangs) does not block the next for ever.
        if self._tried_at is not None and now < self._tried_at + self.policy.open_for:
            return False
        self._tried_at = now
        return True

    def succeeded(self) -> bool:
        """Take note that a try went well.

        :returns: whether that closed the quarantine; a late success of an earlier hook does not.
        """
        if self.is_closed or self._tried_at is None:
            return False
        self.is_closed = True
        self._tried_at = None
        return True

    def abandoned(self) -> None:
        """Take note that a try ended without saying anything, because its request was cancelled."""
        self._tried_at = None
