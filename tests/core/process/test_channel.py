from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
from gateway_core.errors import GatewayError
from gateway_core.hooks import SharedStoreFull
from gateway_core.process.channel import BlockingChannel, Channel, ChannelClosedError, error_fields


@pytest.fixture
async def ends() -> AsyncIterator[tuple[Channel, Channel]]:
    one, other = socket.socketpair()
    channels = await Channel.over(one), await Channel.over(other)
    yield channels
    for channel in channels:
        channel.close()


async def test_messages_arrive_in_order_with_fields_and_body(ends: tuple[Channel, Channel]) -> None:
    one, other = ends

    await one.send("prepare", version="v1", deadline=1.5)
    await one.send("part", body=b"\x00\xff" * 1000)

    first, second = await other.receive(), await other.receive()
    assert (first.kind, first["version"], first["deadline"], first.body) == ("prepare", "v1", 1.5, b"")
    assert (second.kind, second.body) == ("part", b"\x00\xff" * 1000)


async def test_a_slow_reader_holds_the_sender_up(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    sending = asyncio.ensure_future(one.send("part", body=b"x" * (8 << 20)))  # noqa: TID251

    done, _ = await asyncio.wait({sending}, timeout=0.1)
    assert not done
    message = await other.receive()

    await sending
    assert len(message.body) == 8 << 20


async def test_the_other_end_going_away_is_told(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    one.close()

    with pytest.raises(ChannelClosedError):
        await other.receive()
    with pytest.raises(ChannelClosedError):
        await send_much(other)


async def send_much(channel: Channel) -> None:
    for _ in range(100):
        await channel.send("part", body=b"x" * 65536)


async def test_a_message_that_breaks_off_is_told() -> None:
    one, other = socket.socketpair()
    channel = await Channel.over(other)
    one.sendall(b"\0\0\0\x10\0\0\0\0{")
    one.close()

    with pytest.raises(ChannelClosedError):
        await channel.receive()
    channel.close()


async def test_a_length_beyond_all_reason_is_refused() -> None:
    one, other = socket.socketpair()
    channel = await Channel.over(other)
    one.sendall(b"\xff" * 8)

    with pytest.raises(ChannelClosedError, match="longer than"):
        await channel.receive()
    channel.close()
    one.close()


async def test_an_end_that_is_given_up_loses_no_byte() -> None:
    one, other = socket.socketpair()
    sender, first = await Channel.over(one), await Channel.over(other.dup())
    for number in range(5):
        await sender.send("call", body=b"x" * 1000, number=number)
    taken = [(await first.receive())["number"]]
    sending = asyncio.ensure_future(sender.send("call", body=b"y" * (4 << 20), number=5))  # noqa: TID251

    unread = await first.release()
    second = await Channel.over(other, unread)
    taken += [(await second.receive())["number"] for _ in range(5)]
    await sending

    assert taken == list(range(6))
    await second.send("samples", number=7)
    assert (await sender.receive())["number"] == 7
    for channel in (sender, first, second):
        channel.close()


async def test_what_is_to_be_sent_is_sent_before_an_end_is_given_up() -> None:
    one, other = socket.socketpair()
    sender, receiver = await Channel.over(one), await Channel.over(other)
    sending = asyncio.ensure_future(sender.send("samples", body=b"x" * (4 << 20)))  # noqa: TID251
    giving_up = asyncio.ensure_future(sender.release())  # noqa: TID251

    message = await receiver.receive()

    assert (await giving_up, len(message.body)) == (b"", 4 << 20)
    await sending
    for channel in (sender, receiver):
        channel.close()


async def test_what_is_given_up_is_not_received_as_well() -> None:
    one, other = socket.socketpair()
    sender, first = await Channel.over(one), await Channel.over(other.dup())
    await sender.send("call", number=1)
    await first.receive()
    receiving = asyncio.ensure_future(first.receive())  # noqa: TID251
    await asyncio.sleep(0)
    first.data_received(b"\0\0\0\x12\0\0\0\0" + b'{"kind": "shared"}')  # the task that waits has not run yet

    unread = await first.release()
    second = await Channel.over(other, unread)

    assert (await second.receive()).kind == "shared"
    done, _ = await asyncio.wait({receiving}, timeout=0.05)
    assert not done
    receiving.cancel()
    for channel in (sender, first, second):
        channel.close()


async def take_replies(channel: Channel) -> None:
    with contextlib.suppress(ChannelClosedError):
        raise AssertionError(await channel.receive())


async def test_calls_are_pipelined_and_replies_may_come_in_any_order(ends: tuple[Channel, Channel]) -> None:
    here, there = ends
    running = asyncio.gather(*(here.call("it", b"%d" % number) for number in range(3)))
    reading = asyncio.ensure_future(take_replies(here))  # noqa: TID251  # a test's own
    received = [await there.receive() for _ in range(3)]
    for message in reversed(received):
        await there.reply(message, b"re " + message.body)
    there.close()

    await reading
    assert [message.body for message in await running] == [b"re 0", b"re 1", b"re 2"]


@pytest.mark.parametrize(
    ("error", "raised"),
    [(SharedStoreFull("full"), SharedStoreFull), (ValueError("no number"), ValueError), (OSError("x"), GatewayError)],
)
async def test_an_error_is_raised_where_the_call_was_made(
    ends: tuple[Channel, Channel], error: Exception, raised: type[Exception]
) -> None:
    here, there = ends
    running = asyncio.gather(here.call("it"), take_replies(here))
    await there.reply(await there.receive(), **error_fields(error))

    with pytest.raises(raised, match=str(error)):
        await running


async def test_a_reply_that_nothing_waits_for_any_more_is_dropped(ends: tuple[Channel, Channel]) -> None:
    here, there = ends
    given_up = asyncio.ensure_future(here.call("it"))  # noqa: TID251
    message = await there.receive()
    given_up.cancel()
    await asyncio.wait({given_up})
    await there.reply(message)
    there.close()

    await take_replies(here)


async def test_calls_fail_when_the_other_end_is_gone(ends: tuple[Channel, Channel]) -> None:
    here, there = ends
    running = asyncio.gather(here.call("it"))
    await there.receive()

    there.close()

    with pytest.raises(ChannelClosedError, match="gone"):
        await running
    with pytest.raises(ChannelClosedError):
        await here.call("it")


async def test_a_process_without_a_loop_speaks_the_same() -> None:
    one, other = socket.socketpair()
    here, there = await Channel.over(one), BlockingChannel(other)
    there.send("part", b"x" * 100_000, number=1)
    received = await here.receive()
    assert (received.kind, received["number"], len(received.body)) == ("part", 1, 100_000)
    await here.send("job", b"y", paths=["a"])
    job = await asyncio.to_thread(there.receive)
    assert (job.kind, job["paths"], job.body) == ("job", ["a"], b"y")

    here.close()

    with pytest.raises(ChannelClosedError):
        await asyncio.to_thread(there.receive)
    with pytest.raises(ChannelClosedError):
        there.send("late")
    other.close()
