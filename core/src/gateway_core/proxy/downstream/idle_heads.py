"""Idle connections let go of the last head that they remember: ten thousand of them would keep as many."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final, Protocol

from gateway_core import memory

if TYPE_CHECKING:
    from gateway_core.proxy.lane import HeadMemo

KEPT: Final = 2.0
"""Seconds that an idle connection remembers its last head: who comes again later than that is no hurry."""

MANY: Final = 1000
"""Heads that, forgotten at once, are worth giving their memory back to the system."""


class Remembering(Protocol):
    """A lane, as far as this goes."""

    memo: HeadMemo | None
    deadline: float

    @property
    def exchange(self) -> object: ...
    def forget_head(self) -> None: ...


class IdleHeads:
    """Looks at all connections once in a while; a thing to sweep (see `Sweeper`)."""

    __slots__ = ("_idle_timeout", "_lanes", "deadline")

    def __init__(self, lanes: Collection[Remembering], idle_timeout: Callable[[], float]) -> None:
        """Begin at the next sweep.

        :param lanes: live.
        :param idle_timeout: seconds after which idle connections are closed: what their deadlines are made from. If
            they never are, how long they have been idle is not known, and heads are forgotten at each sweep.
        """
        self._lanes = lanes
        self._idle_timeout = idle_timeout
        self.deadline = 0.0

    def expire(self, now: float) -> None:
        """Have those forget that are idle for long enough."""
        self.deadline = now + KEPT / 2
        if not self._lanes:
            return
        last = now - KEPT + self._idle_timeout()
        idle = [
            lane for lane in self._lanes if lane.memo is not None and lane.exchange is None and lane.deadline <= last
        ]
        for lane in idle:
            lane.forget_head()
        if len(idle) >= MANY:
            memory.trim()
