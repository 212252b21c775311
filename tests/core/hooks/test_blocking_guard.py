from __future__ import annotations

import asyncio
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from gateway_core.hooks import Binding, Blockage, BlockingGuard, Plugin, Suspended, build_chain, start_phase
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request
from gateway_core.metrics import Metrics
from gateway_core.packages import PluginRegistry
from gateway_core.tasks import supervised

Bind = Callable[..., Binding]


class Sitting(Plugin[Any]):
    """Holds the event loop until it is told otherwise."""

    name = "sitting"
    release: threading.Event

    @hookimpl
    def gateway_pre_proxy(self) -> None:
        assert self.release.wait(30)


class SittingLater(Plugin[Any]):
    name = "sitting-later"
    release: threading.Event

    @hookimpl
    async def gateway_pre_proxy(self) -> None:
        await asyncio.sleep(0)
        assert self.release.wait(30)


@pytest.fixture
def reports() -> queue.Queue[Blockage]:
    return queue.Queue()


@pytest.fixture
def guarded(reports: queue.Queue[Blockage], metrics: Metrics) -> Iterator[Callable[[], BlockingGuard]]:
    """Return a function that starts a guard; each report also releases the hook that sits."""
    guards = []

    def report(blockage: Blockage) -> None:
        reports.put(blockage)
        Sitting.release.set()
        SittingLater.release.set()

    def start() -> BlockingGuard:
        Sitting.release, SittingLater.release = threading.Event(), threading.Event()
        guard = BlockingGuard(threshold=0.02, metrics=metrics, report=report)
        guard.start()
        guards.append(guard)
        return guard

    yield start
    for guard in guards:
        guard.stop()


@pytest.mark.parametrize("plugin", [Sitting, SittingLater])
async def test_a_hook_that_blocks_is_reported_with_the_line_where_it_sits(
    bind: Bind,
    request_: Request,
    reports: queue.Queue[Blockage],
    guarded: Callable[[], BlockingGuard],
    counted: Callable[..., float],
    plugin: type[Plugin[Any]],
) -> None:
    hooks = build_chain([bind(plugin)]).pre_proxy
    guarded()

    outcome = start_phase(hooks, request_)
    if isinstance(outcome, Suspended):
        await outcome.finish()

    blockage = reports.get_nowait()
    assert (blockage.plugin, blockage.hook) == (plugin.name, "gateway_pre_proxy")
    function: Any = plugin.gateway_pre_proxy  # type: ignore[attr-defined]
    file, _, line = blockage.place.rpartition(":")
    assert file == __file__
    assert 0 < int(line) - function.__code__.co_firstlineno <= 4
    assert blockage.innermost.startswith(threading.__file__)
    assert blockage.seconds >= 0.02
    assert "blocks the event loop" in str(blockage)
    assert counted("gateway_plugin_blocked", plugin=plugin.name, phase="gateway_pre_proxy") == 1


async def test_c_code_that_never_lets_go_of_the_interpreter_is_found_when_it_ends(
    bind: Bind, request_: Request, reports: queue.Queue[Blockage], guarded: Callable[[], BlockingGuard]
) -> None:
    class Hopeless(Plugin[Any]):
        name = "hopeless"

        @hookimpl
        def gateway_pre_proxy(self) -> None:
            for length in range(18, 40):
                started = time.monotonic()
                re.match(r"(a+)+$", "a" * length + "b")
                if time.monotonic() - started > 0.3:
                    return

    hooks = build_chain([bind(Hopeless)]).pre_proxy
    guarded()

    start_phase(hooks, request_)

    assert reports.get(timeout=30).plugin == "hopeless"


async def test_one_long_stay_is_one_report(
    bind: Bind, request_: Request, reports: queue.Queue[Blockage], guarded: Callable[[], BlockingGuard]
) -> None:
    class Busy(Plugin[Any]):
        name = "busy"

        @hookimpl
        def gateway_pre_proxy(self) -> None:
            until = time.monotonic() + 0.2
            while time.monotonic() < until:
                time.sleep(0.001)

    hooks = build_chain([bind(Busy)]).pre_proxy
    guarded()

    start_phase(hooks, request_)

    assert reports.get_nowait().plugin == "busy"
    assert reports.empty()


async def test_a_hook_that_waits_without_blocking_is_not_reported(
    bind: Bind, request_: Request, reports: queue.Queue[Blockage], guarded: Callable[[], BlockingGuard]
) -> None:
    class Patient(Plugin[Any]):
        name = "patient"

        @hookimpl
        async def gateway_pre_proxy(self) -> None:
            for _ in range(10):
                await asyncio.sleep(0.01)

    outcome = start_phase(build_chain([bind(Patient)]).pre_proxy, request_)
    guarded()
    assert isinstance(outcome, Suspended)
    await outcome.finish()

    assert reports.empty()


async def test_what_blocks_outside_of_hooks_is_nobodys_plugin(
    reports: queue.Queue[Blockage], guarded: Callable[[], BlockingGuard]
) -> None:
    guarded()

    time.sleep(0.1)  # noqa: ASYNC251 - to block is the point

    assert reports.empty()


async def test_a_guard_logs_one_line_a_minute_per_hook(
    bind: Bind, request_: Request, caplog: pytest.LogCaptureFixture
) -> None:
    guard = BlockingGuard()
    blockage = Blockage("slow", "gateway_log", 0.07, "slow.py:5", "slow.py:5")

    guard._log(blockage)
    guard._log(blockage)

    (record,) = caplog.records
    assert record.getMessage() == (
        "plugin 'slow' blocks the event loop for 70ms in gateway_log at slow.py:5: "
        "make it async, or mark it with @hookimpl_blocking"
    )


async def test_of_a_long_blockage_the_end_is_told_as_well(caplog: pytest.LogCaptureFixture) -> None:
    class Late(Plugin[Any]):
        name = "late"

        async def start(self) -> None:
            time.sleep(1.2)  # noqa: ASYNC251 - what the guard is there to find

    registry = PluginRegistry()
    registry.register(Late)
    guard = BlockingGuard()
    guard.follow(0.1)

    await Late.start(Late.__new__(Late))
    async with asyncio.timeout(30):
        while len(caplog.records) < 2:  # noqa: ASYNC110 - the guard has its own thread
            await asyncio.sleep(0.02)
    guard.follow(0)

    begun, ended = [record.getMessage() for record in caplog.records]
    assert "plugin 'late' blocks the event loop for " in begun
    assert f"ms in start at {__file__}:" in begun
    assert re.search(r"plugin 'late' held the event loop for 1\.\ds in start at ", ended)
    assert ended.endswith("await what takes long, or do it by asyncio.to_thread")


def test_nothing_is_watched_with_a_threshold_of_zero() -> None:
    guard = BlockingGuard()

    guard.follow(0)

    assert "gateway-guard" not in {thread.name for thread in threading.enumerate()}


async def test_a_guard_can_be_stopped_and_started_again() -> None:
    guard = BlockingGuard(threshold=0.01)

    for _ in range(2):
        guard.start()
        guard.stop()
        guard.stop()

    assert "gateway-guard" not in {thread.name for thread in threading.enumerate()}


async def test_a_look_that_fails_is_counted_and_the_next_one_is_taken(
    bind: Bind, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_core.hooks.blocking_guard._AGAIN", 0.01)
    name, seen = "watch for hooks that block", queue.SimpleQueue[str]()

    def report(blockage: Blockage) -> None:
        seen.put(supervised.failing.get(name, ""))
        if seen.qsize() > 1:
            Sitting.release.set()
        raise OSError("the log cannot be written")

    Sitting.release = threading.Event()
    guard = BlockingGuard(threshold=0.02, report=report)
    guard.start()
    try:
        chain = build_chain([bind(Sitting)])
        start_phase(chain.pre_proxy, request_)
        assert [seen.get(timeout=30) for _ in range(2)] == ["", "OSError: the log cannot be written"]
    finally:
        guard.stop()
    assert name not in supervised.failing
