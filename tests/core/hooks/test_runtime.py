from __future__ import annotations

import asyncio
import logging
from contextvars import ContextVar
from typing import Any

import pytest
from gateway_core.hooks.runtime import CommandError, PluginRuntime
from gateway_core.metrics import Metrics

NAME: ContextVar[str] = ContextVar("NAME", default="nothing")


async def test_background_work_has_no_context_variables_and_ends_with_the_instance() -> None:
    runtime, seen, ended = PluginRuntime("p", "b"), list[str](), asyncio.Event()
    NAME.set("the caller's")

    async def work() -> None:
        seen.append(NAME.get())
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = runtime.spawn(work())
    await asyncio.sleep(0)
    await runtime.aclose()

    assert (seen, task.cancelled(), ended.is_set()) == (["nothing"], True, True)
    with pytest.raises(RuntimeError, match="binding 'b' has been stopped"):
        runtime.spawn(work())


async def test_work_that_never_ran_is_ended_without_a_warning() -> None:
    runtime = PluginRuntime("p", "b")
    runtime.spawn(asyncio.sleep(1000))

    await runtime.aclose()


@pytest.mark.parametrize(("error", "text"), [(ValueError("no"), "ValueError: no"), (SystemExit(3), "SystemExit")])
async def test_a_failure_is_logged_once_and_counted(
    error: BaseException, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    runtime = PluginRuntime("p", "b", metrics=metrics)

    async def fail() -> None:
        raise error

    task = runtime.spawn(fail())
    await asyncio.wait({task})
    await asyncio.sleep(0)

    (record,) = caplog.records
    assert text in record.getMessage()
    assert b'gateway_plugin_task_errors_total{binding="b",plugin="p"} 1.0' in metrics.exposition()


async def test_only_coroutines_are_spawned_and_only_from_the_event_loop() -> None:
    runtime = PluginRuntime("p", "b")

    with pytest.raises(TypeError, match="call the async function"):
        runtime.spawn(asyncio.sleep)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="from a thread"):
        await asyncio.to_thread(lambda: runtime.spawn(asyncio.sleep(0)))


async def test_work_that_does_not_end_is_reported_and_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    runtime, go = PluginRuntime("p", "b"), asyncio.Event()

    async def stubborn() -> None:
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                continue

    task = runtime.spawn(stubborn())
    await asyncio.sleep(0)
    with caplog.at_level(logging.ERROR):
        await runtime.aclose(timeout=0.01)

    assert "does not end although it was cancelled" in caplog.text
    go.set()
    await asyncio.wait({task})


async def test_a_runtime_of_its_own_shares_with_itself_and_reaches_no_worker() -> None:
    runtime = PluginRuntime()

    await runtime.shared.put("a", b"1")

    assert await runtime.shared.get("a") == b"1"
    assert not runtime.is_used
    with pytest.raises(CommandError, match="no configuration is in force here"):
        await runtime.everywhere("purge", {})


async def test_once_cannot_be_begun_after_the_end() -> None:
    runtime = PluginRuntime("p", "b")

    async def work() -> Any:
        return 1

    assert await runtime.once("k", work) == 1
    await runtime.aclose()
    with pytest.raises(RuntimeError, match="has ended"):
        await runtime.once("k", work)
