"""Whether a server is to be asked, and when to look after it again: a small state machine without I/O."""

from __future__ import annotations

from typing import Final

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0


class Availability:
    """Up until something fails; then down until a probe succeeds, with growing pauses between probes.

    One reply that is late says little: a server that saves its data, or a machine that is busy, is late now and then.
    Only if another is late that was asked for afterwards is the server down.

    While it is down nobody waits for the server, and one probe at a time goes there: when it is back it is not met by
    everything that waited.
    """

    __slots__ = ("_asked", "_asked_when_late", "_pause", "is_up", "next_probe")

    def __init__(self) -> None:
        self.is_up = True
        self._asked = 0
        self._asked_when_late: int | None = None
        self.next_probe = 0.0
        """When to look again, by the clock of `failed`."""
        self._pause = FIRST_PAUSE

    def asked(self) -> int:
        """Note that something is asked of the server; return what `late` and `replied` know it by."""
        self._asked += 1
        return self._asked

    def replied(self) -> None:
        """Note that a reply came in time."""
        self._asked_when_late = None

    def late(self, number: int) -> bool:
        """Note that a reply did not come in time; return whether that means that the server is down."""
        if self._asked_when_late is None:
            self._asked_when_late = self._asked
        return number > self._asked_when_late

    def failed(self, now: float, draw: float) -> bool:
        """Note a failure.

        :param draw: a random number from 0 to 1: gateways that lost a server together do not come back together.
        :returns: whether the server was up until now.
        """
        was_up, self.is_up = self.is_up, False
        if was_up:
            self._pause = FIRST_PAUSE
        self.next_probe = now + self._pause * (0.5 + draw)
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        return was_up

    def succeeded(self) -> bool:
        """Note that a probe succeeded; return whether the server was down until now."""
        was_down, self.is_up = not self.is_up, True
        self._asked_when_late = None
        self._pause = FIRST_PAUSE
        return was_down

    def wait(self, now: float) -> float:
        """Return the seconds until the next probe."""
        return max(0.0, self.next_probe - now)
