"""Whether a server is to be asked, and when to look after it again: a small state machine without I/O."""

from __future__ import annotations

from random import Random
from typing import Final

from gateway_plugin_sdk import Backoff

FIRST_DELAY: Final = 0.1
LONGEST_DELAY: Final = 5.0


class Availability:
    """Up until something fails; then down until a probe succeeds, with growing delays between probes.

    One reply that is late says little: a server that saves its data, or a machine that is busy, is late now and then.
    Only if another is late that was asked for afterwards is the server down.

    While it is down nobody waits for the server, and one probe at a time goes there: when it is back it is not met by
    everything that waited.
    """

    __slots__ = ("_asked", "_asked_when_late", "_backoff", "is_up", "next_probe")

    def __init__(self, rng: Random) -> None:
        """Begin as up.

        :param rng: draws the jitter of the delays: gateways that lost a server together do not come back together.
        """
        self.is_up = True
        self._asked = 0
        self._asked_when_late: int | None = None
        self.next_probe = 0.0
        """When to look again, by the clock of `failed`."""
        self._backoff = Backoff(rng, first=FIRST_DELAY, longest=LONGEST_DELAY)

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

    def failed(self, now: float) -> bool:
        """Note a failure; return whether the server was up until now."""
        was_up, self.is_up = self.is_up, False
        self.next_probe = now + self._backoff.next_delay()
        return was_up

    def succeeded(self) -> bool:
        """Note that a probe succeeded; return whether the server was down until now."""
        was_down, self.is_up = not self.is_up, True
        self._asked_when_late = None
        self._backoff.reset()
        return was_down

    def wait(self, now: float) -> float:
        """Return the seconds until the next probe."""
        return max(0.0, self.next_probe - now)
