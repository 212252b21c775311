"""What metrics show of one process: time, memory, descriptors, tasks, and how late its event loop is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
from bisect import bisect_left
from pathlib import Path
from typing import Any, Final

from gateway_core.clock import Clock
from gateway_core.metrics.catalogue import (
    LAG_BOUNDS,
    LOG_DROPPED,
    LOOP_LAG,
    OTHER,
    PROCESS_CPU,
    PROCESS_DESCRIPTOR_LIMIT,
    PROCESS_DESCRIPTORS,
    PROCESS_MEMORY,
    PROCESS_START,
    SHORTAGES,
    TASK_FAILURES,
    TASKS,
    TASKS_FAILING,
)
from gateway_core.metrics.samples import Distribution, Labels, Samples, Value
from gateway_core.process import logs
from gateway_core.shortages import recent_shortages, shortages
from gateway_core.tasks import Supervised, supervised

LAG_EVERY: Final = 1.0
"""Seconds between two looks at the event loop."""

_MOST_TASKS: Final = 100
"""Names of tasks that have series of their own: those of discoveries are as many as upstreams."""

_ROLLUP: Final = Path("/proc/self/smaps_rollup")
_DESCRIPTORS: Final = Path("/proc/self/fd")


class ProcessMetrics:
    """The metrics of this process."""

    def __init__(self, process: str, clock: Clock, *, goes_on: bool = False) -> None:
        """Count from now on.

        :param process: what kind of process it is.
        :param goes_on: whether another program was in this process before, which has counted its own time.
        """
        self._process = process
        self._clock = clock
        self._started_at = clock.wall()
        self._cpu_before = _cpu_seconds() if goes_on else 0.0
        self._lag = Distribution([0] * (len(LAG_BOUNDS) + 1))

    async def watch_loop(self) -> None:
        """Look every second how late the event loop is; ends only when it is cancelled."""
        while True:
            due = self._clock.monotonic() + LAG_EVERY
            await asyncio.sleep(LAG_EVERY)
            self.note_lag(max(0.0, self._clock.monotonic() - due))

    def note_lag(self, seconds: float) -> None:
        """Count how late the event loop was."""
        self._lag.counts[bisect_left(LAG_BOUNDS, seconds)] += 1
        self._lag.sum += seconds

    def status(self) -> dict[str, Any]:
        """Return what does not work in this process and what it has logged lately, ready for JSON."""
        return {
            "failing_tasks": dict(supervised.failing),
            "shortages": recent_shortages(self._clock.monotonic()),
            "recent_events": logs.recent_events.recent(self._clock.wall()),
        }

    def put(self, samples: Samples) -> None:
        """Add what there is to report; takes a millisecond or two, and may be called in a thread."""
        process = self._process
        if any(self._lag.counts):
            samples.put(LOOP_LAG, [((process,), Distribution(self._lag.counts.copy(), self._lag.sum))], LAG_BOUNDS)
        samples.one(PROCESS_CPU, _cpu_seconds() - self._cpu_before, process)
        samples.one(PROCESS_START, self._started_at, process)
        samples.one(LOG_DROPPED, logs.dropped(), process)
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        samples.one(PROCESS_DESCRIPTOR_LIMIT, float("inf") if limit == resource.RLIM_INFINITY else limit, process)
        with contextlib.suppress(OSError, ValueError):  # another system, or one that hides them
            samples.one(PROCESS_DESCRIPTORS, len(list(_DESCRIPTORS.iterdir())) - 1, process)
            samples.one(PROCESS_MEMORY, pss_of(_ROLLUP.read_text()), process)
        samples.put(SHORTAGES, [((what,), number) for what, number in shortages().items()])
        logs.recent_events.put(samples)
        put_tasks(samples, supervised)


def put_tasks(samples: Samples, tasks: Supervised) -> None:
    """Add which endless tasks run, and how often they have failed."""
    running: dict[Labels, Value] = {}
    failures: dict[Labels, Value] = {}
    for number, (name, count) in enumerate(list(tasks.running.items())):
        label = (name if number < _MOST_TASKS else OTHER,)
        running[label] = running.get(label, 0) + count  # type: ignore[operator]  # no distributions
        failures[label] = failures.get(label, 0) + tasks.failures.get(name, 0)  # type: ignore[operator]
    for name, count in list(tasks.failures.items()):
        if name not in tasks.running:
            failures[name,] = count
    samples.put(TASKS, running.items())
    samples.put(TASK_FAILURES, failures.items())
    samples.one(TASKS_FAILING, len(tasks.failing))


def pss_of(rollup: str) -> int:
    """Return the proportional set size in a text of ``smaps_rollup``, in bytes.

    :raises ValueError: there is none.
    """
    for line in rollup.splitlines():
        name, _, value = line.partition(":")
        if name == "Pss":
            return int(value.split()[0]) * 1024
    raise ValueError("no line Pss")


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system
