from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from gateway_core.config import ConfigProblem, Document, Place
from gateway_core.config.sources import ConfigSource, SourceContext, SourceState, SourceUrl, WatchSet
from gateway_core.reload.bundle import ConfigBundle, Verdict
from gateway_core.reload.sources import Sources
from gateway_core.tasks import spawn

URLS = (SourceUrl.parse("mine://h/one"), SourceUrl.parse("mine://h/two"))


class Board:
    """A source whose documents the test sets."""

    def __init__(self) -> None:
        self.news: asyncio.Queue[SourceState | Exception] = asyncio.Queue()

    def put(self, **texts: str) -> None:
        self.news.put_nowait(SourceState(tuple(Document(name, text) for name, text in texts.items())))

    def fail(self, reason: str) -> None:
        self.news.put_nowait(OSError(reason))

    async def documents(self) -> AsyncIterator[SourceState]:
        while True:
            said = await self.news.get()
            if isinstance(said, Exception):
                raise said
            yield said


class Judge:
    """Finds every document bad that holds the word; counts."""

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []

    async def validate(self, paths: Sequence[Path], documents: Sequence[Document] = ()) -> Verdict:
        texts = {document.name: document.text for document in documents}
        self.seen.append(texts)
        problems = [
            ConfigProblem(Place(name, 1, 1), "routes", "is bad", code="value.invalid")
            for name, text in texts.items()
            if "bad" in text
        ]
        if "needs b" in texts.get("a", "") and "b" not in texts:
            problems.append(
                ConfigProblem(Place("a", 1, 1), "routes[0].target", "there is no b", code="upstream.unknown")
            )
        watch = WatchSet.of(paths)
        return Verdict(watch, problems=tuple(problems)) if problems else Verdict(watch, ConfigBundle(str(texts), ()))


class Bench:
    def __init__(self, state: Path, urls: tuple[SourceUrl, ...] = URLS[:1], patience: float = 20) -> None:
        self.boards = [Board() for _ in urls]
        self.judge = Judge()
        self.sources = Sources(urls, state, self.judge, open_sources=self.open, cold_start_wait=patience)
        self.reasons: asyncio.Queue[str] = asyncio.Queue()

    async def open(self, urls: Sequence[SourceUrl], context: SourceContext) -> Sequence[ConfigSource]:
        return self.boards

    async def begin(self, **texts: str) -> str | None:
        self.boards[0].put(**texts)
        await self.sources.start(self.reasons.put_nowait)
        await self.sources.ready()
        return await self.take()

    async def take(self) -> str | None:
        """Validate and put in force as the reloader does; return what is in force now."""
        verdict = await self.sources.validate([])
        if verdict.bundle is None:
            return None
        await self.sources.keep()
        return verdict.bundle.version


Make = Callable[..., Bench]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    made: list[Bench] = []

    def begin(*args: Any) -> Bench:
        made.append(Bench(tmp_path / "state", *args))
        return made[-1]

    yield begin
    for bench in made:
        await bench.sources.aclose()


async def next_reason(bench: Bench) -> str:
    return await asyncio.wait_for(bench.reasons.get(), 20)


async def test_a_burst_of_changes_is_one_request_that_names_them(make: Make) -> None:
    bench = make()
    assert await bench.begin(a="1") == "{'a': '1'}"

    for number in range(2, 12):
        bench.boards[0].put(a=str(number), b="1")

    assert await next_reason(bench) == "a, b changed"
    assert await bench.take() == "{'a': '11', 'b': '1'}"
    assert bench.reasons.empty()


async def test_changes_that_do_not_end_are_not_waited_out(make: Make) -> None:
    bench = make()
    await bench.begin(a="1")

    async def scribble() -> None:
        for number in range(1000):
            bench.boards[0].put(a=str(number + 2))
            await asyncio.sleep(0.02)

    scribbling = asyncio.ensure_future(scribble())  # noqa: TID251  # a test's own
    await next_reason(bench)
    assert not scribbling.done()
    scribbling.cancel()


async def test_what_was_validated_already_is_not_requested_again(make: Make) -> None:
    bench = make()
    await bench.begin(a="1")
    bench.boards[0].put(a="2")
    bench.boards[0].put(a="1")
    bench.boards[0].put(a="1", b="1")

    assert await next_reason(bench) == "b changed"


async def test_a_bad_document_stays_as_it_was_and_the_rest_changes(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    bench = make()
    await bench.begin(a="1", b="1")

    bench.boards[0].put(a="2", b="bad", c="routes: bad")
    await next_reason(bench)

    assert await bench.take() == "{'a': '2', 'b': '1'}"
    assert "documents rejected, their last good versions stay in force: b; " in caplog.text
    assert "documents rejected, left out as they were never in force: c\nb:1:1: routes: is bad" in caplog.text
    (status,) = bench.sources.status()
    assert status["rejected"] == ["b", "c"]

    bench.boards[0].put(a="2", b="3", c="3")
    await next_reason(bench)
    assert await bench.take() == "{'a': '2', 'b': '3', 'c': '3'}"
    assert bench.sources.status()[0]["rejected"] == []


async def test_a_broken_document_that_was_never_in_force_keeps_no_other_from_changing(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    bench = make()
    await bench.begin(a="1")

    bench.boards[0].put(a="2", b="routes: [bad")
    await next_reason(bench)

    assert await bench.take() == "{'a': '2'}"
    assert "documents rejected, left out as they were never in force: b\nb:1:1" in caplog.text
    assert bench.sources.status()[0]["rejected"] == ["b"]
    assert bench.sources.status()[0]["problems"] == ["b:1:1: routes: is bad"]


async def test_a_broken_document_that_was_in_force_stays_as_it_was(make: Make) -> None:
    bench = make()
    await bench.begin(a="1", b="routes: []")

    bench.boards[0].put(a="2", b="routes: [bad")
    await next_reason(bench)

    assert await bench.take() == "{'a': '2', 'b': 'routes: []'}"


async def test_a_start_logs_again_and_again_what_it_waits_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    boards, notices = [Board(), Board()], asyncio.Queue[str]()

    async def open_boards(urls: Sequence[SourceUrl], context: SourceContext) -> Sequence[ConfigSource]:
        return boards

    sources = Sources(URLS, tmp_path, Judge(), open_sources=open_boards, first_notice=0.01, next_notice=0.01)
    boards[0].put(a="1")
    boards[1].fail("connection refused")
    await sources.start(lambda _: None)
    ready = spawn(sources.ready(notices.put_nowait), name="be ready")
    async with asyncio.timeout(60):
        while await notices.get() != "waiting for mine://h/two: connection refused":
            pass
        assert await notices.get() == "waiting for mine://h/two: connection refused"
    assert not ready.done()
    lines = [record.message for record in caplog.records if "waiting for mine://h/two, without which" in record.message]
    assert lines[-1].endswith("s: connection refused")

    boards[1].put(b="1")
    async with asyncio.timeout(60):
        await ready
    await sources.aclose()


async def test_a_document_that_others_need_comes_back(make: Make) -> None:
    bench = make()
    await bench.begin(a="needs b", b="1", c="1")

    bench.boards[0].put(a="needs b", c="2")
    await next_reason(bench)

    assert await bench.take() == "{'a': 'needs b', 'b': '1', 'c': '2'}"


async def test_when_all_that_is_new_is_bad_nothing_is_applied(make: Make) -> None:
    bench = make()
    await bench.begin(a="1")

    bench.boards[0].put(a="bad")
    await next_reason(bench)

    assert await bench.take() is None
    assert [seen["a"] for seen in bench.judge.seen] == ["1", "bad"]
    assert bench.sources.status()[0]["rejected"] == ["a"]


async def test_a_first_start_leaves_out_a_bad_document_that_holds_only_routes(make: Make) -> None:
    bench = make()

    assert await bench.begin(a="routes: bad", b="1") == "{'b': '1'}"
    assert bench.sources.status()[0]["rejected"] == ["a"]


async def test_a_first_start_is_refused_if_a_document_for_all_is_bad(make: Make) -> None:
    bench = make()

    assert await bench.begin(a="plugins: bad", b="1") is None
    assert len(bench.judge.seen) == 1


async def test_a_source_that_becomes_empty_changes_nothing(make: Make) -> None:
    bench = make()
    await bench.begin(a="1")

    bench.boards[0].put()
    await next_reason(bench)
    verdict = await bench.sources.validate([])

    assert verdict.bundle is None
    assert [str(problem) for problem in verdict.problems] == ["mine://h/one: holds no configuration documents"]


async def test_a_start_without_the_source_serves_what_was_good_last(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    before = make()
    await before.begin(a="1", b="1")
    before.boards[0].put(a="2", b="bad")
    await next_reason(before)
    await before.take()

    bench = make()
    await bench.sources.start(bench.reasons.put_nowait)
    bench.boards[0].fail("connection refused")
    await bench.sources.ready()

    assert await bench.take() == "{'a': '2', 'b': '1'}"
    assert "mine://h/one is unreachable, its last good documents are used" in caplog.text
    assert bench.sources.status()[0]["stale"]

    bench.boards[0].put(a="3")
    assert await next_reason(bench) == "a, b changed"
    assert await bench.take() == "{'a': '3'}"
    assert not bench.sources.status()[0]["stale"]


async def test_a_silent_source_is_not_waited_for_if_something_was_kept(make: Make) -> None:
    await make().begin(a="1")

    bench = make(URLS[:1], 0.05)
    await bench.sources.start(bench.reasons.put_nowait)
    await bench.sources.ready()

    assert await bench.take() == "{'a': '1'}"


async def test_a_start_without_anything_kept_waits_for_the_source(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    bench = make()
    await bench.sources.start(bench.reasons.put_nowait)
    bench.boards[0].fail("connection refused")
    ready = asyncio.ensure_future(bench.sources.ready())  # noqa: TID251  # a test's own
    await asyncio.wait_for(bench.sources._feeds[0].heard.wait(), 20)
    assert not ready.done()

    bench.boards[0].put(a="1")
    await asyncio.wait_for(ready, 20)

    assert await bench.take() == "{'a': '1'}"
    assert "mine://h/one has not responded yet: connection refused" in caplog.text


async def test_several_sources_are_one_configuration(make: Make) -> None:
    bench = make(URLS)
    bench.boards[1].put(b="1")
    assert await bench.begin(a="1") == "{'a': '1', 'b': '1'}"

    bench.boards[1].put(b="2")

    assert await next_reason(bench) == "b changed"
    assert await bench.take() == "{'a': '1', 'b': '2'}"


async def test_documents_of_one_name_in_sources_that_differ_in_options_are_all_in_force(make: Make) -> None:
    bench = make((SourceUrl.parse("mine://h/x?team=a"), SourceUrl.parse("mine://h/x?team=b")))
    bench.boards[1].put(a="of b")
    assert await bench.begin(a="of a") == "{'a': 'of a', 'a (2)': 'of b'}"
    bench.boards[1].put(a="bad")
    await next_reason(bench)
    assert await bench.take() is None
    found = [(each["source"], each["rejected"], len(each["problems"])) for each in bench.sources.status()]
    assert found == [("mine://h/x", [], 0), ("mine://h/x (2)", ["a (2)"], 1)]


async def test_a_damaged_state_file_is_no_obstacle(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = make()
    await first.begin(a="1")
    first.sources._store.path.write_text("{")

    assert await make().begin(a="2") == "{'a': '2'}"
    assert "cannot be used" in caplog.text


async def test_a_state_directory_that_cannot_be_written_is_told_and_no_obstacle(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").write_text("a file")
    caplog.set_level(logging.ERROR)

    assert await make().begin(a="1") == "{'a': '1'}"
    assert "cannot be kept in" in caplog.text


def found_in(name: str) -> ConfigProblem:
    return ConfigProblem(Place(name, 1, 1), "routes[0].plugins[0]", "cannot be started", code="plugin.start-failed")


async def test_a_document_that_cannot_be_prepared_stays_as_it_was_good_last(make: Make) -> None:
    bench = make()
    await bench.begin(a="1", b="1")
    bench.boards[0].put(a="2", b="2")
    await next_reason(bench)
    await bench.sources.validate([])

    verdict = await bench.sources.fall_back([found_in("b")])

    assert verdict is not None
    assert verdict.bundle is not None
    assert verdict.bundle.version == "{'a': '2', 'b': '1'}"
    await bench.sources.keep()
    (shown,) = bench.sources.status()
    assert shown["rejected"] == ["b"]
    assert any("cannot be started" in problem for problem in shown["problems"])


async def test_at_a_start_too_a_document_that_cannot_be_prepared_is_left_out(make: Make) -> None:
    bench = make()
    bench.boards[0].put(a="routes: []", b="upstreams: []")
    await bench.sources.start(bench.reasons.put_nowait)
    await bench.sources.ready()
    await bench.sources.validate([])

    verdict = await bench.sources.fall_back([found_in("b")])

    assert verdict is not None
    assert verdict.bundle is not None
    assert verdict.bundle.version == "{'a': 'routes: []'}"


async def test_a_change_that_cannot_be_prepared_as_a_whole_is_rejected(make: Make) -> None:
    bench = make()
    await bench.begin(a="1")
    bench.boards[0].put(a="2")
    await next_reason(bench)
    await bench.sources.validate([])

    assert await bench.sources.fall_back([found_in("a")]) is None

    (shown,) = bench.sources.status()
    assert shown["rejected"] == ["a"]
