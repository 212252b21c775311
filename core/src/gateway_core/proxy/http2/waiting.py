"""Bytes of responses that wait for the clients of a process, over all connections of HTTP/2 together.

Each stream has a bound of its own (`HIGH_WATER`), but a client may begin a hundred of them on a connection, and read
none. So what all streams hold is counted. While it is much (`PLENTY`), a stream whose client does not keep up pauses
its upstream with the first bytes that have to wait, so that it holds no more than one read. When it is more than
`MOST`, the connection that holds the most loses the streams that wait on it: slow clients are many, and hold little
each, but one that holds the most has begun many streams and takes none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

HIGH_WATER: Final = 65_536
"""Bytes that wait in a stream before their producer is paused."""

LOW_WATER: Final = 16_384
"""Bytes that are left when it is resumed."""

PLENTY: Final = 8_388_608
"""Bytes from which on a stream holds no more than one read of its upstream."""

MOST: Final = 134_217_728
"""Bytes that may wait: 1,000 clients that stop within a large response hold as much, by a read of 128 KiB each."""


class WaitingBytes:
    """Counts what waits in the streams of all connections."""

    __slots__ = ("_holdings", "_is_shedding", "total")

    def __init__(self) -> None:
        self._holdings: set[Holding] = set()
        self._is_shedding = False
        self.total = 0

    def change(self, holding: Holding, size: int) -> None:
        """Count bytes that wait, or do so no longer."""
        self.total += size
        if not holding.size:
            self._holdings.discard(holding)
        elif size > 0:
            self._holdings.add(holding)
            if self.total > MOST and not self._is_shedding:
                self._is_shedding = True
                # Not at once: the stream that adds them is in the middle of its response.
                asyncio.get_running_loop().call_soon(self._shed)

    def _shed(self) -> None:
        self._is_shedding = False
        while self.total > MOST:
            before = self.total
            max(self._holdings, key=lambda each: each.size).shed()
            if self.total == before:
                return


class Holding:
    """What waits in the streams of one connection."""

    __slots__ = ("_all", "shed", "size")

    def __init__(self, waiting: WaitingBytes, shed: Callable[[], None]) -> None:
        """Begin with nothing.

        :param waiting: what waits on all connections.
        :param shed: resets the streams that wait on this one.
        """
        self._all = waiting
        self.shed = shed
        self.size = 0

    @property
    def is_among_plenty(self) -> bool:
        """Whether all connections together hold plenty."""
        return self._all.total >= PLENTY

    def add(self, size: int) -> None:
        """Count bytes that have to wait."""
        self.size += size
        self._all.change(self, size)

    def remove(self, size: int) -> None:
        """Count bytes that wait no longer."""
        self.size -= size
        self._all.change(self, -size)
