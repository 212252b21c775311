"""What is counted of the time for which another process is waited for."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
from gateway_core.clock import ManualClock
from gateway_core.process.patience import MOST_STOPPED, Look, Waited, look_at, patiently

from tests.following import eventually

STEP = 5.0
"""Seconds that pass from one look to the next."""


def looks(clock: ManualClock, *, starved: bool = False, stopped: bool = False) -> Callable[[int], Look]:
    """Return looks at a process that sleeps, or waits for a processor all the time, or is stopped."""

    def look(_pid: int) -> Look:
        clock.advance(STEP)
        return Look({"1": clock.monotonic() if starved else 0.0}, stopped)

    return look


@pytest.mark.parametrize(
    ("delays", "counted"),
    [
        ([{"1": 3.0}, {"1": 3.0}], 10.0),
        ([{"1": 7.0}, {"1": 9.5}], 3.5),
        ([{"1": 3.0}, {"1": 3.0, "2": 4.0}], 6.0),
        ([{}, {}], 10.0),
    ],
    ids=["it sleeps", "it waits for a processor", "a thread of it does that began meanwhile", "unknown"],
)
def test_the_time_in_which_it_waits_for_a_processor_is_not_counted(
    delays: list[dict[str, float]], counted: float
) -> None:
    waited = Waited(1, look=lambda _pid: Look({"1": 3.0} if delays[0] else {}))

    for each in delays:
        waited.add(5.0, Look(each))

    assert waited.counted == counted


async def never() -> None:
    await asyncio.Event().wait()


async def test_a_process_that_waits_for_a_processor_is_waited_for_with_one_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, there, seen = ManualClock(), asyncio.Event(), 0
    starved = looks(clock, starved=True)

    def look(pid: int) -> Look:
        nonlocal seen
        seen += 1
        if seen == 50:
            there.set()
        return starved(pid)

    assert await patiently(there.wait(), 1, 10, what="it", clock=clock, look=look, look_every=0) is True

    assert seen >= 50
    assert caplog.text.count("it takes long") == 1


async def test_a_process_that_does_nothing_is_given_up() -> None:
    clock = ManualClock()
    began = clock.monotonic()

    with pytest.raises(TimeoutError):
        await patiently(never(), 1, 60, what="it", clock=clock, look=looks(clock), look_every=0)

    assert clock.monotonic() - began >= 60


async def test_a_process_that_is_stopped_is_given_up_sooner() -> None:
    clock = ManualClock()
    began = clock.monotonic()

    with pytest.raises(TimeoutError):
        await patiently(never(), 1, 600, what="it", clock=clock, look=looks(clock, stopped=True), look_every=0)

    assert MOST_STOPPED <= clock.monotonic() - began <= MOST_STOPPED + 3 * STEP


async def test_the_system_says_whether_a_process_is_stopped_and_how_long_it_waited_for_a_processor() -> None:
    process = await asyncio.to_thread(subprocess.Popen, [sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        assert not look_at(process.pid).is_stopped
        assert look_at(process.pid).delays[str(process.pid)] >= 0

        os.kill(process.pid, signal.SIGSTOP)
        await eventually(lambda: look_at(process.pid).is_stopped)
    finally:
        process.kill()
        process.wait()
    assert look_at(process.pid) == Look()
