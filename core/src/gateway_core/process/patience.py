"""Wait for another process as long as it may take, however busy the machine is.

A number of seconds is a bound for what a process does, not for what the machine does meanwhile: with thirty processes
on two processors each step takes fifteen times as long. So what counts is the time in which the process runs or sleeps.
The time in which it is ready to run and no processor is free is not counted; Linux has that in
``/proc/PID/task/TID/schedstat``. Where there is no such file, all time counts.

A process that is stopped (SIGSTOP, a debugger) gets no further, and is given up much sooner. One that has ended is no
matter of patience: what waits for it sees the end of its socket.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from gateway_core.clock import Clock, SystemClock
from gateway_core.events import PROCESS_SLOW, emit
from gateway_core.tasks import spawn

T = TypeVar("T")

MOST_STOPPED: Final = 10.0
"""Seconds for which a process may be stopped while something is expected of it."""

_SLOW_AFTER: Final = 20.0
"""Seconds after which the log says that a process is waited for."""

_LOOK_EVERY: Final = 1.0


@dataclass(frozen=True, slots=True)
class Look:
    """What is seen of a process at one moment."""

    delays: dict[str, float] = field(default_factory=dict)
    """Seconds for which each of its threads has been ready to run without a processor, since it began."""
    is_stopped: bool = False


def look_at(pid: int) -> Look:
    """Look at a process, and at those that it has started."""
    delays: dict[str, float] = {}
    for each in (str(pid), *_children_of(pid)):
        with contextlib.suppress(OSError, IndexError, ValueError):
            for thread in Path(f"/proc/{each}/task").iterdir():
                delays[thread.name] = int((thread / "schedstat").read_text().split()[1]) / 1e9
    state = ""
    with contextlib.suppress(OSError, IndexError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    return Look(delays, state in {"T", "t"})


def _children_of(pid: int) -> Collection[str]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return ()


class Waited:
    """How long a process has been waited for, of which only a part counts."""

    def __init__(self, pid: int, clock: Clock | None = None, look: Callable[[int], Look] = look_at) -> None:
        self.counted = 0.0
        """Seconds in which it ran or slept."""
        self.stopped = 0.0
        """Seconds for which it has been stopped."""
        self._pid = pid
        self._clock = clock or SystemClock()
        self._look = look
        self._began = self._at = self._clock.monotonic()
        self._last = look(pid)

    @property
    def is_stopped_for_long(self) -> bool:
        """Whether the process has been stopped for so long that it is given up."""
        return self.stopped >= MOST_STOPPED

    @property
    def total(self) -> float:
        """Seconds for which it has been waited for, all of them, up to the last look."""
        return self._at - self._began

    def look(self) -> None:
        """Look at the process again."""
        before, self._at = self._at, self._clock.monotonic()
        self.add(self._at - before, self._look(self._pid))

    def add(self, seconds: float, now: Look) -> None:
        """Add the seconds since the last look."""
        before = self._last.delays
        delays = (delay - before.get(thread, 0.0) for thread, delay in now.delays.items())
        self.counted += max(seconds - max(delays, default=0.0), 0.0)
        self.stopped = self.stopped + seconds if now.is_stopped and self._last.is_stopped else 0.0
        self._last = now


async def patiently(
    work: Coroutine[Any, Any, T],
    pid: int,
    seconds: float,
    *,
    what: str,
    clock: Clock | None = None,
    look: Callable[[int], Look] = look_at,
    look_every: float = _LOOK_EVERY,
) -> T:
    """Await what a process is to do.

    :param seconds: for which it may run or sleep meanwhile.
    :param what: names the process and what it does, for the log.
    :raises TimeoutError: it takes longer, or is stopped.
    """
    task = spawn(work, name=f"wait for {what}", on_error=lambda _: None)
    waited, is_said = Waited(pid, clock, look), False
    try:
        while not (await asyncio.wait({task}, timeout=min(look_every, max(seconds - waited.counted, 0.0))))[0]:
            waited.look()
            if waited.is_stopped_for_long or waited.counted >= seconds:
                raise TimeoutError
            if waited.total >= _SLOW_AFTER and not is_said:
                is_said = True
                text = f"{what} takes long: it is waited for since {waited.total:.0f} s, as the machine may be busy"
                emit(PROCESS_SLOW, text, process_name=what, pid=pid, seconds=round(waited.total, 1))
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
