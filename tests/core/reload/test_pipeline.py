from __future__ import annotations

import asyncio
import logging

import pytest
from gateway_core.config import ConfigError
from gateway_core.config.sources import WatchSet
from gateway_core.errors import GatewayError
from gateway_core.reload.bundle import ValidationHungError, Verdict
from gateway_core.reload.history import State
from gateway_core.tasks import Tasks

from tests.core.reload.conftest import PROBLEM, Bench, until_logged


async def test_requests_during_a_reload_make_one_more(bench: Bench) -> None:
    tasks = Tasks()
    tasks.spawn(bench.pipeline.run(), name="reload")
    bench.gate.clear()
    bench.pipeline.request("first")
    await bench.changed.wait()

    for _ in range(10):
        bench.pipeline.request("again")
    bench.gate.set()
    await bench.until(2)
    await asyncio.sleep(0)

    assert bench.validated == 2
    await tasks.aclose()


async def test_a_reload_names_all_that_requested_it(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    tasks = Tasks()
    tasks.spawn(bench.pipeline.run(), name="reload")
    bench.gate.clear()
    bench.pipeline.request("first")
    await bench.changed.wait()

    with caplog.at_level(logging.INFO, "gateway.config"):
        for why in ("SIGHUP", "a.yaml changed", "SIGHUP"):
            bench.pipeline.request(why)
        bench.gate.set()
        async with asyncio.timeout(20):
            while len(caplog.records) < 2:  # noqa: ASYNC110  # a log has no event
                await asyncio.sleep(0.01)

    assert "SIGHUP, a.yaml changed: configuration in force" in caplog.text
    await tasks.aclose()


async def test_what_is_in_force_is_not_taken_back_when_the_program_ends_before_all_that_follows(bench: Bench) -> None:
    tasks = Tasks()
    bench.conclusion.clear()
    tasks.supervise(bench.pipeline.run, name="reload")
    bench.pipeline.request("first")
    async with asyncio.timeout(20):
        await bench.concluding.wait()

        await tasks.aclose()

    assert (bench.applied, bench.steps) == (["v"], ["prepared"])
    assert bench.pipeline.history.state is State.COMMITTED


async def test_a_change_of_a_file_reloads(bench: Bench) -> None:
    tasks = Tasks()
    await bench.pipeline.first()
    tasks.spawn(bench.pipeline.run(), name="reload")
    tasks.spawn(bench.pipeline.watch(), name="watch")

    bench.path.write_text("b")
    await bench.until(1)

    await tasks.aclose()


@pytest.mark.parametrize(
    ("answer", "failure", "told"),
    [
        (Verdict(WatchSet(), problems=(PROBLEM,)), None, "g.yaml:1:2: workers: is wrong"),
        (ValidationHungError("it hangs"), None, "it hangs"),
        (None, ConfigError([PROBLEM]), "g.yaml:1:2: workers: is wrong"),
        (None, GatewayError("cannot listen"), "cannot listen"),
    ],
)
async def test_whatever_goes_wrong_is_told_and_the_next_reload_works(
    bench: Bench,
    caplog: pytest.LogCaptureFixture,
    answer: Verdict | Exception | None,
    failure: Exception | None,
    told: str,
) -> None:
    tasks = Tasks()
    tasks.spawn(bench.pipeline.run(), name="reload")
    good = bench.answer
    bench.answer, bench.failure = answer or good, failure
    with caplog.at_level(logging.ERROR, "gateway.config"):
        bench.pipeline.request("SIGHUP")
        async with asyncio.timeout(20):
            while not caplog.records:  # noqa: ASYNC110  # a log has no event
                await asyncio.sleep(0.01)
    assert "the old one stays in force" in caplog.text
    assert told in caplog.text

    bench.answer, bench.failure = good, None
    bench.pipeline.request("SIGHUP")
    await bench.until(1)

    await tasks.aclose()


async def test_a_part_of_what_is_being_written_is_not_reported(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    tasks = Tasks()
    tasks.spawn(bench.pipeline.run(), name="reload")
    good, bench.answer = bench.answer, Verdict(WatchSet(), problems=(PROBLEM,))
    bench.gate.clear()
    bench.pipeline.request("gateway.yaml changed")
    await bench.changed.wait()

    bench.pipeline.request("gateway.yaml changed")
    bench.gate.set()
    while bench.validated < 2:
        bench.changed.clear()
        await bench.changed.wait()
        bench.answer = good
        bench.pipeline.request("gateway.yaml changed")
    bench.answer = good
    await bench.until(1)

    assert "rejected" not in caplog.text
    await tasks.aclose()


async def test_a_reload_names_what_it_was_asked_for_while_it_waited_for_the_rest_of_a_file(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = Tasks()
    tasks.spawn(bench.pipeline.run(), name="reload")
    bench.answers = [Verdict(WatchSet(), problems=(PROBLEM,))]
    bench.gate.clear()
    bench.pipeline.request("gateway.yaml changed")
    await bench.changed.wait()

    bench.pipeline.request("SIGHUP")
    bench.gate.set()
    with caplog.at_level(logging.INFO, "gateway.config"):
        await bench.until(1)
        await until_logged(caplog, "in force")

    assert "gateway.yaml changed, SIGHUP: configuration in force" in caplog.text
    assert bench.pipeline.history.trigger == "gateway.yaml changed, SIGHUP"
    await tasks.aclose()


async def test_who_asks_for_a_reload_can_wait_for_its_outcome(bench: Bench) -> None:
    tasks = Tasks()
    tasks.supervise(bench.pipeline.run, name="reload")

    async with asyncio.timeout(20):
        done = await bench.pipeline.reload("SIGHUP")
        assert (done.result, done.state, done.reason) == ("ok", State.COMMITTED, "3 routes changed")

        bench.answer = Verdict(WatchSet(), problems=(PROBLEM,))
        rejected = await bench.pipeline.reload("SIGHUP")
    assert (rejected.result, rejected.state, rejected.problems) == ("rejected", State.CHANGED, (PROBLEM,))
    assert bench.pipeline.history.last is bench.pipeline.history.last_failure is rejected
    await tasks.aclose()


async def test_a_reload_that_is_under_way_is_not_the_one_that_was_asked_for(bench: Bench) -> None:
    tasks = Tasks()
    bench.gate.clear()
    tasks.supervise(bench.pipeline.run, name="reload")
    bench.pipeline.request("a file changed")
    await bench.changed.wait()
    asked = tasks.spawn(bench.pipeline.reload("SIGHUP"), name="ask")
    await asyncio.sleep(0)

    bench.gate.set()

    async with asyncio.timeout(20):
        await asked
    assert len(bench.applied) == 2
    await tasks.aclose()


async def test_who_waits_for_an_outcome_is_told_that_the_program_ends(bench: Bench) -> None:
    tasks, waiting = Tasks(), Tasks()
    bench.gate.clear()
    tasks.supervise(bench.pipeline.run, name="reload")
    outcome: list[str] = []

    async def ask() -> None:
        try:
            await bench.pipeline.reload("SIGHUP")
        except GatewayError as error:
            outcome.append(str(error))

    asked = waiting.spawn(ask(), name="ask")
    await bench.changed.wait()

    await tasks.aclose()

    await asked
    assert outcome == ["the program ends, or another one takes over"]


async def test_a_reload_that_has_a_defect_is_an_outcome_as_well(bench: Bench) -> None:
    tasks = Tasks()
    bench.answer = ValueError("a defect")
    tasks.supervise(bench.pipeline.run, name="reload")

    async with asyncio.timeout(20):
        outcome = await bench.pipeline.reload("SIGHUP")

    assert (outcome.result, outcome.reason) == ("failed", "a defect: ValueError('a defect')")
    await tasks.aclose()


@pytest.mark.parametrize("moment", ["requested", "edited"])
async def test_what_comes_while_another_program_takes_over_is_left_to_that_one(bench: Bench, moment: str) -> None:
    running, following = Tasks(), Bench(bench.path)
    await bench.pipeline.first()
    running.spawn(bench.pipeline.run(), name="reload")
    async with bench.pipeline.turn:
        if moment == "requested":
            bench.pipeline.request("SIGHUP")
        await asyncio.sleep(0)
        bench.pipeline.is_left = True
    await asyncio.sleep(0)
    await running.aclose()
    left = bench.pipeline.leave()
    if moment == "edited":
        bench.path.write_text("edited")

    tasks = Tasks()
    await following.pipeline.follow(left)
    tasks.spawn(following.pipeline.run(), name="reload")
    tasks.spawn(following.pipeline.watch(), name="watch")
    await following.until(1)

    assert bench.applied == []
    assert following.pipeline.history.triggers == {"SIGHUP" if moment == "requested" else "gateway.yaml changed"}
    await tasks.aclose()
