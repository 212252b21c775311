from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from gateway_core.errors import GatewayError
from gateway_core.hooks import SharedStoreFull
from gateway_core.process.channel import Channel, ChannelClosedError
from gateway_core.process.channel_calls import REPLY, ChannelCalls, error_fields


@pytest.fixture
async def ends() -> AsyncIterator[tuple[Channel, Channel]]:
    one, other = socket.socketpair()
    channels = await Channel.over(one), await Channel.over(other)
    yield channels
    for channel in channels:
        channel.close()


async def resolve(channel: Channel, calls: ChannelCalls, count: int) -> None:
    for _ in range(count):
        calls.resolve(await channel.receive())


async def test_calls_are_pipelined_and_replies_may_come_in_any_order(ends: tuple[Channel, Channel]) -> None:
    here, there = ends
    calls = ChannelCalls(here)
    running = asyncio.gather(*(calls.call("it", b"%d" % number) for number in range(3)))
    received = [await there.receive() for _ in range(3)]
    for message in reversed(received):
        await there.send(REPLY, b"re " + message.body, call=message["call"])

    await resolve(here, calls, 3)

    assert [message.body for message in await running] == [b"re 0", b"re 1", b"re 2"]


@pytest.mark.parametrize(
    ("error", "raised"),
    [(SharedStoreFull("full"), SharedStoreFull), (ValueError("no number"), ValueError), (OSError("x"), GatewayError)],
)
async def test_an_error_is_raised_where_the_call_was_made(
    ends: tuple[Channel, Channel], error: Exception, raised: type[Exception]
) -> None:
    here, there = ends
    calls = ChannelCalls(here)
    running = asyncio.gather(calls.call("it"))
    message = await there.receive()
    await there.send(REPLY, call=message["call"], **error_fields(error))
    await resolve(here, calls, 1)

    with pytest.raises(raised, match=str(error)):
        await running


async def test_a_reply_that_nothing_waits_for_any_more_is_dropped(ends: tuple[Channel, Channel]) -> None:
    here, there = ends
    calls = ChannelCalls(here)
    given_up = asyncio.ensure_future(calls.call("it"))  # noqa: TID251
    message = await there.receive()
    given_up.cancel()
    await asyncio.wait({given_up})
    await there.send(REPLY, call=message["call"])

    await resolve(here, calls, 1)


async def test_calls_fail_when_the_other_end_is_gone(ends: tuple[Channel, Channel]) -> None:
    here, there = ends
    calls = ChannelCalls(here)
    running = asyncio.gather(calls.call("it"))
    await there.receive()

    calls.close("the supervisor is gone")

    with pytest.raises(ChannelClosedError, match="the supervisor is gone"):
        await running
    with pytest.raises(ChannelClosedError):
        await calls.call("it")
