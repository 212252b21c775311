from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from gateway_core.clock import ManualClock
from gateway_core.errors import RefusedError
from gateway_core.events import BREAKER_OPENED
from gateway_core.observe.live_feed import (
    TRAFFIC_AT_MOST_EVERY,
    TRAFFIC_EVERY,
    TRAFFIC_SHARE,
    LiveFeed,
    Wanted,
    pause_after,
)
from gateway_core.observe.tail_filter import TailFilter
from gateway_core.process.traffic_meter import FORGOTTEN_AFTER

CHANGES = Wanted(traffic=False)


@pytest.fixture
async def feed() -> AsyncIterator[LiveFeed]:
    feed = LiveFeed(ManualClock())
    yield feed
    feed.end("stopping")


def events(text: bytes) -> list[tuple[str, Any, str]]:
    """Return name, data and id of each event."""
    found = []
    for part in text.decode().split("\n\n")[:-1]:
        fields = dict(line.partition(": ")[::2] for line in part.split("\n"))
        found.append((fields["event"], json.loads(fields["data"]), fields.get("id", "")))
    return found


def numbers(text: bytes) -> list[Any]:
    return [data.get("n", (data.get("lost"), data.get("reason"))) for _, data, _ in events(text)]


async def test_every_stream_has_every_change_in_order(feed: LiveFeed) -> None:
    one, two = feed.open(CHANGES), feed.open(CHANGES)

    for n in range(3):
        feed.publish("change", {"n": n})

    assert numbers(one.take()) == [0, 1, 2]
    assert one.take() == b""
    feed.publish("change", {"n": 3})
    assert numbers(two.take()) == [0, 1, 2, 3]
    assert numbers(one.take()) == [3]


async def test_a_client_that_comes_back_goes_on_where_it_was(feed: LiveFeed) -> None:
    first = feed.open(CHANGES)
    for n in range(3):
        feed.publish("change", {"n": n})
    _, _, identifier = events(first.take())[1]
    first.close()
    feed.publish("change", {"n": 3})

    assert numbers(feed.open(CHANGES, identifier).take()) == [2, 3]
    assert numbers(feed.open(CHANGES, feed.identifier(4)).take()) == []


@pytest.mark.parametrize("identifier", ["0badcafe-7", "x", "-", "0badcafe-", "7"])
async def test_an_id_of_another_program_is_a_gap(feed: LiveFeed, identifier: str) -> None:
    feed.publish("change", {"n": 0})

    assert numbers(feed.open(CHANGES, identifier).take()) == [(None, "restarted")]


async def test_a_position_that_is_not_kept_any_more_is_a_gap_before_what_is_kept(feed: LiveFeed) -> None:
    for n in range(3000):
        feed.publish("change", {"n": n})

    stream = feed.open(CHANGES, feed.identifier(5))

    assert numbers(stream.take())[:2] == [(None, "too-old"), 1000]


async def test_a_reader_that_does_not_keep_up_has_a_gap_with_the_number_that_it_missed(feed: LiveFeed) -> None:
    stream = feed.open(CHANGES)
    for n in range(2010):
        feed.publish("change", {"n": n})

    found = numbers(stream.take())

    assert found[:2] == [(10, "slow-reader"), 10]
    while more := numbers(stream.take()):
        found += more
    assert found[1:] == list(range(10, 2010))


async def test_what_processes_lose_is_a_gap_for_all_who_want_the_kind(feed: LiveFeed) -> None:
    stream = feed.open(CHANGES)

    feed.lose("change", 4, "process-overloaded", worker=1)
    feed.lose_with("worker 1", 1)

    (_, first, _), (_, second, _) = events(stream.take())
    assert (first["lost"], first["reason"], first["worker"]) == (4, "process-overloaded", 1)
    assert (second["lost"], second["reason"]) == (None, "process-ended")


async def test_events_of_the_log_are_taken_from_any_thread(feed: LiveFeed) -> None:
    stream = feed.open(CHANGES)

    await asyncio.to_thread(feed.note, BREAKER_OPENED, "text", {"upstream": "users"})
    await asyncio.wait_for(stream.has_more.wait(), 30)

    ((name, data, _),) = events(stream.take())
    assert (name, data["event"], data["process"]) == ("change", "breaker.opened", "program")


async def test_streams_are_bounded_in_number_and_end_with_the_program() -> None:
    feed = LiveFeed(ManualClock(), most_streams=2)
    one, two = feed.open(CHANGES), feed.open(CHANGES)
    with pytest.raises(RefusedError, match="2 streams are open"):
        feed.open(CHANGES)
    one.close()
    three = feed.open(CHANGES)

    feed.end("restarting")

    assert (two.ended, three.ended, one.ended) == ("restarting", "restarting", "")
    with pytest.raises(RefusedError, match="the gateway is restarting"):
        feed.open(CHANGES)


PART = {
    "pid": 1, "spent": 0.0, "elapsed": 1.0, "bounds": [1.0], "in_flight": 0, "connections": 0,
    "endpoints": [], "upstreams": [], "bindings": [], "reasons": {},
    "routes": [[name, 0, 0, 0, [[200 << 2, 0.5, [[0, 1]]]]] for name in ("users", "orders")],
}  # fmt: skip


async def test_traffic_is_measured_once_for_all_streams_and_only_while_one_wants_it(feed: LiveFeed) -> None:
    measured = asyncio.Event()
    calls = 0

    async def measure() -> Any:
        nonlocal calls
        calls += 1
        measured.set()
        return [(0, PART)], [1]

    feed.measure = measure
    idle = feed.open(CHANGES)
    streams = [feed.open(Wanted()), feed.open(Wanted()), feed.open(Wanted(route="orders"))]
    await asyncio.wait_for(measured.wait(), 30)

    taken = [events(each.take()) for each in streams]

    assert (calls, idle.take()) == (1, b"")
    assert [name for ((name, _, _),) in taken] == ["traffic"] * 3
    assert [[row["route"] for row in data["routes"]] for ((_, data, _),) in taken] == [
        ["orders", "users"],
        ["orders", "users"],
        ["orders"],
    ]
    for each in streams:
        each.close()
    feed._take([(0, PART)], [])
    feed._take([(0, PART)], [])
    assert [name for name, _, _ in events(streams[0].take())] == ["gap", "traffic"]


def test_measuring_takes_no_more_than_its_share_of_the_process_that_it_costs_most(feed: LiveFeed) -> None:
    light, heavy, own = (
        {**PART, "pid": pid, "spent": spent} for pid, spent in ((1, 0.001), (2, 60.0), (os.getpid(), 1))
    )

    assert feed._take([(0, light), (1, heavy)], []) == 60.0
    assert feed._take([(0, own)], []) > 1  # with what it takes to make the event

    assert pause_after(0.001) == TRAFFIC_EVERY
    assert pause_after(0.02) == 0.02 / TRAFFIC_SHARE
    assert pause_after(60) == TRAFFIC_AT_MOST_EVERY < FORGOTTEN_AFTER / 1.5


async def test_a_second_that_cannot_be_measured_does_not_end_the_others(
    feed: LiveFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_core.observe.live_feed.TRAFFIC_EVERY", 0.0)
    failures = [ValueError("broken")]

    async def measure() -> Any:
        if failures:
            raise failures.pop()
        return [(0, PART)], []

    feed.measure = measure
    stream = feed.open(Wanted())

    await asyncio.wait_for(stream.has_more.wait(), 30)
    assert events(stream.take())[-1][0] == "traffic"


def request(n: int, route: str = "users") -> dict[str, Any]:
    return {
        "n": n, "route": route, "status": 200, "method": "GET", "path": "/", "client": "", "reason": None,
        "refusals": [],
        "refused_by": [],
        "produced_by": "upstream",
    }  # fmt: skip


USERS = Wanted(frozenset({"tail"}), traffic=False, requests=TailFilter(route="users"))


async def test_a_stream_has_the_requests_that_it_wants_and_no_others(feed: LiveFeed) -> None:
    stream = feed.open(USERS)

    for n, route in enumerate(["users", "orders", "users"]):
        feed.publish("tail", request(n, route))
    feed.publish("change", {"n": 9})

    assert numbers(stream.take()) == [0, 2]


async def test_requests_are_collected_for_each_filter_once_and_a_moment_longer_than_for_its_last_stream(
    feed: LiveFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_core.observe.live_feed.LINGER", 0.05)
    watched: asyncio.Queue[Any] = asyncio.Queue()
    feed.watch = watched.put
    one, two, idle = feed.open(USERS), feed.open(USERS), feed.open(CHANGES)
    await feed.follow_filters()
    assert await watched.get() == (USERS.requests,)

    idle.close()
    one.close()
    one.close()
    two.close()

    assert feed.filters == (USERS.requests,)
    assert await asyncio.wait_for(watched.get(), 30) == ()


async def test_a_tail_that_comes_back_goes_on_if_its_requests_were_collected_meanwhile(feed: LiveFeed) -> None:
    first = feed.open(USERS)
    feed.publish("tail", request(0))
    _, _, identifier = events(first.take())[0]
    first.close()
    feed.publish("tail", request(1))

    assert numbers(feed.open(USERS, identifier).take()) == [1]
    others = Wanted(frozenset({"tail"}), traffic=False, requests=TailFilter(route="orders"))
    assert numbers(feed.open(others, identifier).take()) == [(None, "not-collected")]


async def test_filters_without_a_stream_are_bounded() -> None:
    feed = LiveFeed(ManualClock(), most_streams=3)
    for n in range(10):
        feed.open(Wanted(frozenset({"tail"}), traffic=False, requests=TailFilter(route=str(n)))).close()

    assert [each.route for each in feed.filters] == ["7", "8", "9"]
    feed.end("stopping")


async def test_a_stream_has_the_header_fields_that_it_wants_and_not_those_of_others(feed: LiveFeed) -> None:
    recording = Wanted(frozenset({"tail"}), traffic=False, requests=TailFilter(headers="accept"))
    streams = [feed.open(wanted) for wanted in (USERS, recording)]

    feed.publish("tail", {**request(0), "headers": {"accept": "a/b", "x-beta": "1"}})

    found = [events(stream.take())[0] for stream in streams]
    assert [data.get("headers") for _, data, _ in found] == [None, {"accept": "a/b"}]
    assert found[0][2] == found[1][2]
