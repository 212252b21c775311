"""Between which bytes of a server's WebSocket stream a frame may be sent."""

from __future__ import annotations

import pytest
from gateway_core.proxy.wire.websocket import GOING_AWAY, FrameReader
from hypothesis import given
from hypothesis import strategies as st


def frame(size: int) -> bytes:
    if size < 126:
        head = bytes([0x81, size])
    elif size < 1 << 16:
        head = b"\x81\x7e" + size.to_bytes(2)
    else:
        head = b"\x81\x7f" + size.to_bytes(8)
    return head + b"x" * size


@given(st.lists(st.sampled_from([0, 1, 125, 126, 200, 65535, 65536, 70000]), max_size=5), st.data())
def test_ends_of_frames_are_found_however_the_bytes_are_cut(sizes: list[int], data: st.DataObject) -> None:
    frames = [frame(size) for size in sizes]
    stream = b"".join(frames)
    ends = {0, *(len(b"".join(frames[: count + 1])) for count in range(len(frames)))}
    cuts = data.draw(st.lists(st.integers(0, len(stream)) | st.sampled_from(sorted(ends)), max_size=10))
    reader, position = FrameReader(), 0

    for cut in [*sorted(cuts), len(stream)]:
        reader.feed(stream[position:cut])
        position = cut

        assert reader.is_between_frames is (position in ends)


@pytest.mark.parametrize("odd", [b"\x81\x80", b"\x81\xff" + b"x" * 20, b"\x81\x7f" + b"\xff" * 8, b"HTTP/1.1 \xf0"])
def test_what_no_server_sends_is_followed_no_further(odd: bytes) -> None:
    reader = FrameReader()

    reader.feed(frame(3) + odd)
    reader.feed(frame(3))

    assert not reader.is_between_frames


def test_a_piece_of_very_many_frames_is_not_read_to_its_end() -> None:
    reader = FrameReader()

    reader.feed(frame(0) * 100_000)

    assert reader.is_lost


def test_the_close_frame_is_one_frame() -> None:
    reader = FrameReader()

    reader.feed(GOING_AWAY)

    assert reader.is_between_frames
