"""Frames of HTTP/2: read strictly from any pieces, and made (RFC 9113 sections 4 and 6).

`FrameReader.read` yields each complete frame, and raises for the first that breaks a rule of frames: those before it
were yielded. What it yields needs no further look at the frame itself: lengths and streams are checked by a table,
padding and priorities are cut off, and HEADERS comes with the fragments of its CONTINUATION frames as one block.
Frames of types that we do not know come as well, to be passed over: they cost work like others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

from gateway_core.proxy.wire.h2.errors import ErrorCode, Http2ConnectionError

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client sends first (section 3.4)."""

PREFACE_HEAD: Final = PREFACE[:18]
"""What of the preface is a head for a reader of HTTP/1."""

MAX_FRAME_SIZE: Final = 16384
"""Bytes of a payload at most that every peer takes, and all that we take."""

FRAME_HEAD_SIZE: Final = 9
"""Bytes before each payload."""

MAX_WINDOW: Final = 0x7FFFFFFF
DEFAULT_WINDOW: Final = 65535

_MOST_CONTINUATIONS: Final = 16
_MOST_BLOCK: Final = 65536


class FrameType(IntEnum):
    """Types of frames; others are passed over."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9
    PRIORITY_UPDATE = 16
    """RFC 9218 section 7.1."""


DATA: Final = int(FrameType.DATA)
HEADERS: Final = int(FrameType.HEADERS)
PRIORITY: Final = int(FrameType.PRIORITY)
RST_STREAM: Final = int(FrameType.RST_STREAM)
SETTINGS: Final = int(FrameType.SETTINGS)
PING: Final = int(FrameType.PING)
GOAWAY: Final = int(FrameType.GOAWAY)
WINDOW_UPDATE: Final = int(FrameType.WINDOW_UPDATE)
CONTINUATION: Final = int(FrameType.CONTINUATION)
PRIORITY_UPDATE: Final = int(FrameType.PRIORITY_UPDATE)

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
HAS_PRIORITY: Final = 0x20


class Setting(IntEnum):
    """Settings that mean something to us (section 6.5.2, RFC 8441 section 3)."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6
    ENABLE_CONNECT_PROTOCOL = 8
    NO_RFC7540_PRIORITIES = 9
    """RFC 9218 section 2.1."""


_SWITCHES: Final = {Setting.ENABLE_PUSH, Setting.ENABLE_CONNECT_PROTOCOL, Setting.NO_RFC7540_PRIORITIES}


class _Rule(NamedTuple):
    """What is demanded of a type of frame."""

    stream: bool | None
    """Whether it belongs to a stream (True) or to the connection (False); None if both may be."""
    least: int
    most: int
    """Bytes of the payload."""

    def admits(self, stream: int, length: int) -> bool:
        """Return whether a frame of this type may be like that."""
        return self.least <= length <= self.most and (self.stream is None or self.stream is (stream > 0))


_RULES: Final[dict[int, _Rule]] = {
    FrameType.DATA: _Rule(True, 0, MAX_FRAME_SIZE),
    FrameType.HEADERS: _Rule(True, 0, MAX_FRAME_SIZE),
    FrameType.PRIORITY: _Rule(True, 5, 5),
    FrameType.RST_STREAM: _Rule(True, 4, 4),
    FrameType.SETTINGS: _Rule(False, 0, MAX_FRAME_SIZE),
    FrameType.PING: _Rule(False, 8, 8),
    FrameType.GOAWAY: _Rule(False, 8, MAX_FRAME_SIZE),
    FrameType.WINDOW_UPDATE: _Rule(None, 4, 4),
    FrameType.PRIORITY_UPDATE: _Rule(False, 4, MAX_FRAME_SIZE),
}

_PLAIN: Final = {
    kind << 8 | flags
    for kind, flags in ((DATA, 0), (DATA, END_STREAM), (HEADERS, END_HEADERS), (HEADERS, END_HEADERS | END_STREAM))
}
"""Types and flags of nearly all frames: what they have is their payload."""

Frame = tuple[int, int, int, bytes, int]
"""Type, flags, stream, payload without padding and priority, and its length on the wire, which windows count."""

_HEAD: Final = Struct(">IBI")
_read_head = _HEAD.unpack_from
make_head: Final = _HEAD.pack
"""Returns the head of a frame: of its length and type in one number, its flags and its stream."""
_NUMBER: Final = Struct(">I")
_PAIR: Final = Struct(">HI")
_STREAM: Final = 0x7FFFFFFF


def _too_large(length: int, beginning: bytes) -> Http2ConnectionError:
    if beginning.startswith(b"HTTP/1"):
        return Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "it speaks HTTP/1, not HTTP/2")
    return Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length} bytes is too large")


class FrameReader:
    """Reads the frames of one direction of a connection."""

    __slots__ = ("_block", "_expects_settings", "_preface", "_rest", "is_in_frame", "is_moving", "is_reading")

    def __init__(self, *, from_client: bool) -> None:
        """Expect a beginning: SETTINGS, and before it the preface if a client is read."""
        self._rest = b""
        self._preface = PREFACE if from_client else b""
        self._expects_settings = True
        self._block: _Block | None = None
        self.is_moving = False
        """Whether the last bytes completed a frame, and did not just go on with a block."""
        self.is_reading = False
        """Whether there is more to yield of them."""
        self.is_in_frame = from_client
        """Whether a frame or the preface is not complete."""

    def read(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that are complete with these bytes.

        :raises Http2ConnectionError: the next one breaks a rule.
        """
        if self._rest:
            data = self._rest + data
            self._rest = b""
        self.is_reading, self.is_in_frame = True, False
        position, size = self._begin(data) if self._preface else 0, len(data)
        while size - position >= 9:
            word, flags, stream = _read_head(data, position)
            length, kind = word >> 8, word & 0xFF
            if length > MAX_FRAME_SIZE:
                raise _too_large(length, data if self._expects_settings else b"")
            start = position + 9
            end = start + length
            if end > size:
                break
            position, stream = end, stream & _STREAM
            if kind << 8 | flags in _PLAIN and stream and not (self._expects_settings or self._block is not None):
                yield kind, flags, stream, data[start:end], length
                continue
            if self._expects_settings or self._block is not None or kind > WINDOW_UPDATE:
                found = self._unusual(kind, flags, stream, data[start:end])
                if found is not None:
                    yield found
                continue
            found = self._usual(kind, flags, stream, data[start:end])
            if found is not None:
                yield found
        is_between = self._block is None and not self._preface
        if position < size:
            self._rest = data[position:]
        self.is_moving = position > 0 and is_between
        self.is_reading, self.is_in_frame = False, position < size or not is_between

    def _begin(self, data: bytes) -> int:
        """Return where the frames begin: behind the preface, or behind all of it that is there."""
        preface = self._preface
        if not data.startswith(preface[: len(data)]):
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "the connection does not begin with HTTP/2's preface")
        self._preface = preface[len(data) :]
        return min(len(data), len(preface))

    def _usual(self, kind: int, flags: int, stream: int, payload: bytes) -> Frame | None:
        """Return a frame of a known type, checked; None if it begins a block."""
        length, rule = len(payload), _RULES.get(kind)
        if rule is None or not rule.admits(stream, length):
            raise _error(kind, stream, length)
        if kind <= HEADERS:
            if flags & (PADDED | HAS_PRIORITY):
                payload = _content(kind, flags, stream, payload)
            if kind == HEADERS and not flags & END_HEADERS:
                self._block = _Block(flags, stream, payload)
                return None
        return kind, flags, stream, payload, length

    def _unusual(self, kind: int, flags: int, stream: int, payload: bytes) -> Frame | None:
        """Return a frame at the beginning or within a block of fields, or of an extension; None if a block goes on."""
        block = self._block
        if self._expects_settings:
            if kind != SETTINGS or flags & ACK:
                raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
            self._expects_settings = False
        elif block is not None:
            if kind != CONTINUATION or stream != block.stream:
                raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "another frame comes within a block of fields")
            if not block.add(payload):
                raise Http2ConnectionError(
                    ErrorCode.ENHANCE_YOUR_CALM, "a block of fields is too large or in many pieces"
                )
            if not flags & END_HEADERS:
                return None
            self._block = None
            joined = b"".join(block.parts)
            return HEADERS, block.flags | END_HEADERS, stream, joined, len(joined)
        elif kind not in {CONTINUATION, PRIORITY_UPDATE}:
            return kind, flags, stream, payload, len(payload)  # of an extension that we do not know (section 5.5)
        rule = _RULES.get(kind)
        if rule is None or not rule.admits(stream, len(payload)):
            raise _error(kind, stream, len(payload))
        return kind, flags, stream, payload, len(payload)


class _Block:
    """A block of fields of which the end is to come."""

    __slots__ = ("flags", "parts", "size", "stream")

    def __init__(self, flags: int, stream: int, fragment: bytes) -> None:
        self.flags = flags
        self.stream = stream
        self.parts = [fragment]
        self.size = len(fragment)

    def add(self, fragment: bytes) -> bool:
        """Add a fragment; False if that is too much. Empty ones count as well: they cost as much as others."""
        self.parts.append(fragment)
        self.size += len(fragment)
        return len(self.parts) <= _MOST_CONTINUATIONS and self.size <= _MOST_BLOCK


def _error(kind: int, stream: int, length: int) -> Http2ConnectionError:
    rule = _RULES.get(kind)
    if rule is None:  # PUSH_PROMISE, which no peer may send us, and CONTINUATION behind a complete block
        return Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, f"{FrameType(kind).name} is not expected")
    if rule.stream is not None and (stream > 0) is not rule.stream:
        where = "needs a stream" if rule.stream else "belongs to no stream"
        return Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, f"{FrameType(kind).name} {where}")
    return Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, f"{FrameType(kind).name} has {length} bytes")


def _content(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return DATA or HEADERS without padding and priority."""
    start, end = 0, len(payload)
    if flags & PADDED:
        if not payload:
            raise Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "a padded frame has no length of its padding")
        start, end = 1, end - payload[0]
    if kind == HEADERS and flags & HAS_PRIORITY:
        if end - start >= 5 and _NUMBER.unpack_from(payload, start)[0] & _STREAM == stream:
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a stream depends on itself")
        start += 5
    if start > end:
        raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "the padding is as long as the frame, or longer")
    return payload[start:end]


def read_number(payload: bytes) -> int:
    """Return the 32 bits with which a payload begins."""
    number: int = _NUMBER.unpack_from(payload)[0]
    return number


def read_settings(payload: bytes) -> Iterator[tuple[int, int]]:
    """Yield identifiers and values of SETTINGS.

    :raises Http2ConnectionError: a value is not one that the setting may have.
    """
    if len(payload) % _PAIR.size:
        raise Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS is no list of pairs")
    for identifier, value in _PAIR.iter_unpack(payload):
        if identifier == Setting.INITIAL_WINDOW_SIZE and value > MAX_WINDOW:
            raise Http2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "the initial window is too large")
        if identifier == Setting.MAX_FRAME_SIZE and not MAX_FRAME_SIZE <= value <= 0xFFFFFF:
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "the largest frame is not one that the protocol has")
        if identifier in _SWITCHES and value > 1:
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, f"{Setting(identifier).name} is neither 0 nor 1")
        yield identifier, value


# -- made


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame."""
    return make_head(len(payload) << 8 | kind, flags, stream) + payload


def data_frames(stream: int, data: bytes | memoryview, flags: int) -> list[bytes | memoryview]:
    """Return a part of a body in DATA: the head of each frame and its payload, which is not copied.

    :param flags: of the last frame.
    """
    left = len(data)
    if left <= MAX_FRAME_SIZE:
        return [make_head(left << 8 | DATA, flags, stream), data]
    head, view = make_head(MAX_FRAME_SIZE << 8 | DATA, 0, stream), memoryview(data)
    made: list[bytes | memoryview] = []
    while left > MAX_FRAME_SIZE:
        made += (head, view[:MAX_FRAME_SIZE])
        view = view[MAX_FRAME_SIZE:]
        left -= MAX_FRAME_SIZE
    made += (make_head(left << 8 | DATA, flags, stream), view)
    return made


def headers_frames(stream: int, block: bytes, *, ends: bool, most: int = MAX_FRAME_SIZE) -> bytes:
    """Return a block of fields in HEADERS, with CONTINUATION where one frame does not hold it.

    :param ends: whether the message has nothing behind it.
    :param most: bytes of a payload.
    """
    last = END_STREAM if ends else 0
    if len(block) <= most:
        return make_head(len(block) << 8 | HEADERS, END_HEADERS | last, stream) + block
    made = [frame(HEADERS, last, stream, block[:most])]
    for start in range(most, len(block), most):
        is_last = start + most >= len(block)
        made.append(frame(CONTINUATION, END_HEADERS if is_last else 0, stream, block[start : start + most]))
    return b"".join(made)


def settings_frame(settings: Mapping[int, int] | Iterable[tuple[int, int]]) -> bytes:
    """Return SETTINGS."""
    pairs = settings.items() if isinstance(settings, Mapping) else settings
    return frame(SETTINGS, 0, 0, b"".join(_PAIR.pack(identifier, value) for identifier, value in pairs))


SETTINGS_ACK: Final = frame(SETTINGS, ACK, 0)


def window_update(stream: int, size: int) -> bytes:
    """Return WINDOW_UPDATE; stream 0 is the connection."""
    return make_head(4 << 8 | WINDOW_UPDATE, 0, stream) + _NUMBER.pack(size)


def rst_stream(stream: int, code: ErrorCode) -> bytes:
    """Return RST_STREAM."""
    return make_head(4 << 8 | RST_STREAM, 0, stream) + _NUMBER.pack(code)


def ping(payload: bytes, *, is_ack: bool = False) -> bytes:
    """Return PING with 8 bytes."""
    return frame(PING, ACK if is_ack else 0, 0, payload)


def goaway(last: int, code: ErrorCode, detail: str = "") -> bytes:
    """Return GOAWAY.

    :param last: the last stream of the peer's that was, or may be, acted upon.
    :param detail: for people.
    """
    return frame(GOAWAY, 0, 0, _NUMBER.pack(last) + _NUMBER.pack(code) + detail.encode()[:256])
