"""Where WebSocket frames end (RFC 6455 section 5.2), so that a close frame can be sent between two of them.

The bytes of a tunnel pass untouched; only the lengths of the frames are read. What is no frame that a server may send,
or too many in one piece to be worth the work, ends the reading: where a frame ends is unknown from then on.
"""

from __future__ import annotations

from typing import Final

GOING_AWAY: Final = b"\x88\x02\x03\xe9"
"""A close frame with status 1001, "going away" (RFC 6455 section 7.4.1)."""

_MOST_FRAMES: Final = 256
"""Frames of one piece that are looked at: some hundred microseconds."""

_LONGEST_HEAD: Final = 10


class FrameReader:
    """Follows the frames that a server sends."""

    __slots__ = ("_head", "_left", "is_lost")

    def __init__(self) -> None:
        self._head = b""  # the beginning of a frame's head
        self._left = 0  # bytes of the current frame that are still to come
        self.is_lost = False
        """Whether the bounds of frames are lost."""

    @property
    def is_between_frames(self) -> bool:
        """Whether another frame may begin here."""
        return not (self.is_lost or self._left or self._head)

    def feed(self, data: bytes) -> None:
        """Read the next bytes of the stream."""
        if self._left > len(data):  # the usual piece of a long frame
            self._left -= len(data)
            return
        position, frames = self._left, 0
        self._left = 0
        while position < len(data) and not self.is_lost:
            held = len(self._head)
            head = self._head + data[position : position + _LONGEST_HEAD - held]
            size, length = _read_head(head)
            if not size:
                self._head = head
                return
            frames += 1
            self.is_lost = length < 0 or frames > _MOST_FRAMES
            position += size - held + length
            self._head = b""
        self._left = max(position - len(data), 0)


def _read_head(head: bytes) -> tuple[int, int]:
    """Return the size of a frame's head, 0 if more of it is needed, and the length behind it; -1 if it is no frame."""
    if len(head) < 2:
        return 0, 0
    length = head[1]
    if length > 127:  # masked, which only a client's frames are
        return 2, -1
    if length < 126:
        return 2, length
    size = 4 if length == 126 else _LONGEST_HEAD
    if len(head) < size:
        return 0, 0
    length = int.from_bytes(head[2:size])
    return size, length if length < 1 << 63 else -1
