from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from random import Random

import pytest
from gateway_core.upstreams import EndpointSpec
from gateway_core.upstreams.discovery import Discovered, Feed
from gateway_core.upstreams.discovery.feed import GATHER_SECONDS

A, B = EndpointSpec("http", "a", 80), EndpointSpec("http", "b", 80)


class Scripted:
    """Yields what the test puts in, and fails where it puts an exception."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[Discovered | Exception] = asyncio.Queue()
        self.watches = 0
        self.closed = asyncio.Event()

    async def watch(self) -> AsyncIterator[Discovered]:
        self.watches += 1
        try:
            while True:
                answer = await self.answers.get()
                if isinstance(answer, Exception):
                    raise answer
                yield answer
        finally:
            self.closed.set()


class Seen:
    def __init__(self) -> None:
        self.lists: list[str] = []
        self.changed = asyncio.Event()

    def __call__(self, answer: Discovered) -> None:
        self.lists.append("".join(endpoint.host for endpoint in answer.endpoints))
        self.changed.set()

    async def wait_for(self, last: str) -> None:
        async with asyncio.timeout(10):
            while not self.lists or self.lists[-1] != last:
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
async def make_feed() -> AsyncIterator[Callable[[Scripted], Feed]]:
    feeds: list[Feed] = []

    def make(discovery: Scripted) -> Feed:
        feeds.append(Feed("users", discovery, Random(1)))
        feeds[-1].start()
        return feeds[-1]

    yield make
    for feed in feeds:
        await feed.aclose()


async def test_listeners_get_what_is_known_and_each_change(make_feed: Callable[[Scripted], Feed]) -> None:
    discovery, early, late = Scripted(), Seen(), Seen()
    feed = make_feed(discovery)
    feed.subscribe(early)
    assert early.lists == []

    discovery.answers.put_nowait(Discovered((A,)))
    await early.wait_for("a")
    feed.subscribe(late)
    discovery.answers.put_nowait(Discovered((A, B)))
    await early.wait_for("ab")

    assert early.lists == late.lists == ["a", "ab"]
    feed.unsubscribe(early)
    discovery.answers.put_nowait(Discovered((B,)))
    await late.wait_for("b")
    assert early.lists == ["a", "ab"]


async def test_a_burst_is_gathered_and_ends_with_the_last_list(make_feed: Callable[[Scripted], Feed]) -> None:
    discovery, seen = Scripted(), Seen()
    feed = make_feed(discovery)
    feed.subscribe(seen)
    specs = [EndpointSpec("http", f"e{number}", 80) for number in range(500)]

    for count in range(1, 501):
        discovery.answers.put_nowait(Discovered(tuple(specs[:count])))
    await seen.wait_for("".join(spec.host for spec in specs))

    assert len(seen.lists) < 100


async def test_an_equal_answer_is_no_change(make_feed: Callable[[Scripted], Feed]) -> None:
    discovery, seen = Scripted(), Seen()
    make_feed(discovery).subscribe(seen)

    for answer in (Discovered((A,)), Discovered((EndpointSpec("http", "a", 80),)), Discovered((B,))):
        discovery.answers.put_nowait(answer)
    await seen.wait_for("b")

    assert seen.lists == ["a", "b"]


async def test_a_failure_keeps_the_last_good_answer_and_asks_again(
    make_feed: Callable[[Scripted], Feed], caplog: pytest.LogCaptureFixture
) -> None:
    discovery, seen = Scripted(), Seen()
    feed = make_feed(discovery)
    feed.subscribe(seen)
    discovery.answers.put_nowait(Discovered((A,)))
    await seen.wait_for("a")

    discovery.answers.put_nowait(RuntimeError("registry is away"))
    await asyncio.wait_for(discovery.closed.wait(), 10)
    await asyncio.sleep(0)

    assert feed.is_stale
    assert feed.latest is not None
    assert (feed.latest.endpoints, feed.latest.reason) == ((A,), "RuntimeError: registry is away")
    assert "registry is away" in caplog.text

    discovery.answers.put_nowait(Discovered((B,)))
    await seen.wait_for("b")
    assert discovery.watches == 2
    assert seen.lists == ["a", "b"]


async def test_what_the_discovery_calls_stale_is_stale(
    make_feed: Callable[[Scripted], Feed], caplog: pytest.LogCaptureFixture
) -> None:
    discovery, seen = Scripted(), Seen()
    feed = make_feed(discovery)
    feed.subscribe(seen)
    for answer in (Discovered((A,)), Discovered((A,), is_stale=True, reason="no leader"), Discovered((B,), True)):
        discovery.answers.put_nowait(answer)
    await seen.wait_for("b")

    assert feed.is_stale
    assert caplog.text.count("discovery of users is stale: no leader") == 1


async def test_the_first_answer_can_be_waited_for(make_feed: Callable[[Scripted], Feed]) -> None:
    discovery = Scripted()
    feed = make_feed(discovery)
    assert not await feed.wait_for_first(0.01)

    discovery.answers.put_nowait(Discovered(()))

    assert await feed.wait_for_first(10), "no endpoints are an answer"


async def test_a_closed_feed_tells_nobody(make_feed: Callable[[Scripted], Feed]) -> None:
    discovery, seen = Scripted(), Seen()
    feed = make_feed(discovery)
    feed.subscribe(seen)
    discovery.answers.put_nowait(Discovered((A,)))
    discovery.answers.put_nowait(Discovered((B,)))
    await seen.wait_for("a")

    await feed.aclose()
    await asyncio.sleep(2 * GATHER_SECONDS)

    assert seen.lists == ["a"]


async def test_closing_closes_the_watch(make_feed: Callable[[Scripted], Feed]) -> None:
    discovery, seen = Scripted(), Seen()
    feed = make_feed(discovery)
    feed.subscribe(seen)
    discovery.answers.put_nowait(Discovered((A,)))
    await seen.wait_for("a")

    await feed.aclose()

    assert discovery.closed.is_set()


async def test_the_log_tells_of_a_discovery_that_fails_is_back_or_finds_nothing(
    make_feed: Callable[[Scripted], Feed], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway.discovery")
    discovery, seen = Scripted(), Seen()
    feed = make_feed(discovery)
    feed.subscribe(seen)

    discovery.answers.put_nowait(OSError("refused"))
    discovery.answers.put_nowait(Discovered(()))
    discovery.answers.put_nowait(Discovered(()))
    discovery.answers.put_nowait(Discovered((A,)))
    await seen.wait_for("a")
    discovery.answers.put_nowait(OSError("away"))
    discovery.answers.put_nowait(Discovered((B,)))
    await seen.wait_for("b")

    assert [record.getMessage() for record in caplog.records] == [
        "discovery of users failed, no endpoints are known yet: OSError: refused",
        "discovery of users finds no endpoints",
        "discovery of users failed, what it found last stays in force: OSError: away",
        "discovery of users is up to date again",
    ]
