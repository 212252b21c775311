"""Flow control (RFC 9113 sections 5.2 and 6.9): how much may be sent, and when the peer may send more."""

from __future__ import annotations

from gateway_core.proxy.wire.h2.frames import MAX_WINDOW


def opened(window: int, size: int) -> int:
    """Return a window of ours, to send, that the peer opened by so many bytes.

    It may be negative, and stay so, if SETTINGS made it smaller.

    :raises ValueError: ``size`` is 0, or the window would be larger than the protocol has.
    """
    if not size:
        raise ValueError("a window is opened by nothing")
    if window + size > MAX_WINDOW:
        raise ValueError("a window is larger than the protocol has")
    return window + size


class ReceiveWindow:
    """What a peer may send: on a stream, or on the connection."""

    __slots__ = ("_left", "_owed", "size")

    def __init__(self, size: int) -> None:
        """Begin with the whole window.

        :param size: bytes that the peer may send before a WINDOW_UPDATE.
        """
        self.size = size
        self._left = size
        self._owed = 0

    def take(self, size: int) -> bool:
        """Count what came, padding included; False if the peer was not allowed to send so much."""
        self._left -= size
        return self._left >= 0

    def owe(self, size: int) -> None:
        """Count what was passed on, to be announced later."""
        self._owed += size

    def give(self, size: int) -> int:
        """Count what was passed on; return the bytes to announce now, 0 if that can wait.

        It waits for half of the window, so that updates are few and the peer never has to stop for one.
        """
        self._owed += size
        if self._owed * 2 < self.size:
            return 0
        return self.settle()

    def pass_on(self, size: int) -> int:
        """Count what came and is passed on at once, as `take` and `give` do; negative for what `take` refuses."""
        self._left = left = self._left - size
        if left < 0:
            return -1
        self._owed = owed = self._owed + size
        return self.settle() if owed * 2 >= self.size else 0

    def grow(self, size: int) -> None:
        """Enlarge the window by so many bytes, which the caller announces."""
        self.size += size
        self._left += size

    def settle(self) -> int:
        """Return all that is to be announced."""
        owed, self._owed = self._owed, 0
        self._left += owed
        return owed

    @property
    def outstanding(self) -> int:
        """Bytes that came and were not given back: held, or owed."""
        return self.size - self._left
