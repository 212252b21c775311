from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest
from gateway_core.config import ConfigError, ConfigProblem, Place
from gateway_core.config.sources import WatchSet
from gateway_core.errors import GatewayError
from gateway_core.reload.bundle import ConfigBundle
from gateway_core.reload.record import Stage
from gateway_core.reload.reloader import Reloader
from gateway_core.reload.validation import ValidationFailedError, ValidationNotStartedError, Verdict
from gateway_core.tasks import Tasks

PROBLEM = ConfigProblem(Place("g.yaml", 1, 2), "workers", "is wrong", code="value.invalid")


class Bench:
    """A reloader with a validation and an application that do as the test says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.validated = 0
        self.applied: list[str] = []
        self.answer: Verdict | Exception = Verdict(WatchSet.of([path]), ConfigBundle("v", ()))
        self.failure: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.changed = asyncio.Event()
        self.reloader = Reloader([path], self.apply, validate=self.validate)

    async def validate(self, paths: Sequence[Path]) -> Verdict:
        self.validated += 1
        self.changed.set()
        await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def apply(self, bundle: ConfigBundle) -> str:
        if self.failure is not None:
            raise self.failure
        self.applied.append(bundle.version)
        self.changed.set()
        return "3 routes changed"

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
    tasks.spawn(bench.reloader.run(), name="reload")
    bench.gate.clear()
    bench.reloader.request("first")
    await bench.changed.wait()

    for _ in range(10):
        bench.reloader.request("again")
    bench.gate.set()
    await bench.until(2)
    await asyncio.sleep(0)

    assert bench.validated == 2
    await tasks.aclose()


async def test_a_change_of_a_file_reloads(bench: Bench) -> None:
    tasks = Tasks()
    await bench.reloader.first()
    tasks.spawn(bench.reloader.run(), name="reload")
    tasks.spawn(bench.reloader.watch(), name="watch")

    bench.path.write_text("b")
    await bench.until(1)

    await tasks.aclose()


@pytest.mark.parametrize(
    ("answer", "failure", "told"),
    [
        (Verdict(WatchSet(), problems=(PROBLEM,)), None, "g.yaml:1:2: workers: is wrong"),
        (ValidationFailedError("it crashed"), None, "it crashed"),
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
    tasks.spawn(bench.reloader.run(), name="reload")
    good = bench.answer
    bench.answer, bench.failure = answer or good, failure
    with caplog.at_level(logging.ERROR, "gateway.config"):
        bench.reloader.request("SIGHUP")
        async with asyncio.timeout(20):
            while not caplog.records:  # noqa: ASYNC110  # a log has no event
                await asyncio.sleep(0.01)
    assert "the old one stays in force" in caplog.text
    assert told in caplog.text

    bench.answer, bench.failure = good, None
    bench.reloader.request("SIGHUP")
    await bench.until(1)

    await tasks.aclose()


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (ValidationNotStartedError("out of descriptors"), None),
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
    monkeypatch.setattr("gateway_core.reload.reloader.TRY_AGAIN_AFTER", 0.01)
    tasks = Tasks()
    tasks.supervise(bench.reloader.run, name="reload")
    good = bench.answer
    bench.answer, bench.failure = answer or good, failure
    with caplog.at_level(logging.ERROR, "gateway.config"):
        bench.reloader.request("SIGHUP")
        async with asyncio.timeout(20):
            while "tried again" not in caplog.text:  # noqa: ASYNC110  # a log has no event
                await asyncio.sleep(0.01)

    bench.answer, bench.failure = good, None
    await bench.until(1)

    await tasks.aclose()


async def test_a_shortage_that_a_file_met_is_no_fault_of_the_configuration(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_core.reload.reloader.TRY_AGAIN_AFTER", 0.01)
    tasks = Tasks()
    tasks.supervise(bench.reloader.run, name="reload")
    bench.failure = GatewayError("cannot read 'c.pem': too many open files")
    bench.failure.__cause__ = OSError(errno.EMFILE, "Too many open files")
    bench.reloader.request("SIGHUP")
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
    tasks.supervise(bench.reloader.run, name="reload")
    good = bench.answer
    bench.answer = ValueError("a defect")
    bench.reloader.request("SIGHUP")
    async with asyncio.timeout(20):
        while bench.validated < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    bench.answer = good
    await bench.until(1)

    await tasks.aclose()


def verdict(version: str, *problems: ConfigProblem) -> Verdict:
    return Verdict(WatchSet(), ConfigBundle(version, ()), problems)


async def put_in_force(path: Path, following: Verdict | None, bad: set[str]) -> tuple[str, tuple[ConfigProblem, ...]]:
    """Apply configurations of which some cannot be prepared, with one validation to fall back to."""

    async def apply(bundle: ConfigBundle) -> str:
        if bundle.version in bad:
            raise ConfigError([PROBLEM])
        return bundle.version

    async def fall_back(problems: Collection[ConfigProblem]) -> Verdict | None:
        assert list(problems) == [PROBLEM]
        return following

    reloader = Reloader([path], apply, fall_back=fall_back)
    return await reloader.put_in_force(verdict("new"), apply)


async def test_what_cannot_be_prepared_is_left_out_like_what_is_not_valid(tmp_path: Path) -> None:
    assert await put_in_force(tmp_path, verdict("less", PROBLEM), {"new"}) == ("less", (PROBLEM,))


@pytest.mark.parametrize("following", [None, Verdict(WatchSet(), problems=(PROBLEM,))])
async def test_a_change_of_which_nothing_can_be_prepared_is_rejected(tmp_path: Path, following: Verdict | None) -> None:
    with pytest.raises(ConfigError):
        await put_in_force(tmp_path, following, {"new"})


async def test_the_last_reload_is_recorded(bench: Bench) -> None:
    tasks = Tasks()
    tasks.supervise(bench.reloader.run, name="reload")
    bench.reloader.request("SIGHUP")
    await bench.until(1)
    async with asyncio.timeout(20):
        while not bench.reloader.record.counts["ok"]:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert str(bench.reloader.record.stage) == Stage.COMMITTED

    bench.answer = Verdict(WatchSet(), problems=(PROBLEM,))
    bench.reloader.request("SIGHUP")
    async with asyncio.timeout(20):
        while not bench.reloader.record.counts["rejected"]:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    assert not bench.reloader.record.is_ok
    assert str(bench.reloader.record.stage) == Stage.CHANGED
    assert bench.reloader.record.problems == (PROBLEM,)
    await tasks.aclose()
