from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from gateway_plugin_ratelimit.stores.batches import Batcher
from gateway_plugin_ratelimit.stores.nodes import NEVER, Node
from gateway_plugin_ratelimit.stores.scripts import Call

CALL = Call(["key"], "words")


class RefusalError(Exception):
    """An answer that says no."""


class Server:
    """Answers, fails or refuses, as it is told."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.probe_error: Exception | None = None
        self.probes: list[bool] = []

    async def run(self, calls: Sequence[Call]) -> list[Any]:
        if self.error is not None:
            raise self.error
        return list(calls)

    async def probe(self, name: str, *, was_away: bool) -> None:
        assert name == "node-1"
        self.probes.append(was_away)
        if self.probe_error is not None:
            raise self.probe_error

    def is_refusal(self, error: BaseException) -> bool:
        return isinstance(error, RefusalError)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def node(server: Any) -> AsyncIterator[Any]:
    now = asyncio.get_running_loop().time
    made = Node("node-1", server, Batcher(server, timeout=5.0, at_once=1), now, logging.getLogger("test"), 5.0)
    yield made
    await made.aclose()


async def ask(node: Any) -> bool:
    with contextlib.suppress(Exception):
        return await node.ask(CALL) is CALL
    return False


async def test_a_node_that_does_not_answer_is_away_until_a_probe_finds_it(
    server: Any, node: Any, eventually: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server.error = server.probe_error = ConnectionError("gone")

    assert not await ask(node)
    assert not node.is_up
    await eventually(lambda: len(server.probes) >= 2)
    assert node.found_at == NEVER

    server.error = server.probe_error = None
    await eventually(lambda: node.is_up)
    assert node.found_at > NEVER
    assert await ask(node)
    assert all(server.probes)
    assert [record.message for record in caplog.records] == [
        "redis (node-1) is away, requests are decided by when_unavailable until it is back: ConnectionError: gone",
        "redis (node-1) is back",
    ]


async def test_a_refusal_is_looked_into_once_before_the_node_counts_as_away(
    server: Any, node: Any, eventually: Any
) -> None:
    server.error = RefusalError("not this key")

    assert [await ask(node) for _ in range(3)] == [False] * 3
    await eventually(lambda: server.probes and not node._is_checking)
    assert node.is_up

    server.probe_error = RefusalError("nothing at all")
    await ask(node)
    await eventually(lambda: not node.is_up)
