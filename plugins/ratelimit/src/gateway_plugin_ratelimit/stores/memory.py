"""Counters in this process: exact when one worker serves alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway_plugin_ratelimit.algorithms import EMPTY, TOLERANCE, Decision, Rule, State, TokenBucket
from gateway_plugin_ratelimit.settlement import Hit, settle
from gateway_plugin_ratelimit.stores import Charge, Remaining

_CANDIDATES = 8
_SWEPT_AT_ONCE = 256


def worth(state: State) -> tuple[float, float]:
    """Return what a counter is kept by when there is no room for all: how long it says something, then how much.

    Counters of windows all end together, so the end alone would take any of them.
    """
    return state[3], state[1] + state[2]


class MemoryTable:
    """At most ``max_keys`` counters.

    When it is full, the counter of a few old ones that would be forgotten first makes room, and of several such the one
    that was used least: of a client that called once, rather than of one that is at its limit. So no flood of new keys
    gives a client a new quota while there are counters that say less. Names of counters have a bounded length (see
    `gateway_plugin_ratelimit.keys.bounded`), which bounds the table's bytes.
    """

    __slots__ = ("_counters", "evictions", "max_keys", "on_eviction")

    def __init__(self, max_keys: int, on_eviction: Callable[[], None] | None = None) -> None:
        self.max_keys = max_keys
        self.on_eviction = on_eviction
        self.evictions = 0
        """Counters that were dropped before their time."""
        self._counters: dict[str, State] = {}

    def __len__(self) -> int:
        return len(self._counters)

    def charge(self, hits: Sequence[Hit], now: float) -> list[Decision]:
        """Charge a request to all of its counters or to none; return what each rule decided."""
        counters = self._counters
        if len(hits) == 1:
            rule, key, cost = hits[0]
            known = counters.get(key)
            decision = rule.decide(EMPTY if known is None else known, now, cost)
            state = decision.state
            if state is not None:
                if known is None:
                    self._make_room(now)
                counters[key] = state
            return [decision]
        decisions, nexts = settle(hits, [counters.get(hit[1], EMPTY) for hit in hits], now)
        for (_, key, _), state in zip(hits, nexts, strict=True):
            if state is not None:
                self._put(key, state, now)
        return decisions

    def compiled(self, rule: Rule, cost: int, clock: Callable[[], float], phase: float) -> Charge:
        """Return the function that charges one counter if the request passes at once."""
        if isinstance(rule, TokenBucket):
            return self._compiled_bucket(rule, cost, clock, phase)
        counters = self._counters

        def charge_one(key: str) -> Remaining | None:
            now = clock() + phase
            known = counters.get(key)
            if known is None and len(counters) >= self.max_keys:
                return None
            decision = rule.decide(EMPTY if known is None else known, now, cost)
            if not decision.allowed or decision.state is None:
                return None
            counters[key] = decision.state
            return decision.remaining, decision.reset

        return charge_one

    def _compiled_bucket(self, bucket: TokenBucket, cost: int, clock: Callable[[], float], phase: float) -> Charge:
        """Return what `TokenBucket.decide` does for requests that pass, without an object for the decision."""
        counters, max_keys = self._counters, self.max_keys
        interval, most = bucket.interval, bucket.most
        price, ceiling = cost * interval, bucket.span + TOLERANCE

        def charge_one(key: str) -> Remaining | None:
            now = clock() + phase
            known = counters.get(key)
            full_at = now
            if known is not None:
                full_at = known[0]
                if full_at < now:
                    full_at = now
                elif full_at > now + most:
                    return None
            elif len(counters) >= max_keys:
                return None
            charged = full_at + price
            reset = charged - now
            if reset > ceiling:
                return None
            counters[key] = (charged, 0.0, 0.0, charged)
            return int((ceiling - reset) / interval), reset

        return charge_one

    def debit(self, hits: Sequence[Hit], now: float) -> None:
        """Take units that a request cost, whether or not they are there."""
        for rule, key, cost in hits:
            self._put(key, rule.debit(self._counters.get(key, EMPTY), now, cost), now)

    def state_of(self, key: str) -> State:
        """Return what is kept of a counter."""
        return self._counters.get(key, EMPTY)

    def _put(self, key: str, state: State, now: float) -> None:
        if key not in self._counters:
            self._make_room(now)
        self._counters[key] = state

    def _make_room(self, now: float) -> None:
        """Keep the table within its size before a counter is added; looks at a few of the oldest, so it is quick."""
        counters = self._counters
        if len(counters) < self.max_keys:
            return
        if self._forget(now, _CANDIDATES):
            return
        oldest = iter(counters)
        candidates = [next(oldest) for _ in range(min(_CANDIDATES, len(counters)))]
        del counters[min(candidates, key=lambda key: worth(counters[key]))]
        self.evictions += 1
        if self.on_eviction is not None:
            self.on_eviction()

    @property
    def sweep_steps(self) -> int:
        """How many calls of `sweep` see all counters."""
        return -(-len(self._counters) // _SWEPT_AT_ONCE)

    def sweep(self, now: float) -> None:
        """Forget those whose time is over among some counters; the next call looks at others."""
        self._forget(now, _SWEPT_AT_ONCE)

    def _forget(self, now: float, most: int) -> int:
        """Forget those whose time is over among the oldest counters, move the others to the end.

        :returns: how many were forgotten.
        """
        counters = self._counters
        forgotten = 0
        oldest = iter(counters)
        for key in [next(oldest) for _ in range(min(most, len(counters)))]:
            state = counters.pop(key)
            if state[3] > now:
                counters[key] = state
            else:
                forgotten += 1
        return forgotten

    def close(self) -> None:
        """Forget everything."""
        self._counters.clear()


class MemoryInflight:
    """How many requests of a key are in progress in this process; as large as there are such requests."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def acquire(self, key: str, most: int) -> int:
        """Count one more request unless there are ``most``; return how many there are now, or 0 if it was refused."""
        count = self._counts.get(key, 0) + 1
        if count > most:
            return 0
        self._counts[key] = count
        return count

    def release(self, key: str) -> None:
        """Count one request less."""
        count = self._counts.get(key, 0)
        if count <= 1:
            self._counts.pop(key, None)
        else:
            self._counts[key] = count - 1

    def close(self) -> None:
        """Forget everything."""
        self._counts.clear()
