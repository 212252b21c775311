from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from random import Random

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from gateway_core.clock import ManualClock, SystemClock
from gateway_core.config import Document
from gateway_core.config.source import SourceState
from gateway_core.config.sources import SourceContext, SourceUrl
from gateway_core.reload.source_feeds import Sessions, SourceError, SourceFeed, fetch_documents, open_sources
from gateway_core.tasks import Tasks


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="routes: []")

    application = web.Application()
    application.router.add_get("/g.yaml", answer)
    async with TestServer(application) as server:
        yield f"http://127.0.0.1:{server.port}/g.yaml"


async def test_documents_are_fetched_once(url: str) -> None:
    documents = await asyncio.to_thread(fetch_documents, [SourceUrl.parse(url)])

    assert [(document.name, document.text) for document in documents] == [(url, "routes: []")]


def test_nothing_is_fetched_from_nowhere() -> None:
    assert fetch_documents([]) == []


async def test_a_source_that_refuses_is_named_without_its_password(url: str) -> None:
    parsed = SourceUrl.parse(url.replace("://", "://me:word@").replace("g.yaml", "other.yaml"))

    with pytest.raises(SourceError, match="it responds 404") as raised:
        await asyncio.to_thread(fetch_documents, [parsed])

    assert raised.value.source == str(parsed)
    assert "word" not in str(raised.value)


async def test_a_source_that_is_silent_is_not_waited_for_forever() -> None:
    async def swallow(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    ended = asyncio.Event()
    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    silent = SourceUrl.parse(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/g.yaml")

    with pytest.raises(SourceError, match=r"does not respond within 0\.2 seconds"):
        await asyncio.to_thread(fetch_documents, [silent], timeout=0.2)

    ended.set()
    server.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense://h/x", "'nonsense' is no source of configuration: known are http, https"),
        ("https://h/x?interval=5", 'option interval: "5" is not a duration'),
        ("http://a,b/x", "needs exactly one host"),
    ],
)
async def test_a_url_that_cannot_work_is_refused(text: str, said: str) -> None:
    sessions = Sessions()
    context = SourceContext(SystemClock(), Random(1), {}, sessions.get)

    with pytest.raises(SourceError, match=said):
        await open_sources([SourceUrl.parse(text)], context)

    await sessions.aclose()


A, B = (Document("a", "1"),), (Document("a", "2"),)


class Scripted:
    """A source that says or raises one thing after another, then waits."""

    def __init__(self, *runs: list[SourceState | Exception]) -> None:
        self.runs = list(runs)
        self.is_waiting = asyncio.Event()

    async def documents(self) -> AsyncIterator[SourceState]:
        for step in self.runs.pop(0) if self.runs else []:
            if isinstance(step, Exception):
                raise step
            yield step
        if not self.runs:
            self.is_waiting.set()
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
    await asyncio.wait_for(bench.feed.responded.wait(), 20)

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


async def test_what_is_fetched_of_sources_that_differ_in_options_has_different_names() -> None:
    async def respond(request: web.Request) -> web.Response:
        return web.Response(text=f"description: {request.query['team']}")

    app = web.Application()
    app.add_routes([web.get("/g.yaml", respond)])
    async with TestServer(app) as server:
        url = str(server.make_url("/g.yaml"))
        urls = [SourceUrl.parse(f"{url}?query=team%3D{team}") for team in "ab"]
        documents = await asyncio.to_thread(fetch_documents, urls)

    assert [(each.name, each.text[-1]) for each in documents] == [(url, "a"), (f"{url} (2)", "b")]


async def test_documents_are_current_while_the_source_is_watched_and_as_old_as_its_failure_then() -> None:
    clock = ManualClock()
    source = Scripted([SourceState(A), OSError("gone")])
    feed = SourceFeed("etcd://h/x", source, Random(1), lambda: None, wall=clock.wall)
    tasks = Tasks()
    assert feed.confirmed_at == 0

    tasks.spawn(feed.run(), name="feed")
    await asyncio.wait_for(source.is_waiting.wait(), 20)
    failed_at = clock.wall()
    clock.advance(60)

    assert feed.is_stale
    assert feed.confirmed_at == failed_at
    await tasks.aclose()
