from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from random import Random
from typing import Any

import aiohttp
import pytest
from gateway_core.clock import SystemClock
from gateway_core.leases import Leases
from gateway_plugin_consul.discovery import ConsulDiscovery
from gateway_plugin_consul.source import ConsulSource
from gateway_plugin_sdk import Discovered, DiscoveryContext, SourceContext, SourceState
from gateway_plugin_sdk.testing import factory_config, source_url

from tests.plugins.consul.agent import Agent


@pytest.fixture
async def agent() -> AsyncIterator[Agent]:
    agent = Agent()
    await agent.start()
    yield agent
    await agent.stop()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        yield session


class Watched:
    """What a discovery or a source says, while the test goes on."""

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.failure: BaseException | None = None
        self.task: asyncio.Task[None] | None = None
        self._said = asyncio.Event()

    async def follow(self, answers: Any) -> None:
        try:
            async with aclosing(answers) as following:
                async for answer in following:
                    self.answers.append(answer)
                    self._said.set()
        except Exception as error:  # noqa: BLE001 - what the test looks at
            self.failure = error
            self._said.set()

    async def until(self, holds: Callable[[Any], bool]) -> Any:
        """Wait for an answer of which something holds, beginning with the latest one."""
        async with asyncio.timeout(20):
            while not (self.answers and holds(self.answers[-1])):
                self._said.clear()
                await self._said.wait()
        return self.answers[-1]

    async def failed(self) -> str:
        async with asyncio.timeout(20):
            while self.failure is None:
                self._said.clear()
                await self._said.wait()
        return str(self.failure)

    async def until_endpoints(self, *ids: str) -> Discovered:
        def is_so(answer: Discovered) -> bool:
            return {each.id for each in answer.endpoints} == set(ids)

        found: Discovered = await self.until(is_so)
        return found


class Start:
    """Starts discoveries and sources that end with the test."""

    def __init__(self, session: aiohttp.ClientSession, agent: Agent) -> None:
        self.environ: dict[str, str] = {}
        self._session = session
        self._agent = agent
        self._started: list[Watched] = []
        self.shared: Leases[Any, Any] = Leases()

    def make_discovery(self, **config: Any) -> ConsulDiscovery:
        context = DiscoveryContext("shop", SystemClock(), Random(1), lambda: self._session, shared=self.shared)
        return ConsulDiscovery(factory_config(ConsulDiscovery, {"address": self._agent.url, **config}), context)

    def make_source(self, url: str) -> ConsulSource:
        context = SourceContext(SystemClock(), Random(1), self.environ, lambda: self._session)
        return ConsulSource(source_url(ConsulSource, url), context)

    def discovery(self, **config: Any) -> Watched:
        return self._follow(self.make_discovery(**config).watch())

    def source(self, path: str, user: str = "") -> Watched:
        return self._follow(self.make_source(f"consul://{user}127.0.0.1:{self._agent.port}{path}").documents())

    def _follow(self, answers: Any) -> Watched:
        watched = Watched()
        watched.task = asyncio.get_running_loop().create_task(watched.follow(answers))
        self._started.append(watched)
        return watched

    async def aclose(self) -> None:
        tasks = [each.task for each in self._started if each.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def start(session: aiohttp.ClientSession, agent: Agent) -> AsyncIterator[Start]:
    start = Start(session, agent)
    yield start
    await start.aclose()


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - the agent under test has no event
            await asyncio.sleep(0.005)


def documents(state: SourceState) -> dict[str, str]:
    return {document.name.partition("//")[2].partition("/")[2]: document.text for document in state.documents}
