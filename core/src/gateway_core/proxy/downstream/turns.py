"""Turns for connections that hold more than one step of work: no client's bytes must hold up all other clients.

A request that comes alone is served as soon as it is read, which costs no turn. Of requests that came together the
first is served immediately; the others stay in their connection's buffer, as do all but the first of very many small
chunks of a body, and the connections that hold some form one queue. Each turn of the event loop serves a bounded number
of requests from its head, at most a few of each connection, which then goes to the end of the queue. Between two turns
the loop reads and writes for all other connections. A connection with a full buffer is not read from (`HIGH_WATER`), so
a client holds that much and one read at most.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

_log = logging.getLogger("gateway.proxy")

REQUESTS_PER_TURN: Final = 16
"""Pipelined requests that one turn of the loop serves: a millisecond or two, whatever the number of connections."""

REQUESTS_PER_VISIT: Final = 4
"""Pipelined requests that one connection gets served before the others have their turn."""

SECONDS_PER_TURN: Final = 0.003
"""Time after which a turn serves no further connection, for requests that are costly."""


class Pipelined(Protocol):
    """A connection that holds requests."""

    def serve_held(self, most: int) -> int:
        """Serve at most so many held requests and parts of bodies; return how many. Enter again if there are more."""

    def abort(self) -> None:
        """Close the connection."""


class Turns:
    """The queue of connections that hold requests which can be served."""

    __slots__ = ("_is_scheduled", "_loop", "_now", "_queue")

    def __init__(self, loop: asyncio.AbstractEventLoop, now: Callable[[], float]) -> None:
        self._loop = loop
        self._now = now
        self._queue: deque[Pipelined] = deque()
        self._is_scheduled = False

    def enter(self, connection: Pipelined) -> None:
        """Have a connection's requests served in a later turn; a connection enters once until it is served."""
        self._queue.append(connection)
        self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        self._is_scheduled = False
        queue, left = self._queue, REQUESTS_PER_TURN
        end = self._now() + SECONDS_PER_TURN
        # Those that enter again meanwhile have had their visit in this turn.
        for _ in range(len(queue)):
            connection = queue.popleft()
            try:
                left -= connection.serve_held(min(left, REQUESTS_PER_VISIT))
            except Exception:  # noqa: BLE001 - a defect in serving one connection must not stop the queue
                _log.exception("a connection could not be served: %r", connection)
                connection.abort()
            if left <= 0 or self._now() >= end:
                break
        if queue:
            self._schedule()
