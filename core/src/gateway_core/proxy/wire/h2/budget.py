"""What a peer may do that costs us work and it nothing: bounded by a bucket that fills with time.

Streams that end early (rapid reset, CVE-2023-44487; resets that the peer provokes, CVE-2025-8671), floods of SETTINGS,
PING, PRIORITY, empty DATA and tiny windows are each legitimate in small numbers: a browser leaves a page of images, a
hedging client cancels the slower of two requests, gRPC measures round trips by PING.
"""

from __future__ import annotations

from typing import Final

IDLE_FRAMES: Final = (2000.0, 1000.0)
"""Points for frames that do nothing, at once and per second: gRPC measures round trips by PING."""

SETTINGS_POINTS: Final = 5.0

_FOR_EACH: Final = 1024
_MOST_UNUSED: Final = 1_048_576


class WindowUpdates:
    """How many WINDOW_UPDATEs a peer has earned: one for each KiB of DATA that it was sent, of the last MiB.

    Clients return both windows with each read of their programs, so their updates are as many as they read fast; and
    small ones for what windows cut off of a large body. One that opens its windows by single bytes earns nothing.
    """

    __slots__ = ("_opened", "_used")

    def __init__(self, window: int) -> None:
        """Begin with the window of the connection."""
        self._opened, self._used = window, 0

    def opened(self, size: int) -> None:
        """Note that the peer opens the window of the connection."""
        self._opened += size

    def use(self, window: int) -> bool:
        """Return whether one more is earned, which is used then.

        :param window: of the connection, as far as it is left.
        """
        sent = self._opened - window
        self._used = max(self._used, sent - _MOST_UNUSED)
        if sent - self._used < _FOR_EACH:
            return False
        self._used += _FOR_EACH
        return True


class Budget:
    """A bucket of points."""

    __slots__ = ("_burst", "_left", "_per_second", "_since")

    def __init__(self, burst: float, per_second: float, now: float) -> None:
        """Begin with a full bucket.

        :param burst: points that it holds.
        :param per_second: points that come back.
        :param now: monotonic seconds.
        """
        self._burst = self._left = burst
        self._per_second = per_second
        self._since = now

    def spend(self, points: float, now: float) -> bool:
        """Take points out; False if there are not so many, which is the peer's end."""
        self._left = min(self._burst, self._left + (now - self._since) * self._per_second) - points
        self._since = now
        return self._left >= 0
