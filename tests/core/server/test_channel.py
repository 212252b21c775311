from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from gateway_core.server.channel import Channel, ChannelClosedError


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
