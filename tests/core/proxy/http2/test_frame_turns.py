"""Frames of a read that brought many."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from gateway_core.proxy.http2.frame_turns import AT_ONCE, FIELD_BYTES_AT_ONCE, FrameTurns
from gateway_core.proxy.wire.h2 import frames
from gateway_core.proxy.wire.h2.errors import Http2ConnectionError
from gateway_core.proxy.wire.h2.frames import Frame, FrameReader

FIRST = frames.settings_frame({4: 65535})


class Socket(asyncio.Transport):
    """A transport that notes what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.is_paused = self.is_closed = False

    def pause_reading(self) -> None:
        assert not self.is_paused
        self.is_paused = True

    def resume_reading(self) -> None:
        assert self.is_paused
        self.is_paused = False

    def is_closing(self) -> bool:
        return self.is_closed


class Connection:
    """Acts upon frames by noting their first number, in one list for each turn."""

    def __init__(self) -> None:
        self.socket = Socket()
        self.turns: list[list[int]] = []
        self.frames = FrameTurns(FrameReader(from_client=False), self.socket, self.take)
        self.frames.feed(FIRST)
        self.turns.clear()

    def take(self, received: Iterable[Frame]) -> None:
        numbers: list[int] = []
        self.turns.append(numbers)
        try:
            numbers += [frames.read_number(payload) for _, _, _, payload, _ in received]
        except Http2ConnectionError:
            self.socket.is_closed = True

    @property
    def taken(self) -> list[int]:
        return [number for numbers in self.turns for number in numbers]


def numbered(first: int, last: int) -> bytes:
    return b"".join(frames.ping(number.to_bytes(4, "big") + bytes(4)) for number in range(first, last))


async def test_few_frames_are_acted_upon_at_once() -> None:
    connection = Connection()
    connection.frames.feed(numbered(0, 100))
    assert connection.turns == [list(range(100))]
    assert not connection.socket.is_paused


@pytest.mark.parametrize("count", [AT_ONCE, AT_ONCE + 1, 3 * AT_ONCE, 3 * AT_ONCE + 7])
async def test_of_many_frames_some_are_acted_upon_in_each_turn_of_the_loop(count: int) -> None:
    connection = Connection()
    connection.frames.feed(numbered(0, count))
    assert connection.taken == list(range(min(count, AT_ONCE)))
    assert connection.socket.is_paused

    for turn in range(2, count // AT_ONCE + 3):
        await asyncio.sleep(0)
        assert connection.taken == list(range(min(count, turn * AT_ONCE)))

    assert not connection.socket.is_paused


async def test_what_comes_although_reading_is_paused_is_acted_upon_behind_it() -> None:
    connection = Connection()
    connection.frames.feed(numbered(0, 2 * AT_ONCE) + numbered(2 * AT_ONCE, 2 * AT_ONCE + 1)[:5])
    connection.frames.feed(numbered(2 * AT_ONCE, 2 * AT_ONCE + 3)[5:])
    assert len(connection.taken) == AT_ONCE

    for _ in range(4):
        await asyncio.sleep(0)

    assert connection.taken == list(range(2 * AT_ONCE + 3))
    assert not connection.socket.is_paused


async def test_frames_that_wait_are_acted_upon_when_the_connection_is_gone() -> None:
    connection = Connection()
    connection.frames.feed(numbered(0, 3 * AT_ONCE))
    connection.frames.finish()
    assert connection.taken == list(range(3 * AT_ONCE))

    for _ in range(4):
        await asyncio.sleep(0)

    assert len(connection.taken) == 3 * AT_ONCE


@pytest.mark.parametrize("good", [0, 2 * AT_ONCE])
async def test_nothing_is_acted_upon_behind_the_frame_that_ends_the_connection(good: int) -> None:
    connection = Connection()
    connection.frames.feed(numbered(0, good) + frames.frame(frames.PING, 0, 0, b"short") + numbered(0, 2 * AT_ONCE))

    for _ in range(6):
        await asyncio.sleep(0)

    assert len(connection.turns) == good // AT_ONCE + 1
    connection.frames.finish()
    assert len(connection.turns) == good // AT_ONCE + 1


async def test_blocks_of_fields_end_a_turn_by_their_bytes() -> None:
    connection = Connection()
    block = frames.frame(frames.HEADERS, frames.END_HEADERS, 1, bytes(FIELD_BYTES_AT_ONCE // 4))

    connection.frames.feed(block * 20)

    assert [len(numbers) for numbers in connection.turns] == [4]
    await asyncio.sleep(0)
    assert [len(numbers) for numbers in connection.turns] == [4, 4]
