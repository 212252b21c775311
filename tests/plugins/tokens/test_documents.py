from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from gateway_plugin_sdk import spawn
from gateway_tokens.documents import MOST_WAITING, MOST_WAITING_PER_CLIENT, Document, FetchError, Loaded
from gateway_tokens.freshness import Terms

LOG = logging.getLogger("gateway.plugin.auth")


class Source:
    """Gives what a test wants to be given, when it wants it."""

    def __init__(self) -> None:
        self.value: str | Exception = "one"
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.loads = 0

    async def load(self) -> Loaded[str]:
        self.loads += 1
        await self.may_answer.wait()
        if isinstance(self.value, Exception):
            raise self.value
        return Loaded(self.value, 100.0)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
async def document(source: Source, clock: Any) -> Any:
    made = Document("it", source.load, Terms(cooldown=30, stale_for=1000), clock, LOG)
    yield made
    await made.aclose()


async def test_many_who_wait_cause_one_load(document: Document[str], source: Source) -> None:
    source.may_answer.clear()
    waiting = asyncio.gather(*(document.refetch() for _ in range(50)))
    await asyncio.sleep(0)
    source.may_answer.set()
    await waiting

    assert (document.current(), source.loads) == ("one", 1)


async def test_who_leaves_does_not_end_the_load(document: Document[str], source: Source) -> None:
    source.may_answer.clear()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(document.refetch(), 0.01)

    source.may_answer.set()
    await document.refetch()

    assert (document.current(), source.loads) == ("one", 1)


async def test_the_generation_changes_with_the_value_only(document: Document[str], source: Source) -> None:
    await document.refetch()
    first = document.generation
    await document.refetch()
    assert document.generation is first

    source.value = "two"
    await document.refetch()

    assert document.generation is not first


@pytest.mark.parametrize("error", [FetchError("gone"), RuntimeError("a bug")])
async def test_a_failed_load_keeps_the_old_value_and_is_tried_again(
    document: Document[str], source: Source, clock: Any, caplog: pytest.LogCaptureFixture, error: Exception, until: Any
) -> None:
    await document.start()
    source.value = error
    clock.advance(100)
    assert document.current() == "one"
    await until(lambda: "cannot load it" in caplog.text)
    assert document.current() == "one"

    source.value = "two"
    clock.advance(60)
    document.current()
    await until(lambda: document.current() == "two")


async def test_it_is_loaded_again_without_anybody_asking(
    document: Document[str], source: Source, clock: Any, until: Any
) -> None:
    document._freshness.terms = Terms(stale_for=1000)
    await document.start()

    document._freshness.due_at = clock.monotonic()

    await until(lambda: source.loads >= 2)


async def test_starting_twice_loads_once(document: Document[str], source: Source) -> None:
    await asyncio.gather(document.start(), document.start())

    assert source.loads == 1


async def test_requests_may_ask_for_it_when_it_is_on_its_way_or_long_ago(
    document: Document[str], source: Source, clock: Any
) -> None:
    assert document.may_ask()
    await document.refetch()
    assert not document.may_ask()
    clock.advance(30)
    assert document.may_ask()
    source.may_answer.clear()
    clock.advance(100)
    document.current()
    assert document.may_ask()


async def test_a_closed_document_is_left_as_it_is(document: Document[str], source: Source, clock: Any) -> None:
    await document.refetch()
    await document.aclose()
    clock.advance(100)

    assert document.current() == "one"
    await document.refetch()
    assert source.loads == 1


async def test_only_so_many_may_wait_for_one_load(document: Document[str], source: Source) -> None:
    source.may_answer.clear()
    waiting = [asyncio.ensure_future(document.refetch()) for _ in range(MOST_WAITING)]  # noqa: TID251 - are awaited
    await asyncio.sleep(0)

    assert not document.may_ask()
    source.may_answer.set()
    await asyncio.gather(*waiting)
    assert source.loads == 1


async def test_one_client_does_not_take_the_places_of_those_who_wait(
    document: Document[str], source: Source, until: Any
) -> None:
    source.may_answer.clear()
    waiting = [spawn(document.refetch("a"), name="wait") for _ in range(MOST_WAITING_PER_CLIENT)]
    await until(lambda: document._waiting == MOST_WAITING_PER_CLIENT)

    assert not document.may_ask("a")
    assert document.may_ask("b")
    source.may_answer.set()
    await asyncio.gather(*waiting)
    assert not document._waiting_by_client
