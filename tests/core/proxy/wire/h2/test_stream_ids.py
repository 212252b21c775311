"""What the number of a stream says about it."""

from __future__ import annotations

import pytest
from gateway_core.proxy.wire.h2.errors import ErrorCode, Http2ConnectionError
from gateway_core.proxy.wire.h2.stream_ids import StreamIds


def begun(*streams: int) -> StreamIds:
    ids = StreamIds()
    for stream in streams:
        ids.begin(stream)
    return ids


@pytest.mark.parametrize(("stream", "is_idle"), [(1, False), (3, False), (5, False), (7, True), (2, True), (8, True)])
def test_streams_up_to_the_last_one_are_not_idle_and_even_ones_always_are(stream: int, is_idle: bool) -> None:
    ids = begun(1, 5)

    assert ids.is_idle(stream) is is_idle


def test_only_odd_and_higher_numbers_begin_streams() -> None:
    assert [stream for stream in range(10) if begun(5).begin(stream)] == [7, 9]


@pytest.mark.parametrize(("stream", "code"), [(9, ErrorCode.PROTOCOL_ERROR), (3, ErrorCode.STREAM_CLOSED)])
def test_frames_of_streams_that_were_never_begun_or_have_ended_are_errors(stream: int, code: ErrorCode) -> None:
    ids = begun(1, 3, 5)

    with pytest.raises(Http2ConnectionError) as caught:
        ids.expect_reset(stream)

    assert caught.value.code is code


def test_frames_of_streams_that_were_reset_are_passed_over_up_to_a_bound() -> None:
    ids = begun(999)
    for stream in range(1, 999, 2):
        ids.reset(stream)

    ids.expect_reset(997)
    with pytest.raises(Http2ConnectionError):
        ids.expect_reset(1)


def test_new_streams_that_are_refused_are_as_good_as_reset() -> None:
    ids = begun(1)

    ids.refuse_new()

    assert not ids.begin(3)
    ids.expect_reset(3)
    assert ids.is_refusing
