"""Bytes that wait to be sent, in the pieces in which they came."""

from __future__ import annotations

from collections import deque
from typing import Final

from gateway_core.proxy.wire.h2.frames import MAX_FRAME_SIZE

_SMALL: Final = 1024
"""Bytes below which a piece makes no frame of its own while others wait behind it."""


class PendingBytes:
    """A queue of bytes."""

    __slots__ = ("_parts", "queued")

    def __init__(self) -> None:
        """Begin with none."""
        self.queued = 0
        """Bytes that wait."""
        self._parts: deque[bytes | memoryview] | None = None  # until something has to wait

    def add(self, data: bytes | memoryview) -> None:
        """Have more wait; a view is of what does not change before `keep`, or before all of it is sent."""
        if self._parts is None:
            self._parts = deque()
        self._parts.append(data)
        self.queued += len(data)

    def discard(self) -> None:
        """Have nothing wait any more."""
        self._parts = None
        self.queued = 0

    def keep(self) -> None:
        """Keep what waits by itself: it is going to wait for longer than the buffers in which it came."""
        if self._parts:
            self._parts = deque([b"".join(self._parts)])

    def take(self, most: int) -> bytes | memoryview:
        """Return the next bytes, no more than so many; there are some."""
        parts = self._parts
        assert parts is not None, "something waits"
        data = parts.popleft()
        if len(data) > most:
            view = memoryview(data)  # of which parts are no copies
            parts.appendleft(view[most:])
            data = view[:most]
        elif parts and len(data) < most and (len(data) < _SMALL or len(data) + len(parts[0]) <= most):
            pieces, size = [data], len(data)  # small pieces make few frames
            while parts and size + len(parts[0]) <= most:
                size += len(parts[0])
                pieces.append(parts.popleft())
            if parts and size < _SMALL:
                # What a window cut off: a frame of its own would be acknowledged by itself, and so cut the next ones.
                view, room = memoryview(parts[0]), min(most, MAX_FRAME_SIZE) - size
                pieces.append(view[:room])
                parts[0] = view[room:]
            data = b"".join(pieces)
        self.queued -= len(data)
        return data
