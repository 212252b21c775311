"""Idle connections forget the last head that they remember: ten thousand of them would keep as many."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final, Protocol

from gateway_core import memory

KEPT: Final = 2.0
"""Seconds before an idle connection drops its cached head."""

MANY: Final = 1000
"""Heads that, forgotten at once, are worth giving their memory back to the system."""


class Remembering(Protocol):
    """A connection, as far as this goes."""

    @property
    def deadline(self) -> float: ...
    @property
    def remembers(self) -> bool:
        """Whether a head is remembered although no request is in progress."""

    def forget_heads(self) -> None: ...


class IdleHeads:
    """Looks at all connections once in a while; a thing to sweep (see `Sweeper`)."""

    __slots__ = ("_connections", "_idle_timeout", "deadline")

    def __init__(self, connections: Collection[Remembering], idle_timeout: Callable[[], float]) -> None:
        """Begin at the next sweep.

        :param connections: live.
        :param idle_timeout: seconds after which idle connections are closed: what their deadlines are made from. If
            they never are, how long they have been idle is not known, and heads are forgotten at each sweep.
        """
        self._connections = connections
        self._idle_timeout = idle_timeout
        self.deadline = 0.0

    def expire(self, now: float) -> None:
        """Have those forget that are idle for long enough."""
        self.deadline = now + KEPT / 2
        if not self._connections:
            return
        last = now - KEPT + self._idle_timeout()
        idle = [each for each in self._connections if each.remembers and each.deadline <= last]
        for connection in idle:
            connection.forget_heads()
        if len(idle) >= MANY:
            memory.trim()
