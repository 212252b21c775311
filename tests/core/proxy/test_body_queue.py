"""Where callbacks meet a task that reads."""

from __future__ import annotations

import asyncio

import pytest
from gateway_core.errors import UpstreamError
from gateway_core.proxy.streamed_body import HIGH_WATER, BodyQueue


class Sender:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")

    def waits(self, is_waiting: bool) -> None:
        self.calls.append("waits" if is_waiting else "goes on")

    def unwanted(self) -> None:
        self.calls.append("unwanted")


@pytest.fixture
def sender() -> Sender:
    return Sender()


async def test_pieces_come_in_order_and_then_the_end_with_trailers(sender: Sender) -> None:
    queue = BodyQueue(sender, [b"a", b"", b"b"])
    queue.send_body(b"c")
    queue.send_end(b"\r\nx-sum: 1")

    assert [await queue.read() for _ in range(4)] == [b"a", b"b", b"c", b""]
    assert queue.trailers["x-sum"] == "1"
    assert sender.calls == []


async def test_a_reader_waits_for_the_next_piece_and_the_sender_knows(sender: Sender) -> None:
    queue = BodyQueue(sender)
    assert queue.is_idle
    reading = asyncio.ensure_future(queue.read())  # noqa: TID251 - a test's own task
    await asyncio.sleep(0)
    assert sender.calls == ["waits"]

    queue.send_body(b"a")

    assert await reading == b"a"
    assert sender.calls == ["waits", "goes on"]


async def test_the_sender_is_paused_at_high_water_until_half_of_it_is_read(sender: Sender) -> None:
    queue = BodyQueue(sender)
    half = bytes(HIGH_WATER // 2)
    queue.send_body(half)
    assert sender.calls == []
    queue.send_body(half)
    assert sender.calls == ["pause"]

    await queue.read()
    assert sender.calls == ["pause"]
    await queue.read()

    assert sender.calls == ["pause", "resume"]


async def test_a_cut_comes_behind_what_is_there(sender: Sender) -> None:
    queue = BodyQueue(sender, [b"a"])
    queue.fail(UpstreamError("cut", reason="upstream.truncated"))

    assert await queue.read() == b"a"
    for _ in range(2):
        with pytest.raises(UpstreamError):
            await queue.read()


async def test_a_reader_that_is_cancelled_loses_no_piece(sender: Sender) -> None:
    queue = BodyQueue(sender)
    reading = asyncio.ensure_future(queue.read())  # noqa: TID251 - a test's own task
    await asyncio.sleep(0)
    queue.send_body(b"a")
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    assert await queue.read() == b"a"


@pytest.mark.parametrize(("is_ended", "told"), [(False, ["unwanted"]), (True, [])])
async def test_the_sender_learns_of_a_reader_that_ends_early(sender: Sender, is_ended: bool, told: list[str]) -> None:
    queue = BodyQueue(sender, [b"a"])
    if is_ended:
        queue.send_end()

    await queue.aclose(None)
    await queue.aclose(None)
    queue.send_body(b"b")

    assert sender.calls == told
    assert await queue.read() == b""
