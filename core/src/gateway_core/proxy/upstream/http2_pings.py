"""How often an endpoint of HTTP/2 gets a PING.

Servers of gRPC count PINGs that come faster than one in five minutes, from 0 after each response, and close the
connection at the third one with GOAWAY and ``too_many_pings``. The client then doubles its interval (gRFC A8).
"""

from __future__ import annotations

from typing import Final

from gateway_core.proxy.sweeper import NEVER

_AT_ONCE: Final = 2
_FIRST_INTERVAL: Final = 300.0


class PingRation:
    """Two PINGs without a response between them, and others at long intervals."""

    __slots__ = ("_at_once", "_interval", "_last", "_left")

    def __init__(self) -> None:
        self._interval = _FIRST_INTERVAL
        self._at_once = self._left = _AT_ONCE
        self._last = -NEVER

    def responded(self) -> None:
        """Note a response: servers count from 0 after one."""
        self._left = self._at_once

    def spend(self, now: float) -> bool:
        """Whether a PING may be sent now, which it is then."""
        if not self._left and now < self._last + self._interval:
            return False
        self._left = max(0, self._left - 1)
        self._last = now
        return True

    def reproved(self) -> None:
        """Double the interval, and send none before it is over: the endpoint says that there were too many."""
        self._interval *= 2
        self._at_once = self._left = 0
