"""Counters of this machine: in this process, or in memory that its workers share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from gateway_plugin_sdk import Clock

from gateway_plugin_ratelimit.algorithms import Concurrency, Decision, Rule, State
from gateway_plugin_ratelimit.reservation import Reservation
from gateway_plugin_ratelimit.settlement import Hit
from gateway_plugin_ratelimit.stores import Charge
from gateway_plugin_ratelimit.stores.memory import MemoryInflight, MemoryTable


class Table(Protocol):
    """Counters by name."""

    def charge(self, hits: Sequence[Hit], now: float) -> list[Decision]:
        """Charge a request to all of its counters or to none; return what each rule decided."""

    def compiled(self, rule: Rule, cost: int, clock: Callable[[], float], phase: float) -> Charge:
        """Return the function that charges one counter if the request passes at once."""

    def debit(self, hits: Sequence[Hit], now: float) -> None:
        """Take units that a request cost, whether or not they are there."""

    def state_of(self, key: str) -> State:
        """Return what is kept of a counter."""

    @property
    def sweep_steps(self) -> int:
        """How many calls of `sweep` see all counters."""

    def sweep(self, now: float) -> None:
        """Forget what may be forgotten among some counters."""

    def close(self) -> None:
        """Let go of what the table holds."""

    def __len__(self) -> int: ...


class Inflight(Protocol):
    """Requests in progress by key."""

    def acquire(self, key: str, most: int) -> int:
        """Count one more request unless there are ``most``; return how many there are now, or 0 if it was refused."""

    def release(self, key: str) -> None:
        """Count one request less."""

    def close(self) -> None:
        """Let go of what it holds."""


class LocalStore:
    """Decides at once, inline."""

    __slots__ = ("_inflight", "_monotonic", "_open_inflight", "_phase", "_table")

    def __init__(
        self, table: Table, open_inflight: Callable[[], Inflight], monotonic: Callable[[], float], phase: float
    ) -> None:
        """Prepare; requests in progress are counted from `acquire_slot` on.

        :param monotonic: a clock that all who share the counters read alike.
        :param phase: seconds that make the clock's days begin when those of UTC do.
        """
        self._table = table
        self._open_inflight = open_inflight
        self._inflight: Inflight | None = None
        self._monotonic = monotonic
        self._phase = phase

    def __len__(self) -> int:
        return len(self._table)

    def acquire_slot(self) -> Inflight:
        """Get ready to count requests in progress: only limits of concurrency need that."""
        if self._inflight is None:
            self._inflight = self._open_inflight()
        return self._inflight

    def admit(self, reservation: Reservation) -> None:
        """Charge a request to all of its limits or to none, and note the decisions in its reservation."""
        rules = reservation.rules
        if len(rules) == 1:
            rule = rules[0]
            if not isinstance(rule, Concurrency):
                hit = (rule, reservation.counters[0], reservation.costs[0])
                reservation.decisions = self._table.charge((hit,), self._monotonic() + self._phase)
                return
        self._admit_several(reservation)

    def compiled(self, rule: Rule, cost: int) -> Charge:
        """Return a quicker way to admit requests that have one limit."""
        return self._table.compiled(rule, cost, self._monotonic, self._phase)

    def _admit_several(self, reservation: Reservation) -> None:
        decisions: dict[int, Decision] = {}
        held: list[str] = []
        timed: list[tuple[int, Hit]] = []
        for index, rule in enumerate(reservation.rules):
            counter = reservation.counters[index]
            if isinstance(rule, Concurrency):
                decisions[index] = rule.decide(self.acquire_slot().acquire(counter, rule.quota))
                if decisions[index].allowed:
                    held.append(counter)
            else:
                timed.append((index, (rule, counter, reservation.costs[index])))
        if timed:
            decisions.update(self._charge(timed, is_refused=len(held) + len(timed) < len(reservation.rules)))
        reservation.decisions = [decisions[index] for index in range(len(reservation.rules))]
        if not held:
            return
        if reservation.is_allowed:
            reservation.release = partial(self._release, held)
        else:
            self._release(held)

    def _charge(self, timed: list[tuple[int, Hit]], *, is_refused: bool) -> dict[int, Decision]:
        """Charge what is counted in time; of a request that is refused already, only where refused ones count."""
        now = self._monotonic() + self._phase
        hits = [(rule, key, 0 if is_refused and not rule.counts_refused else cost) for _, (rule, key, cost) in timed]
        decisions = self._table.charge(hits, now)
        return {index: decision for (index, _), decision in zip(timed, decisions, strict=True)}

    def debit(self, reservation: Reservation, extra: Sequence[int]) -> None:
        """Take units that the request turned out to cost beyond what it was charged, by limit."""
        hits: list[Hit] = [
            (rule, counter, more)
            for rule, counter, more in zip(reservation.rules, reservation.counters, extra, strict=True)
            if more > 0 and not isinstance(rule, Concurrency)
        ]
        self._table.debit(hits, self._monotonic() + self._phase)

    def used(self, reservation: Reservation) -> list[int]:
        """Return how many units of each of a request's counters are used, as far as is known here."""
        now = self._monotonic() + self._phase
        return [
            0 if isinstance(rule, Concurrency) else rule.used(self._table.state_of(counter), now)
            for rule, counter in zip(reservation.rules, reservation.counters, strict=True)
        ]

    def _release(self, held: Sequence[str]) -> None:
        for counter in held:
            self.acquire_slot().release(counter)

    @property
    def sweep_steps(self) -> int:
        """How many calls of `sweep` see all counters."""
        return self._table.sweep_steps

    def sweep(self) -> None:
        """Forget what may be forgotten among some counters."""
        self._table.sweep(self._monotonic() + self._phase)

    def close(self) -> None:
        """Let go of what the store holds."""
        self._table.close()
        if self._inflight is not None:
            self._inflight.close()


DAY = 86400.0


def phase_of(wall: float, monotonic: float) -> float:
    """Return what to add to a monotonic clock so that its days begin when those of UTC do.

    Taken once: whatever happens to the wall clock later does not matter.
    """
    return (wall - monotonic) % DAY


SHARED_FOLDER = "GATEWAY_SHARED_DIR"
"""Names the folder, private to one gateway, in which its workers find each other's counters."""


def open_local_store(max_keys: int, clock: Clock, log: logging.Logger, environ: Mapping[str, str]) -> LocalStore:
    """Return the counters of this machine: shared with the other workers if there is a folder for it."""
    phase = phase_of(clock.wall(), clock.monotonic())
    warn = EvictionWarning(max_keys, log)
    folder = environ.get(SHARED_FOLDER)
    if folder:
        try:
            return _open_shared_store(Path(folder), max_keys, clock, phase, warn, log)
        except (OSError, ImportError) as error:
            _warn_of_folder(folder, error, log)
    return LocalStore(MemoryTable(max_keys, on_eviction=warn), MemoryInflight, clock.monotonic, phase)


def _warn_of_folder(folder: str | Path, error: Exception, log: logging.Logger) -> None:
    log.warning("each worker counts by itself: the workers cannot share memory in %r: %s", str(folder), error)


def _open_shared_store(
    folder: Path, max_keys: int, clock: Clock, phase: float, warn: EvictionWarning, log: logging.Logger
) -> LocalStore:
    # Imported here because not every system has what they need.
    from gateway_plugin_ratelimit.stores.shared import SharedTable  # noqa: PLC0415
    from gateway_plugin_ratelimit.stores.shared_inflight import SharedInflight  # noqa: PLC0415

    def open_inflight() -> Inflight:
        try:
            return SharedInflight(folder)
        except OSError as error:
            _warn_of_folder(folder, error, log)
            return MemoryInflight()

    table = SharedTable(folder, max_keys, phase=phase, on_eviction=warn)
    return LocalStore(table, open_inflight, clock.monotonic, table.phase)


class EvictionWarning:
    """Says that ``max_keys`` is too small: the 1st, 2nd, 4th, 8th ... time that it mattered."""

    __slots__ = ("_count", "_log", "_max_keys")

    def __init__(self, max_keys: int, log: logging.Logger) -> None:
        self._max_keys = max_keys
        self._log = log
        self._count = 0

    def __call__(self) -> None:
        self._count += 1
        if self._count & (self._count - 1) == 0:
            self._log.warning(
                "more than max_keys: %d counters are in use: %d were dropped before their time",
                self._max_keys,
                self._count,
            )
