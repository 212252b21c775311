"""The arithmetic of limits: a counter's state, the time and a cost in, a decision and the next state out.

Times are seconds of one clock that several processes may share. A state is what a store keeps of a key, and an absent
one is `EMPTY`. States that lie in the future (a clock went back) are cut to what the limit could have produced, so
they never lock anybody out for longer than the limit itself would.
"""

from __future__ import annotations

from math import ceil
from typing import Final, Protocol

State = tuple[float, float, float, float]
"""Three numbers whose meaning is the rule's, and the time from which on the state may be forgotten."""

EMPTY: Final[State] = (0.0, 0.0, 0.0, 0.0)

TOLERANCE: Final = 1e-7
"""Seconds, and shares of a unit, that float arithmetic may be off."""


class Decision:
    """What a rule says of one request."""

    __slots__ = ("allowed", "remaining", "reset", "state", "wait")

    def __init__(self, allowed: bool, state: State | None, remaining: int, reset: float, wait: float) -> None:
        self.allowed = allowed
        self.state = state
        """The next state; None if nothing changes."""
        self.remaining = remaining
        """Whole units that are left after this request."""
        self.reset = reset
        """Seconds until the whole quota is there again."""
        self.wait = wait
        """Seconds until the same request would be let through; of an allowed one, how long to hold it back."""

    def __repr__(self) -> str:
        word = "allowed" if self.allowed else "refused"
        return f"<Decision {word} remaining={self.remaining} reset={self.reset:.3f} wait={self.wait:.3f}>"


class Rule(Protocol):
    """One way to limit; immutable, shared by all keys."""

    code: str
    """The rule's name in the script that a Redis server runs, and in the names of counters."""

    quota: int
    """Units that may be used at once or in one window."""

    window: float
    """Seconds in which a used quota comes back."""

    counts_refused: bool
    """Whether a refused request costs as much as one that was let through."""

    @property
    def parameters(self) -> tuple[float, ...]:
        """Return the numbers that the script needs, in its order."""

    def decide(self, state: State, now: float, cost: int) -> Decision:
        """Decide on a request that costs ``cost`` units."""

    def debit(self, state: State, now: float, cost: int) -> State:
        """Return the state after taking ``cost`` units, whether or not they are there."""

    def used(self, state: State, now: float) -> int:
        """Return the units that are used: of a new counter, a debit of so many gives the like of this state."""

    def __hash__(self) -> int: ...


class TokenBucket:
    """A bucket of ``burst`` tokens into which ``rate`` tokens a second flow (GCRA, ITU-T I.371 annex A.1).

    The state is one number: when the bucket will be full again. Refused requests that count, and costs that become
    known too late, make a debt of at most one more bucket.
    """

    __slots__ = ("counts_refused", "interval", "most", "patience", "quota", "span", "window")
    code = "token-bucket"

    def __init__(self, rate: float, burst: int, *, patience: float = 0.0, counts_refused: bool = False) -> None:
        """
        :param rate: tokens a second.
        :param patience: seconds for which a request may be held back rather than refused.
        """
        self.interval = 1.0 / rate
        self.span = burst * self.interval
        self.quota = burst
        self.window = self.span
        self.patience = patience
        self.most = 2 * self.span + patience
        self.counts_refused = counts_refused

    @property
    def parameters(self) -> tuple[float, ...]:
        return (self.interval, self.span, self.patience)

    def decide(self, state: State, now: float, cost: int) -> Decision:
        full_at = state[0]
        if full_at < now:
            full_at = now
        elif full_at > now + self.most:
            full_at = now + self.most
        charged = full_at + cost * self.interval
        wait = charged - now - self.span
        if wait <= TOLERANCE:
            left = int((self.span + now - charged + TOLERANCE) / self.interval)
            return Decision(True, (charged, 0.0, 0.0, charged), left, charged - now, 0.0)
        if wait <= self.patience:
            return Decision(True, (charged, 0.0, 0.0, charged), 0, charged - now, wait)
        if self.counts_refused:
            charged = min(charged, now + self.most)
            return Decision(False, (charged, 0.0, 0.0, charged), 0, charged - now, max(wait, charged - now - self.span))
        left = max(0, int((self.span + now - full_at + TOLERANCE) / self.interval))
        return Decision(False, None, left, full_at - now, wait)

    def debit(self, state: State, now: float, cost: int) -> State:
        full_at = min(max(state[0], now) + cost * self.interval, now + self.most)
        return (full_at, 0.0, 0.0, full_at)

    def used(self, state: State, now: float) -> int:
        full_at = min(state[0], now + self.most)
        return max(0, ceil((full_at - now - TOLERANCE) / self.interval))


class FixedWindow:
    """So many units in each window of the clock; at the turn of a window twice as many may pass in a short time.

    The state is the window's number and what was used in it.
    """

    __slots__ = ("counts_refused", "quota", "window")
    code = "fixed-window"

    def __init__(self, quota: int, window: float, *, counts_refused: bool = False) -> None:
        self.quota = quota
        self.window = window
        self.counts_refused = counts_refused

    @property
    def parameters(self) -> tuple[float, ...]:
        return (float(self.quota), self.window)

    def decide(self, state: State, now: float, cost: int) -> Decision:
        number = now // self.window
        used = state[1] if state[0] == number else 0.0
        end = (number + 1) * self.window
        if used + cost <= self.quota:
            return Decision(
                True, (number, used + cost, 0.0, end), int(self.quota - used - cost), max(0.0, end - now), 0.0
            )
        left = max(0, int(self.quota - used))
        if self.counts_refused:
            return Decision(False, (number, used + cost, 0.0, end), 0, end - now, end - now)
        return Decision(False, None, left, end - now, end - now)

    def debit(self, state: State, now: float, cost: int) -> State:
        number = now // self.window
        used = state[1] if state[0] == number else 0.0
        return (number, used + cost, 0.0, (number + 1) * self.window)

    def used(self, state: State, now: float) -> int:
        return int(state[1]) if state[0] == now // self.window else 0


class SlidingWindow:
    """So many units in any window, taking the use of the previous window as evenly spread over it.

    The state is the window's number, what was used in it, and what was used in the one before.
    """

    __slots__ = ("counts_refused", "quota", "window")
    code = "sliding-window"

    def __init__(self, quota: int, window: float, *, counts_refused: bool = False) -> None:
        self.quota = quota
        self.window = window
        self.counts_refused = counts_refused

    @property
    def parameters(self) -> tuple[float, ...]:
        return (float(self.quota), self.window)

    def _current(self, state: State, number: float) -> tuple[float, float]:
        """Return what was used in the window of that number and in the one before."""
        if state[0] == number:
            return state[1], state[2]
        return (0.0, state[1]) if state[0] == number - 1 else (0.0, 0.0)

    def decide(self, state: State, now: float, cost: int) -> Decision:
        window, quota = self.window, self.quota
        number = now // window
        used, before = self._current(state, number)
        end = (number + 1) * window
        share = max(0.0, (end - now) / window)
        free = quota - used - before * share
        if cost <= free + TOLERANCE:
            left = max(0, int(free - cost + TOLERANCE))
            return Decision(True, (number, used + cost, before, end + window), left, max(0.0, end - now), 0.0)
        if self.counts_refused:
            wait = self._wait(used + cost, before, share, cost)
            return Decision(False, (number, used + cost, before, end + window), 0, end - now, wait)
        left = max(0, int(free + TOLERANCE))
        return Decision(False, None, left, end - now, self._wait(used, before, share, cost))

    def _wait(self, used: float, before: float, share: float, cost: int) -> float:
        """Return after how many seconds ``cost`` units are free if nobody else takes any."""
        room = self.quota - cost
        if room < 0:
            return (share + 1.0) * self.window
        if used <= room:
            return max(0.0, share - (room - used) / before) * self.window
        return (share + 1.0 - room / used) * self.window

    def debit(self, state: State, now: float, cost: int) -> State:
        number = now // self.window
        used, before = self._current(state, number)
        return (number, used + cost, before, (number + 2) * self.window)

    def used(self, state: State, now: float) -> int:
        number = now // self.window
        used, before = self._current(state, number)
        return int(used + before * ((number + 1) - now / self.window))


class Concurrency:
    """So many requests in progress at the same time; stores count these apart, as they end by themselves."""

    __slots__ = ("quota",)
    code = "concurrency"
    window = 0.0

    def __init__(self, quota: int) -> None:
        self.quota = quota

    def decide(self, count: int) -> Decision:
        """Return what it means that there are ``count`` requests now, this one among them; 0: it was refused."""
        if count:
            return Decision(True, None, max(0, self.quota - count), 0.0, 0.0)
        # When one ends is anybody's guess; a second is the shortest that Retry-After can say.
        return Decision(False, None, 0, 0.0, 1.0)
