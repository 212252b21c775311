from __future__ import annotations

import asyncio

import pytest
from gateway_core.proxy.sweeper import NEVER, Sweeper


class Item:
    """Notes when it was told that its time is over."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.expired_at: list[float] = []
        self.told = asyncio.Event()

    def expire(self, now: float) -> None:
        self.expired_at.append(now)
        self.deadline = NEVER
        self.told.set()


class Now:
    value = 100.0

    def __call__(self) -> float:
        return self.value


@pytest.mark.parametrize(("deadline", "expires"), [(100.0, True), (99.0, True), (100.1, False), (NEVER, False)])
async def test_what_is_due_expires_once_and_nothing_else(deadline: float, expires: bool) -> None:
    item, marker = Item(deadline), Item(0.0)
    sweeper = Sweeper(asyncio.get_running_loop(), Now())
    sweeper.watch([item, marker])

    await marker.told.wait()
    marker.told.clear()
    marker.deadline = 0.0
    await marker.told.wait()

    sweeper.stop()
    assert item.expired_at == ([100.0] if expires else [])


async def test_what_joins_a_watched_collection_is_seen_and_what_expires_may_leave_it() -> None:
    items: set[Item] = set()
    sweeper = Sweeper(asyncio.get_running_loop(), Now())
    sweeper.watch(items)

    class Leaving(Item):
        def expire(self, now: float) -> None:
            items.discard(self)
            super().expire(now)

    first, second = Leaving(0.0), Leaving(0.0)
    items |= {first, second}
    await asyncio.gather(first.told.wait(), second.told.wait())

    sweeper.stop()
    assert items == set()


async def test_a_group_of_long_deadlines_is_swept_more_rarely() -> None:
    class Counting(Item):
        def expire(self, now: float) -> None:
            self.expired_at.append(now)
            if len(self.expired_at) == 6:
                self.told.set()

    often, rarely = Counting(0.0), Counting(0.0)
    sweeper = Sweeper(asyncio.get_running_loop(), Now())
    sweeper.watch([often])
    sweeper.watch([rarely], every=3)

    await often.told.wait()

    sweeper.stop()
    assert len(rarely.expired_at) == 2


async def test_it_knows_the_time_of_the_last_sweep() -> None:
    now, marker = Now(), Item(0.0)
    sweeper = Sweeper(asyncio.get_running_loop(), now)
    sweeper.watch([marker])

    now.value = 200.0
    assert sweeper.time == 100.0
    await marker.told.wait()

    sweeper.stop()
    assert sweeper.time == 200.0


async def test_a_deadline_that_fails_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Item):
        def expire(self, now: float) -> None:
            super().expire(now)
            raise RuntimeError("expected")

    failing, other, later = Failing(0.0), Item(0.0), Item(0.0)
    sweeper = Sweeper(asyncio.get_running_loop(), Now())
    sweeper.watch([failing, other])
    sweeper.watch([later], every=2)

    await asyncio.gather(other.told.wait(), later.told.wait())

    sweeper.stop()
    assert "a deadline could not be acted on" in caplog.text
