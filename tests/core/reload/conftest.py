from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest
from gateway_core.config import ConfigProblem, Place
from gateway_core.config.sources import WatchSet
from gateway_core.reload.bundle import ConfigBundle, Verdict
from gateway_core.reload.pipeline import Change, Pipeline

PROBLEM = ConfigProblem(Place("g.yaml", 1, 2), "workers", "is wrong", code="value.invalid")


class Bench:
    """A pipeline with a validation and processes that do as the test says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.validated = 0
        self.applied: list[str] = []
        self.answer: Verdict | Exception = Verdict(WatchSet.of([path]), ConfigBundle("v", ()))
        self.answers: list[Verdict | Exception] = []
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
        answer = self.answers.pop(0) if self.answers else self.answer
        if isinstance(answer, Exception):
            raise answer
        return answer

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


async def until_logged(caplog: pytest.LogCaptureFixture, text: str) -> None:
    async with asyncio.timeout(20):
        while text not in caplog.text:  # noqa: ASYNC110  # a log has no event
            await asyncio.sleep(0.01)
