from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator

import pytest
from gateway_core.clock import ManualClock
from gateway_core.events import ADMIN_WRITE, BREAKER_OPENED
from gateway_core.observe.live_feed import LiveFeed, Wanted
from gateway_core.process.channel import Channel, Message
from gateway_core.process.live_link import LIVE, Outbox, take
from gateway_core.tasks import Tasks


@pytest.fixture
async def ends() -> AsyncIterator[tuple[Channel, Channel]]:
    one, other = socket.socketpair()
    channels = await Channel.over(one), await Channel.over(other)
    yield channels
    for channel in channels:
        channel.close()


async def test_changes_of_the_log_are_sent_from_any_thread(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    outbox, tasks = Outbox(one, ManualClock()), Tasks()
    tasks.spawn(outbox.run(), name="send")

    outbox.note(ADMIN_WRITE, "no change", {})
    await asyncio.to_thread(outbox.note, BREAKER_OPENED, "text", {"upstream": "users"})

    async with asyncio.timeout(30):
        message = await other.receive()
    ((kind, data),) = json.loads(message.body)
    assert (message.kind, message["lost"], kind, data["event"]) == (LIVE, {}, "change", "breaker.opened")
    await tasks.aclose()


async def test_what_finds_the_outbox_full_is_counted(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    outbox = Outbox(one, ManualClock(), most=2)
    for _ in range(5):
        outbox.note(BREAKER_OPENED, "text", {})

    await outbox.flush()
    await outbox.flush()  # with nothing to send

    async with asyncio.timeout(30):
        message = await other.receive()
    assert (len(json.loads(message.body)), message["lost"]) == (2, {"change": {"process-overloaded": 3}})


async def test_sending_ends_with_the_channel(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    outbox, tasks = Outbox(one, ManualClock()), Tasks()
    sending = tasks.spawn(outbox.run(), name="send")
    other.close()

    async with asyncio.timeout(30):
        while not sending.done():
            outbox.note(BREAKER_OPENED, "text", {})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(sending), 0.05)


async def test_what_a_child_has_sent_is_published_with_its_name() -> None:
    feed = LiveFeed(ManualClock())
    stream = feed.open(Wanted(traffic=False))

    message = Message(
        LIVE, {"lost": {"change": {"process-overloaded": 7}}}, json.dumps([["change", {"event": "x"}]]).encode()
    )
    take(feed, message, process="worker 1", worker=1)
    take(None, message)

    change, gap = (json.loads(part.partition("data: ")[2]) for part in stream.take().decode().split("\n\n")[:-1])
    assert change == {"event": "x", "process": "worker 1", "worker": 1}
    assert (gap["lost"], gap["reason"], gap["worker"]) == (7, "process-overloaded", 1)
    feed.end("stopping")


async def test_many_requests_leave_room_for_changes(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    outbox = Outbox(one, ManualClock(), most=2)
    for n in range(5):
        outbox.put_request({"n": n})
    outbox.note(BREAKER_OPENED, "text", {})
    outbox.lose_request()

    await outbox.flush()

    async with asyncio.timeout(30):
        message = await other.receive()
    assert [kind for kind, _ in json.loads(message.body)] == ["tail", "tail", "change"]
    assert message["lost"] == {"tail": {"process-overloaded": 3, "failed": 1}}
