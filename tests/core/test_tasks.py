from __future__ import annotations

import asyncio
import gc
import logging
import random

import pytest
from gateway_core.backoff import Backoff
from gateway_core.clock import ManualClock
from gateway_core.tasks import Tasks, Yielder, spawn, spawned, supervise, supervised


async def fail() -> None:
    raise ValueError("broken")


async def test_a_task_that_nobody_keeps_still_runs() -> None:
    done = asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0)
        gc.collect()
        done.set()

    spawn(work(), name="work")

    await asyncio.wait_for(done.wait(), 30)


async def test_a_failure_is_logged_once_with_the_task_name(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        task = spawn(fail(), name="refresh keys")
        await asyncio.wait({task})
        del task
        gc.collect()

    assert [(r.name, r.getMessage()) for r in caplog.records] == [
        ("gateway.task", "task refresh keys failed: ValueError('broken')")
    ]


async def test_on_error_gets_the_failure_instead_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[BaseException] = []

    await asyncio.wait({spawn(fail(), name="x", on_error=seen.append)})

    assert [str(error) for error in seen] == ["broken"]
    assert not caplog.records


async def test_cancellation_is_not_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[BaseException] = []
    task = spawn(asyncio.Event().wait(), name="x", on_error=seen.append)
    await asyncio.sleep(0)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert seen == []
    assert not caplog.records


async def test_what_cancels_all_tasks_of_the_loop_does_not_meet_those_of_a_gateway(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway_core.tasks._is_hiding", True)
    go_on = asyncio.Event()
    own = spawn(go_on.wait(), name="own")
    of_a_plugin = asyncio.get_running_loop().create_task(go_on.wait())
    await asyncio.sleep(0)

    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.wait({of_a_plugin})
    assert spawned(asyncio.get_running_loop()) >= {own}
    go_on.set()

    assert await own
    assert of_a_plugin.cancelled()


async def test_closing_the_owner_cancels_and_awaits_its_tasks() -> None:
    tasks = Tasks()
    cleaned: list[int] = []

    async def work(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(number)

    for number in range(3):
        tasks.spawn(work(number), name=f"work {number}")
    await asyncio.sleep(0)
    await tasks.aclose()

    assert sorted(cleaned) == [0, 1, 2]
    assert len(tasks) == 0


async def test_a_task_may_close_its_own_owner() -> None:
    tasks = Tasks()
    other = tasks.spawn(asyncio.Event().wait(), name="other")

    await tasks.spawn(tasks.aclose(), name="closer")

    assert other.cancelled()


async def test_a_closed_owner_starts_nothing() -> None:
    tasks = Tasks()
    await tasks.aclose()

    with pytest.raises(RuntimeError, match="'late'"):
        tasks.spawn(fail(), name="late")


async def test_an_owner_waits_for_its_tasks_without_ending_them() -> None:
    tasks = Tasks()
    done: list[str] = []

    async def work() -> None:
        await asyncio.sleep(0)
        tasks.spawn(more(), name="more")
        done.append("work")

    async def more() -> None:
        done.append("more")

    tasks.spawn(work(), name="work")
    await tasks.wait()

    assert done == ["work", "more"]


async def test_endless_work_begins_again_when_it_fails(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_core.tasks._FIRST_DELAY", 0.001)
    tasks, begun = Tasks(), asyncio.Queue[None]()

    async def work() -> None:
        begun.put_nowait(None)
        raise OSError("out of descriptors")

    with caplog.at_level(logging.ERROR):
        tasks.supervise(work, name="watch")
        for _ in range(3):
            await asyncio.wait_for(begun.get(), 30)
    await tasks.aclose()

    assert "task watch failed, and begins again in" in caplog.text
    assert caplog.text.count("Traceback") == 1


@pytest.mark.parametrize(
    ("end", "text"),
    [
        (asyncio.CancelledError(), "what it waited for was cancelled"),
        (SystemExit(3), "it was to end the process with status 3"),
    ],
)
async def test_endless_work_begins_again_when_it_ends_like_a_task_that_is_to_end(
    caplog: pytest.LogCaptureFixture, end: BaseException, text: str
) -> None:
    tasks, begun, again = Tasks(), 0, asyncio.Event()

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun == 1:
            raise end
        again.set()
        await asyncio.Event().wait()

    tasks.supervise(work, name="watch", backoff=Backoff(random.Random(1), first=0.001, longest=0.001))
    await asyncio.wait_for(again.wait(), 30)
    await asyncio.wait_for(tasks.aclose(), 30)

    assert text in caplog.text
    assert begun == 2


async def test_work_that_comes_to_its_end_does_not_begin_again() -> None:
    tasks, begun = Tasks(), 0

    async def work() -> None:
        nonlocal begun
        begun += 1

    tasks.supervise(work, name="restart")
    await asyncio.wait_for(tasks.wait(), 30)

    assert begun == 1


async def test_a_task_that_fails_is_counted_and_failing_until_it_goes_on_steadily() -> None:
    fails, goes_on, mended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        if not fails.is_set():
            fails.set()
            raise OSError("no descriptors")
        assert supervised.failing["follow x"] == "OSError: no descriptors"
        goes_on.set()
        while "follow x" in supervised.failing:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        mended.set()
        await asyncio.Event().wait()

    backoff = Backoff(random.Random(1), first=0.001)
    task = spawn(supervise(work, name="follow x", backoff=backoff, steady_after=0.01), name="follow x")
    async with asyncio.timeout(20):
        await goes_on.wait()
        await mended.wait()

    assert supervised.failures["follow x"] == 1
    task.cancel()
    await asyncio.wait({task})


async def test_a_failing_task_that_is_ended_is_not_failing_any_more() -> None:
    failed = asyncio.Event()

    async def work() -> None:
        failed.set()
        raise KeyError("Name")

    task = spawn(supervise(work, name="follow y"), name="follow y")
    await asyncio.wait_for(failed.wait(), 20)
    await asyncio.sleep(0)
    assert "follow y" in supervised.failing
    task.cancel()
    await asyncio.wait({task})

    assert "follow y" not in supervised.failing


async def test_a_supervised_task_ends_when_it_is_cancelled_though_its_clean_up_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tasks, begun = Tasks(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise KeyError("in the clean-up")

    task = tasks.supervise(work, name="follow z")
    async with asyncio.timeout(20):
        await begun.wait()

        await tasks.aclose()

    assert task.cancelled()
    assert "in the clean-up" in caplog.text


async def test_lets_others_run_first_and_then_only_when_its_slice_is_used_up() -> None:
    clock = ManualClock()
    yielder = Yielder(clock, 0.003)
    ran: list[str] = []
    loop = asyncio.get_running_loop()
    loop.call_soon(ran.append, "first")
    await yielder.checkpoint()
    assert ran == ["first"]
    ran.clear()
    loop.call_soon(ran.append, "other")

    clock.advance(0.002)
    await yielder.checkpoint()
    assert ran == []

    clock.advance(0.002)
    await yielder.checkpoint()
    assert ran == ["other"]


async def test_has_a_new_slice_after_each_pause() -> None:
    clock = ManualClock()
    yielder = Yielder(clock, 0.003)
    clock.advance(1)
    await yielder.checkpoint()
    ran: list[str] = []
    asyncio.get_running_loop().call_soon(ran.append, "other")

    clock.advance(0.002)
    await yielder.checkpoint()

    assert ran == []


async def test_a_long_list_is_worked_through_in_parts_with_turns_of_others_between() -> None:
    clock = ManualClock()
    yielder = Yielder(clock, 0.003)
    ran: list[int] = []
    found: list[int] = []

    async for part in yielder.parts(range(3500)):
        assert len(part) <= 1000
        found += part
        asyncio.get_running_loop().call_soon(ran.append, len(found))
        clock.advance(0.004)

    assert found == list(range(3500))
    assert ran == [1000, 2000, 3000]
