"""Bytes that wait to be sent, in the pieces in which they came."""

from __future__ import annotations

from collections import deque


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
        elif parts and len(data) + len(parts[0]) <= most:
            small = [data, parts.popleft()]  # small pieces make few frames
            size = len(small[0]) + len(small[1])
            while parts and size + len(parts[0]) <= most:
                size += len(parts[0])
                small.append(parts.popleft())
            data = b"".join(small)
        self.queued -= len(data)
        return data
