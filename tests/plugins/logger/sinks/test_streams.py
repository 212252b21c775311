from __future__ import annotations

import os
import select
import threading

import pytest
from gateway_plugin_logger.sinks.streams import StreamTarget, line_pieces, write_all
from hypothesis import given
from hypothesis import strategies as st


@given(
    st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"") + b"\n"), max_size=20), st.integers(1, 60)
)
def test_pieces_hold_whole_lines_and_are_no_longer_than_they_must_be(lines: list[bytes], most: int) -> None:
    pieces = line_pieces(b"".join(lines), most)

    assert b"".join(pieces) == b"".join(lines)
    assert all(piece.endswith(b"\n") for piece in pieces)
    assert all(len(piece) <= most or piece.count(b"\n") == 1 for piece in pieces)


def test_what_ends_without_a_line_end_is_written_too() -> None:
    assert line_pieces(b"a\nbcd", 2) == [b"a\n", b"bcd"]


def test_a_pipe_that_somebody_made_non_blocking_takes_everything() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    data = b"x" * (1 << 20)
    received: list[bytes] = []

    def read() -> None:
        with os.fdopen(reading, "rb") as pipe:
            received.append(pipe.read())

    thread = threading.Thread(target=read)
    thread.start()
    write_all(writing, data)
    os.close(writing)
    thread.join(30)

    assert received == [data]


def test_a_pipe_is_written_in_pieces_that_stay_whole() -> None:
    reading, writing = os.pipe()
    line = b"x" * 999 + b"\n"
    StreamTarget(writing).write(line * 10)

    # A packet is what one write put into the pipe: no line is split between two.
    data = os.read(reading, 1 << 20)

    assert data == line * 10
    assert select.PIPE_BUF // len(line) * len(line) == 4000
    os.close(reading)
    os.close(writing)


def test_a_pipe_that_nobody_reads_is_an_error_that_says_so() -> None:
    reading, writing = os.pipe()
    os.close(reading)

    with pytest.raises(BrokenPipeError, match="nobody reads the pipe any more"):
        StreamTarget(writing).write(b"x\n")

    os.close(writing)


def test_the_descriptor_is_left_open() -> None:
    reading, writing = os.pipe()
    target = StreamTarget(writing)

    target.reopen()
    target.close()

    os.write(writing, b"x")
    os.close(reading)
    os.close(writing)
