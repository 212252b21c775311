from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest
from gateway_core.config import ConfigError, ConfigProblem, Place
from gateway_core.config.sources import WatchSet
from gateway_core.errors import GatewayError, ProcessEndedError
from gateway_core.reload.bundle import ConfigBundle, ValidationFailedError, ValidationHungError, Verdict
from gateway_core.reload.history import State
from gateway_core.reload.pipeline import Change, Pipeline
from gateway_core.tasks import Tasks

PROBLEM = ConfigProblem(Place("g.yaml", 1, 2), "workers", "is wrong", code="value.invalid")


class Bench:
    """A pipeline with a validation and processes that do as the test says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.validated = 0
        self.applied: list[str] = []
        self.answer: Verdict | Exception = Verdict(WatchSet.of([path]), ConfigBundle("v", ()))
        self.answers: list[Verdict] = []
        """Those that come before that one."""
        self.failure: Exception | None = None
        self.late_failure: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.changed = asyncio.Event()
        self.steps: list[str] = []
        self.concluding = asyncio.Event()
        self.conclusion = asyncio.Event()
        self.conclusion.set()
        self.is_installing = False
        self.pipeline = Pipeline(
            [path],
            validate=self.validate,
            prepare=self.prepare,
            fall_back=self.fall_back,
            is_installing=lambda: self.is_installing,
        )

    async def validate(self, paths: Sequence[Path]) -> Verdict:
        self.validated += 1
        self.changed.set()
        await self.gate.wait()
        if self.answers:
            return self.answers.pop(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def fall_back(self, problems: Collection[ConfigProblem]) -> Verdict | None:
        self.steps.append(f"without {len(problems)}")
        return None

    async def prepare(self, bundle: ConfigBundle) -> Change:
        if self.failure is not None:
            raise self.failure
        self.steps.append("prepared")

        async def commit() -> str:
            if self.late_failure is not None:
                raise self.late_failure
            self.applied.append(bundle.version)
            self.changed.set()
            return "3 routes changed"

        async def discard() -> None:
            self.steps.append("discarded")

        async def conclude(changes: str) -> str:
            self.concluding.set()
            await self.conclusion.wait()
            return changes

        return Change(commit, discard, conclude)

    async def until(self, reloads: int) -> None:
        async with asyncio.timeout(20):
            while len(self.applied) < reloads:
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    path = tmp_path / "gateway.yaml"
    path.write_text("a")
    return Bench(path)


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


async def until_logged(caplog: pytest.LogCaptureFixture, text: str) -> None:
    async with asyncio.timeout(20):
        while text not in caplog.text:  # noqa: ASYNC110  # a log has no event
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (OSError(errno.EMFILE, "Too many open files"), None),
        (None, OSError(errno.ENOMEM, "Out of memory")),
    ],
)
async def test_a_reload_that_the_system_was_short_for_is_tried_again(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    answer: Exception | None,
    failure: Exception | None,
) -> None:
    monkeypatch.setattr("gateway_core.reload.pipeline.TRY_AGAIN_AFTER", 0.01)
    tasks = Tasks()
    tasks.supervise(bench.pipeline.run, name="reload")
    good = bench.answer
    bench.answer, bench.failure = answer or good, failure
    with caplog.at_level(logging.ERROR, "gateway.config"):
        bench.pipeline.request("SIGHUP")
        await until_logged(caplog, "attempted again")

    bench.answer, bench.failure = good, None
    await bench.until(1)

    await tasks.aclose()


@pytest.mark.parametrize(
    ("answer", "failure", "what"),
    [
        (None, ProcessEndedError("worker 0 ended while it prepared the configuration"), "applied"),
        (ValidationFailedError("validation ended with status -9 and no verdict"), None, "validated"),
    ],
)
async def test_a_process_that_ends_meanwhile_costs_no_edit_and_one_that_always_ends_no_endless_attempts(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    answer: Exception | None,
    failure: Exception | None,
    what: str,
) -> None:
    monkeypatch.setattr("gateway_core.reload.pipeline.TRY_AGAIN_AFTER", 0.01)
    tasks = Tasks()
    tasks.supervise(bench.pipeline.run, name="reload")
    good = bench.answer
    bench.answer, bench.failure = answer or good, failure
    with caplog.at_level(logging.ERROR, "gateway.config"):
        bench.pipeline.request("SIGHUP")
        await until_logged(caplog, f"not {what}, the old one stays in force")
    assert caplog.text.count("attempted again") == 3

    bench.answer, bench.failure = good, None
    bench.pipeline.request("SIGHUP")
    await bench.until(1)

    await tasks.aclose()


async def test_what_is_rejected_while_plugins_are_installed_is_validated_again(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = Tasks()
    tasks.supervise(bench.pipeline.run, name="reload")
    bench.answers, bench.is_installing = [Verdict(WatchSet(), problems=(PROBLEM,))], True

    bench.pipeline.request("gateway.yaml changed")
    await bench.until(1)

    assert "rejected" not in caplog.text
    await tasks.aclose()


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (Verdict(WatchSet(), problems=(PROBLEM,)), None),
        (None, ConfigError([PROBLEM])),
        (None, GatewayError("worker 0 has no module 'zoo'")),
    ],
)
async def test_an_installation_that_goes_on_costs_no_edit(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    answer: Verdict | None,
    failure: Exception | None,
) -> None:
    monkeypatch.setattr("gateway_core.reload.pipeline.TRY_AGAIN_AFTER", 0.01)
    tasks = Tasks()
    tasks.supervise(bench.pipeline.run, name="reload")
    good, bench.is_installing = bench.answer, True
    bench.answer, bench.failure = answer or good, failure
    bench.pipeline.request("gateway.yaml changed")
    await until_logged(caplog, "attempted again")

    bench.answer, bench.failure, bench.is_installing = good, None, False
    await bench.until(1)

    await tasks.aclose()


async def test_documents_that_are_rejected_while_plugins_are_installed_are_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_core.reload.pipeline.TRY_AGAIN_AFTER", 0.01)
    tasks = Tasks()
    tasks.supervise(bench.pipeline.run, name="reload")
    bench.answers, bench.is_installing = [Verdict(WatchSet(), ConfigBundle("v", ()), (PROBLEM,))], True

    bench.pipeline.request("a source changed")
    await bench.until(2)

    await tasks.aclose()


async def test_a_shortage_that_a_file_met_is_no_fault_of_the_configuration(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_core.reload.pipeline.TRY_AGAIN_AFTER", 0.01)
    tasks = Tasks()
    tasks.supervise(bench.pipeline.run, name="reload")
    bench.failure = GatewayError("cannot read 'c.pem': too many open files")
    bench.failure.__cause__ = OSError(errno.EMFILE, "Too many open files")
    bench.pipeline.request("SIGHUP")
    async with asyncio.timeout(20):
        while bench.validated < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    bench.failure = None
    await bench.until(1)

    await tasks.aclose()


async def test_a_reload_that_fails_for_no_known_reason_is_still_to_be_done(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_core.tasks._FIRST_DELAY", 0.01)
    tasks = Tasks()
    tasks.supervise(bench.pipeline.run, name="reload")
    good = bench.answer
    bench.answer = ValueError("a defect")
    bench.pipeline.request("SIGHUP")
    async with asyncio.timeout(20):
        while bench.validated < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    bench.answer = good
    await bench.until(1)

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
