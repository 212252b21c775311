"""What is written over an HTTP/2 connection, and in which order; over a real socket, read by the library hyperframe."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import hyperframe.frame as hf
import pytest
from gateway_core.metrics.http2 import Http2Counts
from gateway_core.proxy.http2.sender import MOST_UNSENT, Sender, SendStream
from gateway_core.proxy.wire.h2.errors import ErrorCode, Http2ConnectionError, Http2StreamError


class Wire:
    """Both ends of a connection: a sender, and what arrives."""

    def __init__(self, sender: Sender, transport: asyncio.Transport, reader: asyncio.StreamReader) -> None:
        self.sender, self.transport, self._reader = sender, transport, reader

    async def frames(self, count: int) -> list[Any]:
        found = []
        for _ in range(count):
            head = await asyncio.wait_for(self._reader.readexactly(9), 20)
            frame, length = hf.Frame.parse_frame_header(memoryview(head))
            frame.parse_body(memoryview(await self._reader.readexactly(length)))
            found.append(frame)
        return found


class _Protocol(asyncio.Protocol):
    sender: Sender | None = None

    def pause_writing(self) -> None:
        assert self.sender is not None
        self.sender.pause()

    def resume_writing(self) -> None:
        assert self.sender is not None
        self.sender.resume()


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(_Protocol, sock=ours)
    reader, writer = await asyncio.open_connection(sock=theirs)
    sender = protocol.sender = Sender(transport, Http2Counts())
    yield Wire(sender, transport, reader)
    transport.abort()
    writer.transport.abort()
    await asyncio.sleep(0)


def stream(number: int, size: int, window: int = 1 << 20) -> SendStream:
    made = SendStream(number, window)
    made.add(bytes(size))
    made.end_with(b"")
    return made


def order(frames: list[Any]) -> list[int]:
    return [frame.stream_id for frame in frames]


async def test_what_is_written_in_a_turn_goes_out_in_its_order(wire: Wire) -> None:
    wire.sender.write(hf.PingFrame(0, opaque_data=b"12345678").serialize())
    wire.sender.send_begin(SendStream(1, 1000), b"\x88", b"body", ends=True)
    ping, head, data = await wire.frames(3)
    assert (type(ping), head.stream_id, data.data) == (hf.PingFrame, 1, b"body")
    assert "END_STREAM" in data.flags


async def test_a_head_and_the_first_part_of_a_body_go_out_together_and_the_rest_follows(wire: Wire) -> None:
    each = SendStream(1, 1000)
    wire.sender.send_begin(each, b"\x88", b"first", ends=False)
    assert (each.queued, each.window, each.is_ended) == (0, 995, False)
    wire.sender.end(each, b"\x88")
    _, data, trailers = await wire.frames(3)
    assert (data.data, "END_STREAM" in data.flags, "END_STREAM" in trailers.flags) == (b"first", False, True)


async def test_a_whole_message_goes_out_with_its_trailers(wire: Wire) -> None:
    each = SendStream(1, 1000)
    wire.sender.send_begin(each, b"\x88", b"body", b"\x10\x01x\x01y", ends=True)
    assert (each.queued, each.window, each.is_ended) == (0, 996, True)
    _, data, trailers = await wire.frames(3)
    assert (data.data, "END_STREAM" in data.flags) == (b"body", False)
    assert (trailers.data, "END_STREAM" in trailers.flags) == (b"\x10\x01x\x01y", True)


async def test_trailers_wait_behind_a_body_for_its_window(wire: Wire) -> None:
    each = SendStream(1, 3)
    wire.sender.send_begin(each, b"\x88", b"body", b"\x10\x01x\x01y", ends=True)
    _, data = await wire.frames(2)
    assert (data.data, "END_STREAM" in data.flags, each.queued) == (b"bod", False, 1)
    wire.sender.open_stream(each, 10)
    data, trailers = await wire.frames(2)
    assert (data.data, "END_STREAM" in data.flags) == (b"y", False)
    assert (trailers.data, "END_STREAM" in trailers.flags) == (b"\x10\x01x\x01y", True)


@pytest.mark.parametrize("ends", [True, False])
async def test_a_first_part_waits_for_the_window_behind_its_head(wire: Wire, ends: bool) -> None:
    each = SendStream(1, 3)
    wire.sender.send_begin(each, b"\x88", b"first", ends=ends)
    head, data = await wire.frames(2)
    assert (type(head), data.data, each.queued) == (hf.HeadersFrame, b"fir", 2)
    wire.sender.open_stream(each, 10)
    (rest,) = await wire.frames(1)
    assert (rest.data, "END_STREAM" in rest.flags) == (b"st", ends)


async def test_streams_of_one_urgency_take_turns(wire: Wire) -> None:
    wire.sender.open_window(1 << 20)
    for number in (1, 3):
        wire.sender.enter(stream(number, 40_000))
    assert order(await wire.frames(6)) == [1, 3, 1, 3, 1, 3]


async def test_a_stream_of_which_parts_are_of_no_use_is_sent_to_its_end(wire: Wire) -> None:
    wire.sender.open_window(1 << 20)
    for number in (1, 3):
        each = stream(number, 40_000)
        wire.sender.prioritize(each, 3, is_incremental=False)
        wire.sender.enter(each)
    assert order(await wire.frames(6)) == [1, 1, 1, 3, 3, 3]


async def test_the_more_urgent_go_first(wire: Wire) -> None:
    wire.sender.open_window(1 << 20)
    late, urgent = stream(1, 40_000), stream(3, 40_000)
    wire.sender.enter(late)
    wire.sender.enter(urgent)
    wire.sender.prioritize(urgent, 0, is_incremental=True)
    assert order(await wire.frames(6)) == [3, 3, 3, 1, 1, 1]


@pytest.mark.parametrize("size", [17, 16_384], ids=["acknowledgements", "bodies"])
async def test_a_peer_that_takes_nothing_chokes_the_connection(wire: Wire, size: int) -> None:
    for _ in range((4 << 20) // size):
        wire.sender.write(bytes(size))
    wire.sender.flush()
    assert wire.sender.is_choked


async def test_no_more_than_a_bound_waits_in_the_transport(wire: Wire) -> None:
    wire.sender.open_window(1 << 30)
    large = stream(1, 50 << 20, window=1 << 30)
    wire.sender.enter(large)
    before = -1
    while before != large.queued:  # until the sockets take no more
        before = large.queued
        for _ in range(50):
            await asyncio.sleep(0)
    assert wire.sender.unsent <= MOST_UNSENT + 16384 + 9 * 10
    assert large.queued > 0


async def test_a_stream_goes_on_without_a_word_of_its_peer_while_windows_last(wire: Wire) -> None:
    size = 40 * 16384
    wire.sender.open_window(1 << 30)
    wire.sender.enter(stream(1, size, window=1 << 30))
    frames = await wire.frames(40)
    assert sum(len(frame.data) for frame in frames) == size
    assert "END_STREAM" in frames[-1].flags


async def test_windows_bound_what_is_sent_and_go_on(wire: Wire) -> None:
    each = stream(1, 100, window=30)
    wire.sender.enter(each)
    (first,) = await wire.frames(1)
    assert len(first.data) == 30
    wire.sender.open_stream(each, 70)
    (last,) = await wire.frames(1)
    assert (len(last.data), "END_STREAM" in last.flags) == (70, True)


async def test_the_window_of_the_connection_is_shared(wire: Wire) -> None:
    for number in (1, 3):
        wire.sender.enter(stream(number, 40_000))
    # 16,384 bytes a frame, in turn, until 65,535 are sent.
    assert [len(frame.data) for frame in await wire.frames(4)] == [16384, 16384, 16384, 16383]
    wire.sender.open_window(100_000)
    assert sum(len(frame.data) for frame in await wire.frames(2)) == 80_000 - 65_535


async def test_a_window_may_be_negative_and_stops_its_stream(wire: Wire) -> None:
    each = stream(1, 10, window=-5)
    wire.sender.enter(each)
    assert not each.is_ready
    wire.sender.open_stream(each, 20)
    (frame,) = await wire.frames(1)
    assert len(frame.data) == 10


async def test_a_window_that_settings_make_negative_stops_a_stream_that_waits_for_its_turn(wire: Wire) -> None:
    each = stream(1, 150_000, window=200_000)
    wire.sender.enter(each)
    await wire.frames(4)  # the window of the connection
    each.change_window(-140_000)
    wire.sender.enter(each)
    wire.sender.open_window(1 << 20)
    wire.sender.enter(stream(3, 10))
    assert order(await wire.frames(1)) == [3]
    assert (each.window, each.queued) == (-5_535, 84_465)
    wire.sender.open_stream(each, 5_536)
    assert [(frame.stream_id, len(frame.data)) for frame in await wire.frames(1)] == [(1, 1)]


async def test_time_is_stalled_until_settings_open_a_window(wire: Wire) -> None:
    each = stream(1, 10, window=0)
    wire.sender.enter(each)
    assert each.stalled_since
    each.change_window(5)
    wire.sender.enter(each)
    assert not each.stalled_since


async def test_trailers_end_a_stream_behind_its_body(wire: Wire) -> None:
    each = SendStream(1, 1000)
    wire.sender.send(each, b"body")
    wire.sender.end(each, b"\x88")
    data, trailers = await wire.frames(2)
    assert "END_STREAM" not in data.flags
    assert isinstance(trailers, hf.HeadersFrame)
    assert "END_STREAM" in trailers.flags


async def test_small_pieces_become_few_frames(wire: Wire) -> None:
    each = SendStream(1, 1000)
    for _ in range(10):
        wire.sender.send(each, b"x")
    wire.sender.end(each, b"")
    (frame,) = await wire.frames(1)
    assert frame.data == b"x" * 10


async def test_a_stream_that_left_sends_nothing(wire: Wire) -> None:
    gone, other = stream(1, 10), stream(3, 10)
    wire.sender.enter(gone)
    wire.sender.enter(other)
    wire.sender.leave(gone)
    assert order(await wire.frames(1)) == [3]


async def test_windows_that_are_too_large_or_opened_by_nothing_are_errors(wire: Wire) -> None:
    for size, code in ((1 << 31, ErrorCode.FLOW_CONTROL_ERROR), (0, ErrorCode.PROTOCOL_ERROR)):
        with pytest.raises(Http2ConnectionError) as connection:
            wire.sender.open_window(size)
        assert connection.value.code is code
        with pytest.raises(Http2StreamError) as of_stream:
            wire.sender.open_stream(stream(7, 1), size)
        assert (of_stream.value.code, of_stream.value.stream) == (code, 7)


async def test_a_large_piece_goes_out_at_once_if_nothing_is_in_its_way(wire: Wire) -> None:
    wire.sender.open_window(1 << 20)
    each = SendStream(1, 200_000)
    wire.sender.send(each, bytes(100_000))
    assert (each.queued, each.window) == (0, 100_000)
    assert [len(frame.data) for frame in await wire.frames(7)] == [16384] * 6 + [100_000 - 6 * 16384]


@pytest.mark.parametrize(
    "in_the_way", ["the stream's window", "the connection's window", "itself", "another stream", "the transport"]
)
async def test_a_large_piece_waits_for_what_is_in_its_way(wire: Wire, in_the_way: str) -> None:
    wire.sender.open_window(1 << (15 if in_the_way == "the connection's window" else 20))
    each, ahead = SendStream(3, 99_999 if in_the_way == "the stream's window" else 1 << 20), stream(1, 40_000)
    if in_the_way == "itself":
        wire.sender.send(each, b"first")
    elif in_the_way == "another stream":
        wire.sender.enter(ahead)
    elif in_the_way == "the transport":
        wire.sender.pause()
    wire.sender.send(each, bytes(100_000))
    assert each.queued >= 100_000
    if in_the_way == "another stream":
        assert order(await wire.frames(5)) == [1, 3, 1, 3, 1]


async def test_large_bodies_are_sent_from_where_they_lie_and_what_waits_for_longer_is_kept(wire: Wire) -> None:
    buffer = bytearray(b"a" * 100_000)
    large = SendStream(1, 50_000)
    wire.sender.open_window(1 << 20)

    wire.sender.send(large, memoryview(buffer))
    wire.sender.flush()
    large.keep()
    await wire.frames(4)
    buffer[:] = b"b" * 100_000  # as the next read does
    wire.sender.open_stream(large, 50_000)
    rest = await wire.frames(4)

    assert b"".join(frame.data for frame in rest) == b"a" * 50_000
    assert large.queued == 0


async def test_small_pieces_make_few_frames(wire: Wire) -> None:
    small = SendStream(1, 50_000)
    for number in range(10):
        wire.sender.send(small, memoryview(b"%d" % number))

    (frame,) = await wire.frames(1)

    assert frame.data == b"0123456789"


async def test_what_a_window_cut_off_makes_no_frame_of_its_own(wire: Wire) -> None:
    wire.sender.open_window(1 << 20)
    one = SendStream(1, 16_384 - 1)
    for number in range(4):
        wire.sender.send(one, bytes((number,)) * 16_384)
    first = await wire.frames(1)
    wire.sender.open_stream(one, 16_384)
    second = await wire.frames(1)
    wire.sender.open_stream(one, 1 << 20)
    rest = await wire.frames(3)

    assert [len(frame.data) for frame in first + second + rest] == [16_383, 16_384, 16_384, 16_384, 1]
    assert b"".join(frame.data for frame in first + second + rest) == b"".join(
        bytes((number,)) * 16_384 for number in range(4)
    )


async def test_a_small_window_is_used_up_with_small_pieces_and_a_part_of_a_large_one(wire: Wire) -> None:
    one = SendStream(1, 0)
    for size in (3, 4, 5000):
        wire.sender.send(one, b"x" * size)
    wire.sender.open_stream(one, 10)
    wire.sender.open_stream(one, 5000)
    frames = await wire.frames(1)
    assert [len(frame.data) for frame in frames] == [5007]
    two = SendStream(3, 0)
    for size in (3, 4, 5000):
        wire.sender.send(two, b"y" * size)
    wire.sender.open_stream(two, 10)
    assert [frame.data for frame in await wire.frames(1)] == [b"y" * 10]
