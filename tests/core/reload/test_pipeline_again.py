"""Reloads that are attempted again, since what failed says nothing of the configuration."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from gateway_core.config import ConfigError
from gateway_core.config.sources import WatchSet
from gateway_core.errors import GatewayError, ProcessEndedError
from gateway_core.reload.bundle import ConfigBundle, ValidationFailedError, Verdict
from gateway_core.tasks import Tasks

from tests.core.reload.conftest import PROBLEM, Bench, until_logged


@pytest.fixture(autouse=True)
async def reloading(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Run the pipeline, with pauses before further attempts that are hardly any."""
    monkeypatch.setattr("gateway_core.reload.pipeline.TRY_AGAIN_AFTER", 0.01)
    monkeypatch.setattr("gateway_core.tasks._FIRST_DELAY", 0.01)
    tasks = Tasks()
    tasks.supervise(bench.pipeline.run, name="reload")
    yield
    await tasks.aclose()


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (OSError(errno.EMFILE, "Too many open files"), None),
        (None, OSError(errno.ENOMEM, "Out of memory")),
    ],
)
async def test_a_reload_that_the_system_was_short_for_is_tried_again(
    bench: Bench,
    caplog: pytest.LogCaptureFixture,
    answer: Exception | None,
    failure: Exception | None,
) -> None:
    good = bench.answer
    bench.answer, bench.failure = answer or good, failure
    with caplog.at_level(logging.ERROR, "gateway.config"):
        bench.pipeline.request("SIGHUP")
        await until_logged(caplog, "attempted again")

    bench.answer, bench.failure = good, None
    await bench.until(1)


@pytest.mark.parametrize(
    ("answer", "failure", "what"),
    [
        (None, ProcessEndedError("worker 0 ended while it prepared the configuration"), "applied"),
        (ValidationFailedError("validation ended with status -9 and no verdict"), None, "validated"),
    ],
)
async def test_a_process_that_ends_meanwhile_costs_no_edit_and_one_that_always_ends_no_endless_attempts(
    bench: Bench,
    caplog: pytest.LogCaptureFixture,
    answer: Exception | None,
    failure: Exception | None,
    what: str,
) -> None:
    good = bench.answer
    bench.answer, bench.failure = answer or good, failure
    with caplog.at_level(logging.ERROR, "gateway.config"):
        bench.pipeline.request("SIGHUP")
        await until_logged(caplog, f"not {what}, the old one stays in force")
    assert caplog.text.count("attempted again") == 3

    bench.answer, bench.failure = good, None
    bench.pipeline.request("SIGHUP")
    await bench.until(1)


async def test_a_process_that_ended_in_an_earlier_reload_is_not_counted_against_a_later_edit(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    ended = ValidationFailedError("validation ended with status -9 and no verdict")
    for _ in range(5):  # each time one process ends, and the next finds problems
        rejected = caplog.text.count("rejected")
        bench.answers = [ended, Verdict(WatchSet(), problems=(PROBLEM,))]
        bench.pipeline.request("gateway.yaml changed")
        async with asyncio.timeout(20):
            while caplog.text.count("rejected") == rejected:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    assert caplog.text.count("attempted again") == 5
    assert "not validated, the old one" not in caplog.text


async def test_edits_during_a_shortage_make_one_further_attempt_with_few_reasons(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_core.reload.pipeline.TRY_AGAIN_AFTER", 3600.0)
    attempts: list[Callable[[], object]] = []
    loop = asyncio.get_running_loop()
    call_later = loop.call_later

    def held(delay: float, callback: Callable[..., object], *arguments: Any) -> Any:
        return call_later(delay, callback, *arguments) if delay < 3600 else attempts.append(callback)

    monkeypatch.setattr(loop, "call_later", held)
    good, bench.answer = bench.answer, OSError(errno.EMFILE, "Too many open files")
    for number in range(30):
        outcome = await bench.pipeline.reload(f"{number}.yaml changed")
        assert not outcome.is_ok
    bench.answer = good
    assert len(attempts) == 1
    attempts[0]()
    await bench.until(1)

    assert caplog.text.count("attempted again") == 30
    assert bench.pipeline.history.trigger == ", ".join(f"{number}.yaml changed" for number in range(5))


async def test_what_is_rejected_while_plugins_are_installed_is_validated_again(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.answers, bench.is_installing = [Verdict(WatchSet(), problems=(PROBLEM,))], True

    bench.pipeline.request("gateway.yaml changed")
    await bench.until(1)

    assert "rejected" not in caplog.text


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
    caplog: pytest.LogCaptureFixture,
    answer: Verdict | None,
    failure: Exception | None,
) -> None:
    good, bench.is_installing = bench.answer, True
    bench.answer, bench.failure = answer or good, failure
    bench.pipeline.request("gateway.yaml changed")
    await until_logged(caplog, "attempted again")

    bench.answer, bench.failure, bench.is_installing = good, None, False
    await bench.until(1)


async def test_documents_that_are_rejected_while_plugins_are_installed_are_tried_again(bench: Bench) -> None:
    bench.answers, bench.is_installing = [Verdict(WatchSet(), ConfigBundle("v", ()), (PROBLEM,))], True

    bench.pipeline.request("a source changed")
    await bench.until(2)


async def test_a_shortage_that_a_file_met_is_no_fault_of_the_configuration(bench: Bench) -> None:
    bench.failure = GatewayError("cannot read 'c.pem': too many open files")
    bench.failure.__cause__ = OSError(errno.EMFILE, "Too many open files")
    bench.pipeline.request("SIGHUP")
    async with asyncio.timeout(20):
        while bench.validated < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    bench.failure = None
    await bench.until(1)


async def test_a_reload_that_fails_for_no_known_reason_is_still_to_be_done(bench: Bench) -> None:
    good = bench.answer
    bench.answer = ValueError("a defect")
    bench.pipeline.request("SIGHUP")
    async with asyncio.timeout(20):
        while bench.validated < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    bench.answer = good
    await bench.until(1)
