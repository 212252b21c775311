"""The first configuration, before the pipeline runs: it may be in the middle of being written."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext

import pytest
from gateway_core.config.sources import WatchSet
from gateway_core.reload import pipeline
from gateway_core.reload.bundle import ConfigBundle, ValidationFailedError, Verdict

from tests.core.reload.conftest import PROBLEM, Bench


async def test_a_first_configuration_that_is_being_written_is_waited_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "_WRITTEN_ON", 20.0)  # however long a busy machine takes to notice a change
    rejected = Verdict(WatchSet.of([bench.path]), problems=(PROBLEM,))
    bench.answers = [rejected, rejected]

    verdict = await bench.pipeline.first()
    written = asyncio.ensure_future(bench.pipeline.until_written(verdict))  # noqa: TID251
    while not written.done() and bench.validated < 3:
        bench.path.write_text(f"part {bench.validated}")
        await asyncio.sleep(0.05)

    assert (await written).bundle is not None


async def test_a_first_configuration_that_stays_as_it_is_is_rejected_as_it_is(bench: Bench) -> None:
    bench.answer = Verdict(WatchSet.of([bench.path]), problems=(PROBLEM,))

    verdict = await bench.pipeline.until_written(await bench.pipeline.first())

    assert (verdict.problems, bench.validated) == ((PROBLEM,), 1)


async def test_a_pinned_version_needs_no_verdict_on_the_files(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[ConfigBundle] = []

    async def hold(verdict: Verdict) -> Verdict:
        return Verdict(verdict.watch, pinned[0]) if pinned else verdict

    monkeypatch.setattr(bench.pipeline, "_hold", hold)
    bench.answer = ValidationFailedError("the validating process has ended")
    with pytest.raises(ValidationFailedError, match="has ended"):
        await bench.pipeline.first()

    pinned.append(ConfigBundle("pinned", ()))

    assert (await bench.pipeline.first()).bundle == pinned[0]
    assert (await bench.pipeline.apply("rollback", bench.prepare, nullcontext())).is_ok
    assert bench.applied == ["pinned"]
