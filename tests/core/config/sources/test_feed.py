from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from random import Random

import pytest
from gateway_core.config import Document
from gateway_core.config.sources.feed import SourceFeed
from gateway_core.config.sources.interface import SourceState
from gateway_core.tasks import Tasks

A, B = (Document("a", "1"),), (Document("a", "2"),)


class Scripted:
    """A source that says or raises one thing after another, then waits."""

    def __init__(self, *runs: list[SourceState | Exception]) -> None:
        self.runs = list(runs)

    async def documents(self) -> AsyncIterator[SourceState]:
        for step in self.runs.pop(0) if self.runs else []:
            if isinstance(step, Exception):
                raise step
            yield step
        if not self.runs:
            await asyncio.Event().wait()


class Bench:
    def __init__(self, *runs: list[SourceState | Exception]) -> None:
        self.changes = 0
        self.changed = asyncio.Event()
        self.feed = SourceFeed("etcd://h/x", Scripted(*runs), Random(1), self.note)
        self.tasks = Tasks()

    def note(self) -> None:
        self.changes += 1
        self.changed.set()

    async def until(self, changes: int) -> None:
        self.tasks.spawn(self.feed.run(), name="feed")
        async with asyncio.timeout(20):
            while self.changes < changes:
                self.changed.clear()
                await self.changed.wait()


async def test_changes_are_told_and_repetitions_are_not() -> None:
    bench = Bench([SourceState(A), SourceState(A), SourceState(B)])

    await bench.until(2)

    assert bench.changes == 2
    assert bench.feed.documents == B
    assert not bench.feed.is_stale
    await bench.tasks.aclose()


async def test_a_failure_is_not_the_end_and_leaves_what_was_known(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench = Bench([SourceState(A), OSError("gone")], [SourceState(B)])

    await bench.until(2)

    assert bench.feed.documents == B
    assert caplog.messages == [
        "etcd://h/x is unreachable, its last documents stay in force: gone",
        "etcd://h/x responds again",
    ]
    await bench.tasks.aclose()


async def test_a_source_that_never_answered_is_stale_and_has_no_documents(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench([OSError("refused")], [OSError("refused")], [SourceState(A)])
    bench.tasks.spawn(bench.feed.run(), name="feed")

    await asyncio.wait_for(bench.feed.heard.wait(), 20)
    assert bench.feed.documents is None
    assert (bench.feed.is_stale, bench.feed.reason) == (True, "refused")
    await asyncio.wait_for(bench.feed.answered.wait(), 20)

    assert caplog.messages.count("etcd://h/x has not responded yet: refused") == 1
    await bench.tasks.aclose()


async def test_what_a_source_calls_stale_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    stale = SourceState(A, is_stale=True, reason="no answer")
    bench = Bench([SourceState(A), stale, stale, SourceState(B)])

    await bench.until(2)

    assert [message for message in caplog.messages if "no answer" in message] == [
        "etcd://h/x is unreachable, its last documents stay in force: no answer"
    ]
    await bench.tasks.aclose()


async def test_a_watch_that_ends_begins_anew() -> None:
    bench = Bench([SourceState(A)], [SourceState(B)])

    await bench.until(2)

    assert bench.feed.documents == B
    await bench.tasks.aclose()
