from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from random import Random

import pytest
from gateway_core.clock import ManualClock
from gateway_core.metrics import Metrics
from gateway_core.upstreams import EndpointSpec
from gateway_core.upstreams.discovery import Discovered, Feed
from gateway_core.upstreams.discovery.feed import GATHER_SECONDS
from gateway_core.upstreams.discovery.feed_metrics import FeedMetrics

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
        async with asyncio.timeout(30):
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
    await asyncio.wait_for(discovery.closed.wait(), 30)
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
    told = "discovery of users is stale, the endpoints that it found last stay in use: no leader"
    assert caplog.text.count(told) == 1
    assert caplog.text.count("stale") == 1


async def test_the_first_answer_can_be_waited_for(make_feed: Callable[[Scripted], Feed]) -> None:
    discovery = Scripted()
    feed = make_feed(discovery)
    assert not await feed.wait_for_first(0.01)

    discovery.answers.put_nowait(Discovered(()))

    assert await feed.wait_for_first(10), "no endpoints are an answer"


async def test_who_comes_late_does_not_wait_once_more_for_a_registry_that_does_not_respond() -> None:
    clock = ManualClock()
    feed = Feed("users", Scripted(), Random(1), clock)

    clock.advance(5.0)

    assert not await asyncio.wait_for(feed.wait_for_first(5.0), 30)


async def test_a_failure_that_goes_on_is_logged_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    feed = Feed("users", None, Random(1))

    for reason in ("refused", "no route", "refused"):
        feed.fail(reason)
    feed.take(Discovered((A,)))
    for reason in ("refused", "no route"):
        feed.fail(reason)
    feed.take(Discovered((A,)))
    feed.take(Discovered((A,)))
    await feed.aclose()

    assert caplog.messages == [
        "discovery of users has found no endpoints yet: refused",
        "discovery of users is up to date again",
        "discovery of users is stale, the endpoints that it found last stay in use: refused",
        "discovery of users is up to date again",
    ]


async def test_that_nothing_is_found_is_logged_with_the_reason_and_so_is_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    feed = Feed("users", None, Random(1))

    for found in (
        Discovered((), reason="there is no service usres"),
        Discovered((), reason="there is no service usres"),
    ):
        feed.take(found)
    feed.take(Discovered((A, B)))
    await feed.aclose()

    assert caplog.messages == [
        "discovery of users finds no endpoints: there is no service usres",
        "discovery of users finds endpoints again: 2",
    ]


async def test_what_is_stale_or_empty_can_be_seen() -> None:
    clock, metrics, told = ManualClock(), Metrics(), []
    feed = Feed("users", None, Random(1), clock, FeedMetrics(metrics, clock.wall))
    feed.watch_status(lambda: told.append((feed.is_stale, feed.reason)))
    started = clock.monotonic()

    def shown() -> tuple[object, ...]:
        stale = metrics.registry.get_sample_value("gateway_discovery_stale", {"upstream": "users"})
        endpoints = metrics.registry.get_sample_value("gateway_discovery_endpoints", {"upstream": "users"})
        return stale, endpoints, *feed.describe(clock.monotonic()).values()

    assert shown() == (1, 0, 0, True, 0, "")
    feed.take(Discovered((A,)))
    assert shown() == (0, 1, 1, False, 0, "")
    clock.advance(7)
    feed.fail("refused")
    clock.advance(3)
    assert shown() == (1, 1, 1, True, 3, "refused")
    feed.take(Discovered((), reason="no such service"))
    assert shown() == (0, 0, 0, False, 0, "no such service")

    assert told == [(False, ""), (True, "refused"), (False, "no such service")]
    assert feed.started_at == started
    await feed.aclose()
    assert metrics.registry.get_sample_value("gateway_discovery_stale", {"upstream": "users"}) is None


async def test_a_closed_feed_tells_nobody(make_feed: Callable[[Scripted], Feed]) -> None:
    discovery, seen = Scripted(), Seen()
    feed = make_feed(discovery)
    feed.subscribe(seen)
    discovery.answers.put_nowait(Discovered((A,)))
    discovery.answers.put_nowait(Discovered((B,)))
    await seen.wait_for("a")

    await feed.aclose()
    await asyncio.sleep(2 * GATHER_SECONDS)  # in which it would tell, if it did

    assert seen.lists == ["a"]


async def test_closing_closes_the_watch(make_feed: Callable[[Scripted], Feed]) -> None:
    discovery, seen = Scripted(), Seen()
    feed = make_feed(discovery)
    feed.subscribe(seen)
    discovery.answers.put_nowait(Discovered((A,)))
    await seen.wait_for("a")

    await feed.aclose()

    assert discovery.closed.is_set()


async def test_a_change_of_endpoints_is_logged_with_their_names(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = ManualClock()
    feed = Feed("users", None, Random(1), clock)
    seen = Seen()
    feed.subscribe(seen)

    for endpoints, expected in (((A,), "a"), ((A, B), "ab"), ((B,), "b")):
        feed.take(Discovered(endpoints))
        await seen.wait_for(expected)
        clock.advance(10)

    assert caplog.messages == [
        "discovery of users adds b:80: 2 endpoints",
        "discovery of users removes a:80: 1 endpoint",
    ]
    assert vars(caplog.records[0])["fields"] == {"upstream": "users", "endpoints": 2, "added": 1, "removed": 0}
    await feed.aclose()


async def test_endpoints_that_come_and_go_all_the_time_have_one_line_in_ten_seconds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    clock = ManualClock()
    feed = Feed("users", None, Random(1), clock)
    seen = Seen()
    feed.subscribe(seen)

    for endpoints, expected in (((A,), "a"), ((A, B), "ab"), ((A,), "a"), ((B,), "b")):
        feed.take(Discovered(endpoints))
        await seen.wait_for(expected)
    clock.advance(10)
    feed.take(Discovered((B, A)))
    await seen.wait_for("ba")

    # What is told last is what is there: a was never seen to go.
    assert caplog.messages == ["discovery of users adds b:80: 2 endpoints"]
    await feed.aclose()


KEPT = Discovered((A,))


@pytest.fixture
async def begun() -> AsyncIterator[tuple[Feed, Scripted]]:
    """A feed with endpoints of before the start."""
    discovery = Scripted()
    feed = Feed("users", discovery, Random(1), kept=KEPT)
    feed.start()
    yield feed, discovery
    await feed.aclose()


async def test_a_registry_that_responds_comes_before_what_was_kept(begun: tuple[Feed, Scripted]) -> None:
    feed, discovery = begun
    waiting = asyncio.create_task(feed.wait_for_first(30))  # noqa: TID251 - a test's own task
    seen = Seen()
    feed.subscribe(seen)
    assert not waiting.done()

    discovery.answers.put_nowait(Discovered((B,)))

    assert await waiting
    await seen.wait_for("b")
    assert (feed.is_stale, feed.latest) == (False, Discovered((B,)))


@pytest.mark.parametrize("answer", [RuntimeError("away"), Discovered((), is_stale=True, reason="away")])
async def test_what_was_kept_counts_as_stale_once_the_registry_has_failed(
    begun: tuple[Feed, Scripted], answer: Discovered | Exception, caplog: pytest.LogCaptureFixture
) -> None:
    feed, discovery = begun

    discovery.answers.put_nowait(answer)

    assert await feed.wait_for_first(30)
    assert (feed.count, feed.is_stale, feed.responded) == (1, True, False)
    assert "away" in feed.reason
    assert "discovery of users is stale, the endpoints that it found last stay in use" in caplog.text


async def test_a_registry_that_does_not_respond_is_not_waited_for_to_the_end(begun: tuple[Feed, Scripted]) -> None:
    feed, _ = begun

    assert await feed.wait_for_first(30)

    assert (feed.count, feed.reason) == (1, "the registry has not responded within 2s")


async def test_that_nothing_is_there_any_more_replaces_what_was_kept(begun: tuple[Feed, Scripted]) -> None:
    feed, discovery = begun
    seen = Seen()
    feed.subscribe(seen)

    discovery.answers.put_nowait(Discovered(()))

    await seen.wait_for("")
    assert (feed.count, feed.is_stale) == (0, False)
