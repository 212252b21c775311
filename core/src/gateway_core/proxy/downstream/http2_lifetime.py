"""How far a connection of HTTP/2 is on its way to its end, and when the next step is due. Pure: time is an argument.

    OPEN -> DRAINING -> FINISHING -> CLOSING

A connection that is to end, because the gateway drains or it has reached its age, announces it in two steps (RFC 9113
section 6.8): a GOAWAY that refuses nothing, with a PING behind it, and when that is acknowledged, so that the client
has surely read both, a GOAWAY with the last stream that is served. It is closed once all streams are done. What was
begun before ``max_connection_age`` has as long again: a stream that never ends would keep its client where it is for
ever.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from gateway_core.proxy.sweeper import NEVER

ACKNOWLEDGED_WITHIN: Final = 1.0
"""Seconds that a client has to acknowledge the PING behind the first GOAWAY."""

AGE_JITTER: Final = 0.1
"""The part of ``max_connection_age`` by which connections differ, so that they do not all end at once."""


class State(IntEnum):
    """Where a connection is."""

    OPEN = 0
    DRAINING = 1
    """GOAWAY and PING are sent, and the client has not acknowledged the PING."""
    FINISHING = 2
    """The last GOAWAY is sent; the streams that were begun before are served."""
    CLOSING = 3
    """All is written, and nothing that comes is read any more."""


class Lifetime:
    """The state of one connection."""

    __slots__ = ("_age", "deadline", "is_closing", "is_finishing", "state")

    def __init__(self, age: float, chance: float, now: float) -> None:
        """Begin OPEN.

        :param age: seconds after which it drains; 0 is never.
        :param chance: from 0 to 1; by which connections of one age differ.
        :param now: monotonic seconds.
        """
        self._age = age
        self.state = State.OPEN
        # What is asked again and again, as to look up a member of an Enum takes much longer.
        self.is_finishing = self.is_closing = False
        """Whether it is FINISHING, or CLOSING."""
        self.deadline = now + age * (1 + AGE_JITTER * (2 * chance - 1)) if age else NEVER
        """When the next step is due: `drain`, `finish`, or that the streams which are left end."""

    def drain(self, now: float) -> None:
        """Wait for the PING to be acknowledged."""
        self.state, self.deadline = State.DRAINING, now + ACKNOWLEDGED_WITHIN

    def finish(self, now: float) -> None:
        """Wait for the streams that were begun."""
        self.state, self.is_finishing = State.FINISHING, True
        self.deadline = now + self._age if self._age else NEVER

    def close(self) -> None:
        """Wait for nothing, as also where the streams that were left have been ended."""
        self.state, self.deadline = State.CLOSING, NEVER
        self.is_finishing, self.is_closing = False, True

    def end_streams(self) -> None:
        """Wait for the streams that were left, whose ends are on their way."""
        self.deadline = NEVER
