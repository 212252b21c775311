"""When a binding whose hooks keep failing is left alone for a while: pure, ``now`` is an argument.

What one client sends may make a hook fail each time, so one client alone must not take a binding away from the others:
the failures have to come from several clients, each of which counts for its share of them at most, and a client whose
request failed while the binding is tried again leaves the next try to another.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

_MOST_CLIENTS: Final = 64
"""Clients whose failures are remembered, the latest ones: more than any policy needs."""


@dataclass(frozen=True, slots=True)
class QuarantinePolicy:
    """``failures`` of ``clients`` different clients within ``window`` seconds skip the binding for ``open_for``."""

    failures: int
    window: float
    open_for: float
    clients: int = 3

    @property
    def share(self) -> int:
        """How many failures of one client count."""
        return -(-self.failures // self.clients)


class Quarantine:
    """The state of one binding: closed (it runs), open (it is skipped) or half-open (one try at a time).

    Only the phase that failed last is tried, since a hook of another phase that works proves nothing.
    """

    __slots__ = ("_opened_at", "_phase", "_recent", "_tried_at", "_tried_by", "is_closed", "is_held", "policy", "trips")

    def __init__(self, policy: QuarantinePolicy) -> None:
        self.policy = policy
        self.is_closed = True
        """Whether the binding runs; the request path reads only this."""
        self.is_held = False
        """Whether an operator has released the binding for a while, in which no failure opens it."""
        self.trips = 0
        """How often it went from closed to open."""
        self._recent: dict[str, deque[float]] = {}
        self._opened_at = 0.0
        self._tried_at: float | None = None
        self._tried_by: set[str] = set()
        self._phase = ""

    def state(self, now: float) -> str:
        """Return ``closed``, ``open`` or ``half-open``."""
        if self.is_closed:
            return "closed"
        return "open" if now < self._opened_at + self.policy.open_for else "half-open"

    def failed(self, now: float, phase: str, client: str) -> bool:
        """Count a failure over a request of a client.

        :returns: whether it opened the quarantine, or opened it again after enough probes.
        """
        if not self.is_closed:
            return self._try_failed(now, phase, client)
        if self.is_held or not self._is_enough(now, client):
            return False
        self.trips += 1
        self._open(now, phase)
        return True

    def _is_enough(self, now: float, client: str) -> bool:
        policy, recent = self.policy, self._recent
        times = recent.pop(client, None) or deque(maxlen=policy.share)
        times.append(now)
        recent[client] = times  # the latest stands last
        if len(recent) > _MOST_CLIENTS + policy.clients:
            del recent[next(iter(recent))]
        since = now - policy.window
        counts = [sum(at >= since for at in each) for each in recent.values()]
        return sum(counts) >= policy.failures and sum(count > 0 for count in counts) >= policy.clients

    def _try_failed(self, now: float, phase: str, client: str) -> bool:
        # A failure of a hook that began before the quarantine says nothing new, unless probes are on.
        if self._tried_at is None:
            return False
        self._tried_at = None
        self._tried_by.add(client)
        if len(self._tried_by) < self.policy.clients:
            return False
        self._open(now, phase)
        return True

    def _open(self, now: float, phase: str) -> None:
        self.is_closed = False
        self._opened_at = now
        self._tried_at = None
        self._tried_by.clear()
        self._phase = phase
        self._recent.clear()

    def admits(self, now: float, phase: str, client: str) -> bool:
        """Tell whether a hook may run now; if it is a try, one of `succeeded`, `failed` or `abandoned` must follow."""
        if self.is_closed:
            return True
        if phase != self._phase or self.state(now) == "open" or client in self._tried_by:
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

    def release(self) -> None:
        """Close it, and hold it closed until `is_held` is taken back."""
        self.is_held = self.is_closed = True
        self._tried_at = None
        self._recent.clear()

    def abandoned(self) -> None:
        """Take note that a try ended without saying anything, because its request was cancelled."""
        self._tried_at = None
