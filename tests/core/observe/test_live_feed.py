from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from gateway_core.clock import ManualClock
from gateway_core.errors import RefusedError
from gateway_core.events import ADMIN_WRITE, BREAKER_OPENED, LIMIT_REACHED, PLUGIN_QUARANTINED
from gateway_core.observe.live_feed import LiveFeed, Ring, Wanted, change_of, frame, is_change

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


def test_only_what_leaves_the_gateway_in_another_state_is_a_change() -> None:
    assert is_change(BREAKER_OPENED.name)
    assert is_change(PLUGIN_QUARANTINED.name)
    assert not is_change(ADMIN_WRITE.name)
    assert not is_change(LIMIT_REACHED.name)


def test_a_change_has_the_message_and_the_fields_of_its_event_cut_to_a_length() -> None:
    change = change_of(BREAKER_OPENED, "m" * 9000, {"upstream": "users", "count": 3, "lost": ["a" * 9000] * 200}, 0.0)

    assert (change["event"], change["level"], change["at"]) == ("breaker.opened", "warning", "1970-01-01T00:00:00.000Z")
    assert (len(change["message"]), change["fields"]["upstream"], change["fields"]["count"]) == (2000, "users", 3)
    assert (len(change["fields"]["lost"]), len(change["fields"]["lost"][0])) == (100, 2000)


def test_no_text_of_an_event_can_end_it() -> None:
    assert frame("change", {"message": "a\n\nevent: x\r\u2028"}, "e-1").decode().split("\n") == [
        "id: e-1",
        "event: change",
        'data: {"message":"a\\n\\nevent: x\\r\\u2028"}',
        "",
        "",
    ]


def test_a_ring_drops_the_oldest_beyond_a_number_or_a_size() -> None:
    ring = Ring(3, 1000)
    for order in range(1, 6):
        ring.add(order * 10, "change", {}, b"x" * 10)
    assert ([each.number for each in ring.entries], ring.dropped_order, ring.number_at(30)) == ([3, 4, 5], 20, 3)

    ring.add(60, "change", {}, b"x" * 2000)
    assert [each.number for each in ring.after(0)] == [6]
    assert ring.after(6) == []


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
    await asyncio.wait_for(stream.has_more.wait(), 5)

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
    "elapsed": 1.0, "bounds": [1.0], "in_flight": 0, "connections": 0, "endpoints": [], "upstreams": [],
    "bindings": [], "reasons": {},
    "routes": [
        {"route": name, "status": {"2xx": 1}, "buckets": [1, 0], "seconds": 0.5, "in_flight": 0}
        for name in ("users", "orders")
    ],
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
    await asyncio.wait_for(measured.wait(), 5)

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

    await asyncio.wait_for(stream.has_more.wait(), 5)
    assert events(stream.take())[-1][0] == "traffic"
