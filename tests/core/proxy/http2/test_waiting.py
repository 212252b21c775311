"""What waits for all clients together."""

from __future__ import annotations

import asyncio

from gateway_core.proxy.http2.waiting import MOST, PLENTY, Holding, WaitingBytes


class Connection:
    """A connection that drops all it holds when it is to."""

    def __init__(self, waiting: WaitingBytes, *, is_stubborn: bool = False) -> None:
        self.holding = Holding(waiting, self.shed)
        self.sheds = 0
        self._is_stubborn = is_stubborn

    def shed(self) -> None:
        self.sheds += 1
        if not self._is_stubborn:
            self.holding.remove(self.holding.size)


async def test_streams_hold_less_while_all_hold_much() -> None:
    waiting = WaitingBytes()
    small, large = Connection(waiting), Connection(waiting)
    found = []

    for size in (10, PLENTY, -11):
        large.holding.add(size) if size > 0 else large.holding.remove(-size)
        found.append(small.holding.is_among_plenty)

    assert found == [False, True, False]
    assert waiting.total == PLENTY - 1


async def test_the_connections_that_hold_the_most_lose_it_when_it_is_too_much() -> None:
    waiting = WaitingBytes()
    small, large, larger = (Connection(waiting) for _ in range(3))
    small.holding.add(1000)
    large.holding.add(MOST // 2)
    larger.holding.add(MOST // 2 + 1)
    assert (large.sheds, larger.sheds) == (0, 0)  # the one that adds is in the middle of its response

    await asyncio.sleep(0)

    assert (small.sheds, large.sheds, larger.sheds) == (0, 0, 1)
    assert waiting.total == MOST // 2 + 1000


async def test_what_cannot_be_dropped_is_not_asked_for_without_end() -> None:
    waiting = WaitingBytes()
    stubborn = Connection(waiting, is_stubborn=True)

    stubborn.holding.add(MOST + 1)
    await asyncio.sleep(0)

    assert stubborn.sheds == 1
