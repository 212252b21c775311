"""Frames: the library hyperframe makes them, and they come in any pieces."""

from __future__ import annotations

import hyperframe.frame as oracle
import pytest
from gateway_core.proxy.wire.h2 import frames
from gateway_core.proxy.wire.h2.errors import ErrorCode, Http2ConnectionError
from gateway_core.proxy.wire.h2.frames import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    MAX_FRAME_SIZE,
    PING,
    PREFACE,
    SETTINGS,
    Frame,
    FrameReader,
    Setting,
    headers_frames,
    read_settings,
    settings_frame,
)
from hypothesis import given
from hypothesis import strategies as st

_BEGINNING = PREFACE + settings_frame({})


def read(*pieces: bytes) -> list[Frame]:
    """Return the frames behind the usual beginning."""
    reader = FrameReader(from_client=True)
    found = list(reader.read(_BEGINNING))
    for piece in pieces:
        found += reader.read(piece)
    return found[1:]


def refused(data: bytes, beginning: bytes = _BEGINNING) -> ErrorCode:
    """Return the code with which a connection ends."""
    reader = FrameReader(from_client=True)
    with pytest.raises(Http2ConnectionError) as caught:
        list(reader.read(beginning + data))
    return caught.value.code


def made(frame: oracle.Frame) -> bytes:
    return bytes(frame.serialize())


@given(st.lists(st.integers(0, 200), max_size=30), st.data())
def test_frames_are_the_same_in_whatever_pieces_they_come(cuts: list[int], data: st.DataObject) -> None:
    stream = oracle.HeadersFrame(1, data=b"block", flags=["END_HEADERS", "PADDED"])
    stream.pad_length = 7
    body = oracle.DataFrame(1, data=b"body" * 20, flags=["END_STREAM", "PADDED"])
    body.pad_length = 3
    ping = oracle.PingFrame(0, opaque_data=b"12345678")
    window = oracle.WindowUpdateFrame(0, window_increment=5)
    sent = _BEGINNING + made(stream) + made(body) + made(ping) + made(window)
    reader = FrameReader(from_client=True)
    found: list[Frame] = []
    position = 0
    for cut in [*sorted(min(cut, len(sent)) for cut in cuts), len(sent)]:
        found += reader.read(sent[position:cut])
        position = cut
    assert [(kind, stream, payload) for kind, _, stream, payload, _ in found] == [
        (SETTINGS, 0, b""),
        (HEADERS, 1, b"block"),
        (DATA, 1, b"body" * 20),
        (PING, 0, b"12345678"),
        (frames.WINDOW_UPDATE, 0, b"\0\0\0\5"),
    ]
    assert found[2][4] == 84  # what windows count: padding and its length as well
    assert not reader.is_in_frame


@given(st.binary(max_size=40), st.booleans(), st.integers(1, 60))
def test_a_block_in_pieces_is_one_block(block: bytes, ends: bool, most: int) -> None:
    ((kind, flags, stream, payload, _),) = read(headers_frames(5, block, ends=ends, most=max(most, 3)))
    assert (kind, stream, payload) == (HEADERS, 5, block)
    assert flags == END_HEADERS | (END_STREAM if ends else 0)


@given(st.binary(max_size=200))
def test_whatever_comes_is_frames_or_one_error(data: bytes) -> None:
    try:
        found = read(data)
    except Http2ConnectionError:
        return
    assert all(len(payload) <= MAX_FRAME_SIZE for _, _, _, payload, _ in found)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", ErrorCode.FRAME_SIZE_ERROR),
        (frames.frame(DATA, 0, 1, bytes(MAX_FRAME_SIZE + 1)), ErrorCode.FRAME_SIZE_ERROR),
        (frames.frame(DATA, 0, 0, b"x"), ErrorCode.PROTOCOL_ERROR),
        (frames.frame(HEADERS, END_HEADERS, 0, b"x"), ErrorCode.PROTOCOL_ERROR),
        (frames.frame(frames.PRIORITY, 0, 0, bytes(5)), ErrorCode.PROTOCOL_ERROR),
        (frames.frame(frames.PRIORITY, 0, 1, bytes(4)), ErrorCode.FRAME_SIZE_ERROR),
        (frames.frame(frames.RST_STREAM, 0, 0, bytes(4)), ErrorCode.PROTOCOL_ERROR),
        (frames.frame(frames.RST_STREAM, 0, 1, bytes(3)), ErrorCode.FRAME_SIZE_ERROR),
        (frames.frame(SETTINGS, 0, 1), ErrorCode.PROTOCOL_ERROR),
        (frames.frame(PING, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
        (frames.frame(PING, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
        (frames.frame(frames.GOAWAY, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
        (frames.frame(frames.GOAWAY, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
        (frames.frame(frames.WINDOW_UPDATE, 0, 0, bytes(5)), ErrorCode.FRAME_SIZE_ERROR),
        (frames.frame(5, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),  # PUSH_PROMISE
        (frames.frame(frames.CONTINUATION, END_HEADERS, 1, b"x"), ErrorCode.PROTOCOL_ERROR),
        (frames.frame(DATA, frames.PADDED, 1), ErrorCode.FRAME_SIZE_ERROR),
        (frames.frame(DATA, frames.PADDED, 1, b"\x02x"), ErrorCode.PROTOCOL_ERROR),
        (frames.frame(HEADERS, END_HEADERS | frames.HAS_PRIORITY, 1, b"\0\0\0\0"), ErrorCode.PROTOCOL_ERROR),
        (frames.frame(HEADERS, END_HEADERS | frames.HAS_PRIORITY, 1, b"\0\0\0\1\0"), ErrorCode.PROTOCOL_ERROR),
        (frames.frame(frames.PRIORITY_UPDATE, 0, 1, bytes(4)), ErrorCode.PROTOCOL_ERROR),
        (frames.frame(frames.PRIORITY_UPDATE, 0, 0, bytes(3)), ErrorCode.FRAME_SIZE_ERROR),
    ],
)
def test_a_frame_that_breaks_a_rule_ends_the_connection(frame: bytes, code: ErrorCode) -> None:
    assert refused(frame) is code


@pytest.mark.parametrize(
    "behind",
    [
        frames.frame(DATA, 0, 1, b"x"),
        frames.frame(HEADERS, END_HEADERS, 1, b"x"),
        frames.frame(frames.CONTINUATION, END_HEADERS, 3, b"x"),
        frames.ping(bytes(8)),
        frames.frame(0xEE, 0, 1, b"extension"),
    ],
)
def test_within_a_block_nothing_else_may_come(behind: bytes) -> None:
    assert refused(frames.frame(HEADERS, 0, 1, b"x") + behind) is ErrorCode.PROTOCOL_ERROR


@pytest.mark.parametrize("size", [0, 1, 9000])
def test_a_block_in_endless_pieces_ends_the_connection(size: int) -> None:
    pieces = frames.frame(frames.CONTINUATION, 0, 1, bytes(size)) * 20
    assert refused(frames.frame(HEADERS, 0, 1, b"x") + pieces) is ErrorCode.ENHANCE_YOUR_CALM


@pytest.mark.parametrize(
    "beginning",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSX",
        PREFACE + frames.ping(bytes(8)),
        PREFACE + frames.SETTINGS_ACK,
        PREFACE + frames.frame(0xEE, 0, 0),
    ],
)
def test_a_connection_begins_with_the_preface_and_settings(beginning: bytes) -> None:
    assert refused(b"", beginning) is ErrorCode.PROTOCOL_ERROR


def test_a_server_that_speaks_http_1_is_named() -> None:
    with pytest.raises(Http2ConnectionError, match="it speaks HTTP/1, not HTTP/2"):
        list(FrameReader(from_client=False).read(b"HTTP/1.1 400 Bad Request\r\n\r\n"))


def test_frames_of_extensions_come_as_they_are() -> None:
    found = read(frames.frame(0xEE, 0xFF, 7, b"unknown"), frames.ping(b"12345678"))
    assert [each[0] for each in found] == [0xEE, PING]


def test_frames_before_the_one_that_breaks_a_rule_are_read() -> None:
    reader = FrameReader(from_client=True)
    list(reader.read(_BEGINNING))
    found = reader.read(frames.ping(b"12345678") + frames.frame(SETTINGS, 0, 1))
    assert next(found)[0] == PING
    with pytest.raises(Http2ConnectionError):
        next(found)


def test_the_reserved_bit_of_a_stream_is_passed_over() -> None:
    ((_, _, stream, _, _),) = read(frames.frame(DATA, 0, 0x80000001, b"x"))
    assert stream == 1


@pytest.mark.parametrize(
    ("identifier", "value", "code"),
    [
        (Setting.ENABLE_PUSH, 2, ErrorCode.PROTOCOL_ERROR),
        (Setting.ENABLE_CONNECT_PROTOCOL, 2, ErrorCode.PROTOCOL_ERROR),
        (Setting.NO_RFC7540_PRIORITIES, 2, ErrorCode.PROTOCOL_ERROR),
        (Setting.INITIAL_WINDOW_SIZE, 2**31, ErrorCode.FLOW_CONTROL_ERROR),
        (Setting.MAX_FRAME_SIZE, 16383, ErrorCode.PROTOCOL_ERROR),
        (Setting.MAX_FRAME_SIZE, 2**24, ErrorCode.PROTOCOL_ERROR),
    ],
)
def test_a_setting_has_only_values_of_its_own(identifier: int, value: int, code: ErrorCode) -> None:
    payload = settings_frame({identifier: value})[9:]
    with pytest.raises(Http2ConnectionError) as caught:
        list(read_settings(payload))
    assert caught.value.code is code


def test_settings_are_pairs() -> None:
    assert list(read_settings(settings_frame({3: 7, 0xFF: 1})[9:])) == [(3, 7), (0xFF, 1)]
    with pytest.raises(Http2ConnectionError):
        list(read_settings(bytes(5)))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (frames.rst_stream(3, ErrorCode.CANCEL), oracle.RstStreamFrame(3, error_code=8)),
        (frames.window_update(0, 70000), oracle.WindowUpdateFrame(0, window_increment=70000)),
        (frames.ping(b"abcdefgh", is_ack=True), oracle.PingFrame(0, opaque_data=b"abcdefgh", flags=["ACK"])),
        (
            frames.goaway(7, ErrorCode.ENHANCE_YOUR_CALM, "why"),
            oracle.GoAwayFrame(0, last_stream_id=7, error_code=11, additional_data=b"why"),
        ),
        (settings_frame({3: 100}), oracle.SettingsFrame(0, settings={3: 100})),
        (frames.SETTINGS_ACK, oracle.SettingsFrame(0, flags=["ACK"])),
    ],
)
def test_frames_are_made_as_others_make_them(ours: bytes, theirs: oracle.Frame) -> None:
    assert ours == made(theirs)


def test_an_acknowledgement_of_settings_is_told_from_settings() -> None:
    ((kind, flags, *_),) = read(frames.SETTINGS_ACK)
    assert (kind, flags) == (SETTINGS, ACK)
