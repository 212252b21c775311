"""The streams of a client by their numbers, which only rise: idle, begun, or reset (RFC 9113 section 5.1).

A stream that is gone can still be named by frames which the client sent before it knew: those of streams that we have
reset are passed over; of others they break the protocol.
"""

from __future__ import annotations

from typing import Final

from gateway_core.proxy.wire.h2.errors import ErrorCode, Http2ConnectionError

_MOST_RESET: Final = 256
"""Streams that we have reset and whose frames may still come."""


class StreamIds:
    """What the number of a stream says about it."""

    __slots__ = ("_reset", "is_refusing", "last")

    def __init__(self) -> None:
        """Begin with no stream begun."""
        self.last = 0
        """The last stream that the client began."""
        self.is_refusing = False
        """Whether streams that it begins are passed over from now on, which is as good as reset."""
        self._reset: dict[int, None] = {}  # the last ones, in their order

    def begin(self, stream_id: int) -> bool:
        """Have HEADERS on a stream begin it, so that those before it can no longer; False if they do not."""
        if stream_id <= self.last or not stream_id & 1 or self.is_refusing:
            return False
        self.last = stream_id
        return True

    def refuse_new(self) -> None:
        """Have streams that begin from now on be passed over."""
        self.is_refusing = True

    def is_idle(self, stream_id: int) -> bool:
        """Return whether the stream was never begun."""
        if not stream_id & 1:
            return True
        return stream_id > self.last and not self.is_refusing

    def reset(self, stream_id: int) -> None:
        """Take frames for a stream that is reset now."""
        self._reset[stream_id] = None
        if len(self._reset) > _MOST_RESET:
            del self._reset[next(iter(self._reset))]

    def expect_reset(self, stream_id: int) -> None:
        """Take a frame of a stream that is not there.

        :raises Http2ConnectionError: that is not because we have reset it.
        """
        if self.is_idle(stream_id):
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a frame names a stream that was never begun")
        if stream_id not in self._reset and stream_id <= self.last:
            raise Http2ConnectionError(ErrorCode.STREAM_CLOSED, "a frame names a stream that is closed")
