from __future__ import annotations

import asyncio
import logging

import pytest
from gateway_core.proxy.downstream.turns import REQUESTS_PER_TURN, REQUESTS_PER_VISIT, SECONDS_PER_TURN, Turns
from hypothesis import given
from hypothesis import strategies as st


class Loop:
    """Runs what was scheduled, one turn at a time."""

    def __init__(self) -> None:
        self.scheduled: list[object] = []

    def call_soon(self, callback: object) -> None:
        self.scheduled.append(callback)

    def turn(self) -> None:
        (callback,) = self.scheduled
        self.scheduled = []
        assert callable(callback)
        callback()


class Connection:
    """Holds so many requests."""

    def __init__(self, turns: Turns, held: int, served: list[Connection], cost: float = 0) -> None:
        self.turns, self.held, self.served, self.cost = turns, held, served, cost
        self.aborted = False
        self.time = 0.0
        turns.enter(self)

    def serve_held(self, most: int) -> int:
        count = min(most, self.held)
        self.held -= count
        self.served += [self] * count
        if self.held:
            self.turns.enter(self)
        return count

    def abort(self) -> None:
        self.aborted = True


@pytest.fixture
def loop() -> Loop:
    return Loop()


def make(loop: Loop, times: list[float] | None = None) -> Turns:
    clock = iter(times) if times else None
    fake: object = loop
    assert not isinstance(fake, asyncio.AbstractEventLoop)
    return Turns(fake, (lambda: next(clock)) if clock else lambda: 0.0)  # type: ignore[arg-type]  # all that it calls


@given(held=st.lists(st.integers(1, 100), min_size=1, max_size=60))
def test_a_turn_is_bounded_and_everything_is_served_in_fair_order(held: list[int]) -> None:
    loop, served = Loop(), list[Connection]()
    turns = make(loop)
    connections = [Connection(turns, count, served) for count in held]

    while loop.scheduled:
        before = len(served)
        loop.turn()
        assert before < len(served) <= before + REQUESTS_PER_TURN

    assert len(served) == sum(held)
    for first in connections:
        # Between two visits to one connection every other has one at most.
        for other in connections:
            visits = [each for each in served if each in (first, other)]
            longest, run = 0, 0
            for each in visits[: visits.index(first) + 1] if first is not other else []:
                run = run + 1 if each is other else 0
                longest = max(longest, run)
            assert longest <= REQUESTS_PER_VISIT


def test_a_connection_that_is_alone_gets_one_visit_a_turn(loop: Loop) -> None:
    served: list[Connection] = []
    Connection(make(loop), 10, served)

    loop.turn()

    assert len(served) == REQUESTS_PER_VISIT


def test_a_turn_ends_when_its_time_is_over(loop: Loop) -> None:
    served: list[Connection] = []
    turns = make(loop, [0.0, 0.001, SECONDS_PER_TURN + 0.001, 9.0, 9.0, 9.0])
    connections = [Connection(turns, 1, served) for _ in range(3)]

    loop.turn()
    assert served == connections[:2]

    loop.turn()
    assert served == connections


def test_a_defect_in_one_connection_does_not_stop_the_others(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Connection):
        def serve_held(self, most: int) -> int:
            raise RuntimeError("broken")

    served: list[Connection] = []
    turns = make(loop)
    broken, other = Broken(turns, 1, served), Connection(turns, 1, served)

    with caplog.at_level(logging.ERROR):
        loop.turn()

    assert broken.aborted
    assert served == [other]
    assert "could not be served" in caplog.text
