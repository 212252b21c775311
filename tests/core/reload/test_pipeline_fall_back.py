"""What is left of a change whose documents cannot all be put in force."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest
from gateway_core.config import ConfigError, ConfigProblem
from gateway_core.config.sources import WatchSet
from gateway_core.errors import GatewayError
from gateway_core.reload.bundle import ConfigBundle, Verdict
from gateway_core.reload.history import State
from gateway_core.reload.pipeline import Change, Pipeline
from gateway_core.tasks import Tasks

from tests.core.reload.conftest import PROBLEM, Bench


def verdict(version: str, *problems: ConfigProblem) -> Verdict:
    return Verdict(WatchSet(), ConfigBundle(version, ()), problems)


async def put_in_force(
    path: Path, following: Verdict | None, bad: set[str]
) -> tuple[str, tuple[ConfigProblem, ...], str]:
    """Put configurations in force of which some cannot be prepared, with one validation to fall back to."""

    async def prepare(bundle: ConfigBundle) -> Change:
        if bundle.version in bad:
            raise ConfigError([PROBLEM])

        async def commit() -> str:
            return bundle.version

        return Change(commit, commit)  # type: ignore[arg-type]  # what discarding returns is not used

    async def fall_back(problems: Collection[ConfigProblem]) -> Verdict | None:
        assert list(problems) == [PROBLEM]
        return following

    async def validate(_: Sequence[Path]) -> Verdict:
        raise AssertionError

    pipeline = Pipeline([path], validate=validate, prepare=prepare, fall_back=fall_back)
    return await pipeline.put_in_force(verdict("new"), prepare)


@pytest.mark.parametrize("failure", [ConfigError([PROBLEM]), GatewayError("a worker ended"), ValueError("a defect")])
async def test_what_cannot_be_committed_is_discarded(bench: Bench, failure: Exception) -> None:
    bench.late_failure = failure

    with pytest.raises(type(failure)):
        await bench.pipeline.put_in_force(verdict("new"), bench.prepare)

    assert bench.steps[:2] == ["prepared", "discarded"]
    assert bench.pipeline.history.state is State.PREPARED


async def test_what_cannot_be_prepared_is_left_out_like_what_is_not_valid(tmp_path: Path) -> None:
    assert await put_in_force(tmp_path, verdict("less", PROBLEM), {"new"}) == ("less", (PROBLEM,), "less")


async def test_the_log_names_the_version_that_is_in_force_after_a_document_was_left_out(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    async def prepare(bundle: ConfigBundle) -> Change:
        if bundle.version == "whole":
            raise ConfigError([PROBLEM])
        return await bench.prepare(bundle)

    async def fall_back(_: Collection[ConfigProblem]) -> Verdict | None:
        return verdict("less", PROBLEM)

    bench.answer = verdict("whole")
    pipeline = Pipeline([bench.path], validate=bench.validate, prepare=prepare, fall_back=fall_back)
    tasks = Tasks()
    caplog.set_level(logging.INFO)
    tasks.spawn(pipeline.run(), name="reload")

    outcome = await asyncio.wait_for(pipeline.reload("edit"), 20)

    assert outcome.problems == (PROBLEM,)
    (line,) = [record for record in caplog.records if "configuration in force" in record.getMessage()]
    assert vars(line)["fields"]["version"] == "less"
    await tasks.aclose()


@pytest.mark.parametrize("following", [None, Verdict(WatchSet(), problems=(PROBLEM,))])
async def test_a_change_of_which_nothing_can_be_prepared_is_rejected(tmp_path: Path, following: Verdict | None) -> None:
    with pytest.raises(ConfigError):
        await put_in_force(tmp_path, following, {"new"})
