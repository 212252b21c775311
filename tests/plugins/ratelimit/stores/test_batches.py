from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from gateway_plugin_ratelimit.stores.batches import LARGEST, Batcher
from gateway_plugin_ratelimit.stores.scripts import Call


class Server:
    """Answers each call with its key, when it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.error: Exception | None = None
        self.broken_keys: set[str] = set()

    async def run(self, calls: Sequence[Call]) -> list[Any]:
        self.batches.append([call.keys[0] for call in calls])
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return [RuntimeError("broken") if call.keys[0] in self.broken_keys else call.keys[0] for call in calls]


def call(key: object) -> Call:
    return Call([str(key)], "")


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def batcher(server: Any) -> AsyncIterator[Any]:
    made = Batcher(server, timeout=30.0, at_once=1)
    yield made
    server.may_answer.set()
    await made.aclose()


async def test_calls_of_one_round_of_the_loop_travel_together(server: Any, batcher: Any) -> None:
    answers = await asyncio.gather(*[batcher.submit(call(number)) for number in range(5)])

    assert answers == ["0", "1", "2", "3", "4"]
    assert server.batches == [["0", "1", "2", "3", "4"]]


async def test_calls_that_find_all_connections_busy_make_the_next_batch(
    server: Any, batcher: Any, eventually: Any
) -> None:
    server.may_answer.clear()
    first = batcher.submit(call("first"))
    await eventually(lambda: server.batches)
    others = []
    for number in range(3):
        others.append(batcher.submit(call(number)))
        await asyncio.sleep(0)
    assert len(server.batches) == 1

    server.may_answer.set()

    assert await asyncio.gather(first, *others) == ["first", "0", "1", "2"]
    assert server.batches == [["first"], ["0", "1", "2"]]


async def test_batches_do_not_grow_without_end(server: Any, batcher: Any) -> None:
    await asyncio.gather(*[batcher.submit(call(number)) for number in range(LARGEST + 1)])

    assert [len(batch) for batch in server.batches] == [LARGEST, 1]


async def test_a_batch_that_fails_fails_for_all_and_a_call_that_fails_for_itself(server: Any, batcher: Any) -> None:
    server.broken_keys = {"b"}
    first, broken, last = (batcher.submit(call(key)) for key in "abc")
    with pytest.raises(RuntimeError, match="broken"):
        await broken
    assert [await first, await last] == ["a", "c"]

    server.error = ConnectionError("gone")
    results = await asyncio.gather(*[batcher.submit(call(key)) for key in "ab"], return_exceptions=True)
    assert [repr(result) for result in results] == ["ConnectionError('gone')"] * 2


async def test_nobody_waits_longer_than_the_deadline_neither_under_way_nor_before(server: Any, eventually: Any) -> None:
    server.may_answer.clear()
    batcher = Batcher(server, timeout=0.02, at_once=1)
    under_way = batcher.submit(call("under way"))
    await eventually(lambda: server.batches)
    waiting = batcher.submit(call("waiting"))

    results = await asyncio.gather(under_way, waiting, return_exceptions=True)

    assert [type(result) for result in results] == [TimeoutError, TimeoutError]
    server.may_answer.set()
    assert await batcher.submit(call("later")) == "later"
    await batcher.aclose()


async def test_the_answer_to_a_caller_that_left_is_an_orphan(server: Any, eventually: Any) -> None:
    orphans: list[tuple[str, Any]] = []
    batcher = Batcher(
        server, timeout=30.0, at_once=1, on_orphan=lambda asked, answer: orphans.append((asked.keys[0], answer))
    )
    server.may_answer.clear()
    leaving, staying = batcher.submit(call("leaving")), batcher.submit(call("staying"))
    await eventually(lambda: server.batches)

    leaving.cancel()
    server.may_answer.set()

    assert await staying == "staying"
    assert orphans == [("leaving", "leaving")]
    await batcher.aclose()


async def test_closing_tells_everybody_who_waits(server: Any, eventually: Any) -> None:
    server.may_answer.clear()
    batcher = Batcher(server, timeout=30.0, at_once=1)
    under_way = batcher.submit(call("under way"))
    await eventually(lambda: server.batches)
    waiting = batcher.submit(call("waiting"))

    await batcher.aclose()

    results = await asyncio.gather(under_way, waiting, batcher.submit(call("late")), return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionError] * 3
