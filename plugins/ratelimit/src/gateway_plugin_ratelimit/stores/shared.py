"""Counters in memory that the workers of a machine share: exact over all of them.

The table has a fixed size. A counter is one slot of 48 bytes in the set of 8 slots that its key belongs to: the key's
digest, three numbers, and the time from which on it may be forgotten. A full set gives up the slot that would be
forgotten first, and of several such the one that was used least. A worker that dies in the middle of a write leaves at
worst one odd number, which rules cut to size.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from gateway_plugin_ratelimit.algorithms import EMPTY, Decision, Rule, State
from gateway_plugin_ratelimit.settlement import Hit, settle
from gateway_plugin_ratelimit.stores import Charge, Remaining
from gateway_plugin_ratelimit.stores.locks import STRIPES, Stripes
from gateway_plugin_ratelimit.stores.mapping import DIGEST_SIZE, SharedFile
from gateway_plugin_ratelimit.stores.memory import worth

WAYS: Final = 8
_SLOT: Final = struct.Struct("<16s4d")
_NUMBERS: Final = struct.Struct("<4d")
_SET_SIZE: Final = WAYS * _SLOT.size


class SharedTable:
    """Room for at least ``max_keys`` counters."""

    __slots__ = ("_file", "_locks", "evictions", "on_eviction", "phase")

    def __init__(
        self, folder: Path, max_keys: int, *, phase: float, on_eviction: Callable[[], None] | None = None
    ) -> None:
        """Open or make the table of that size in a folder that the workers share.

        :raises OSError: if that is not possible.
        """
        sets = -(-max_keys // WAYS)
        name = f"ratelimit-{max_keys}"
        self._file = SharedFile(folder / f"{name}.table", sets=sets, set_size=_SET_SIZE, phase=phase)
        self._locks = Stripes(folder, name)
        self.phase = self._file.phase
        """The phase of whoever made the table."""
        self.evictions = 0
        """Counters that this worker dropped before their time."""
        self.on_eviction = on_eviction

    def charge(self, hits: Sequence[Hit], now: float) -> list[Decision]:
        """Charge a request to all of its counters or to none; return what each rule decided."""
        if len(hits) == 1:
            rule, key, cost = hits[0]
            digest, start, number = self._file.place_of(key)
            stripe = number % STRIPES
            locked = self._locks.lock(stripe)
            try:
                offset, state = self._find(digest, start)
                decision = rule.decide(state, now, cost)
                if decision.state is not None:
                    self._write(digest, start, offset, decision.state, now)
            finally:
                if locked:
                    self._locks.unlock(stripe)
            return [decision]
        places = [self._file.place_of(hit[1]) for hit in hits]
        locked_stripes = self._locks.lock_all(place[2] % STRIPES for place in places)
        try:
            found = [self._find(digest, start) for digest, start, _ in places]
            decisions, nexts = settle(hits, [state for _, state in found], now)
            for (digest, start, _), following in zip(places, nexts, strict=True):
                if following is not None:
                    # Looked up again: an earlier counter of this very request may have taken the slot.
                    self._write(digest, start, self._find(digest, start)[0], following, now)
        finally:
            for stripe in locked_stripes:
                self._locks.unlock(stripe)
        return decisions

    def compiled(self, rule: Rule, cost: int, clock: Callable[[], float], phase: float) -> Charge:
        """Return the function that charges one counter if the request passes at once."""
        place_of, lock, unlock = self._file.place_of, self._locks.lock, self._locks.unlock

        def charge_one(key: str) -> Remaining | None:
            digest, start, number = place_of(key)
            stripe = number % STRIPES
            locked = lock(stripe)
            try:
                now = clock() + phase
                offset, known = self._find(digest, start)
                decision = rule.decide(known, now, cost)
                if not decision.allowed or decision.wait or decision.state is None:
                    return None
                self._write(digest, start, offset, decision.state, now)
            finally:
                if locked:
                    unlock(stripe)
            return decision.remaining, decision.reset

        return charge_one

    def debit(self, hits: Sequence[Hit], now: float) -> None:
        """Take units that a request cost, whether or not they are there."""
        for rule, key, cost in hits:
            digest, start, number = self._file.place_of(key)
            locked = self._locks.lock(number % STRIPES)
            try:
                offset, state = self._find(digest, start)
                self._write(digest, start, offset, rule.debit(state, now, cost), now)
            finally:
                if locked:
                    self._locks.unlock(number % STRIPES)

    def state_of(self, key: str) -> State:
        """Return what is kept of a counter; without a lock, so perhaps what another worker is about to change."""
        digest, start, _ = self._file.place_of(key)
        return self._find(digest, start)[1]

    def _find(self, digest: bytes, start: int) -> tuple[int, State]:
        """Return the offset of a key's slot, or -1, and its state."""
        offset = self._file.map.find(digest, start, start + _SET_SIZE)
        if offset < 0 or (offset - start) % _SLOT.size:
            return -1, EMPTY
        return offset, _NUMBERS.unpack_from(self._file.map, offset + DIGEST_SIZE)

    def _write(self, digest: bytes, start: int, offset: int, state: State, now: float) -> None:
        if offset < 0:
            offset = self._free_slot(start, now)
        _SLOT.pack_into(self._file.map, offset, digest, *state)

    def _free_slot(self, start: int, now: float) -> int:
        """Return the offset of a slot of a set that may be taken."""
        first, least = start, (float("inf"), 0.0)
        for offset in range(start, start + _SET_SIZE, _SLOT.size):
            state: State = _NUMBERS.unpack_from(self._file.map, offset + DIGEST_SIZE)
            if state[3] <= now:
                return offset
            if (value := worth(state)) < least:
                first, least = offset, value
        self.evictions += 1
        if self.on_eviction is not None:
            self.on_eviction()
        return first

    @property
    def sweep_steps(self) -> int:
        """None: a slot whose time is over is simply taken."""
        return 0

    def sweep(self, now: float) -> None:
        """Nothing is to be done."""

    def __len__(self) -> int:
        """Count the slots that were ever taken; slow."""
        table = self._file.map
        slots = range(len(table) - self._file.sets * _SET_SIZE, len(table), _SLOT.size)
        return sum(table[offset : offset + DIGEST_SIZE] != bytes(DIGEST_SIZE) for offset in slots)

    def close(self) -> None:
        """Let go of the files; they stay for the other workers."""
        self._file.close()
        self._locks.close()
