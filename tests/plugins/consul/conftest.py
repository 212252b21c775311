from __future__ import annotations

from collections.abc import AsyncIterator
from random import Random
from typing import Any

import aiohttp
import pytest
from gateway_core.clock import SystemClock
from gateway_core.leases import Leases
from gateway_plugin_consul.discovery import ConsulDiscovery
from gateway_plugin_consul.source import ConsulSource
from gateway_plugin_sdk import DiscoveryContext, SourceContext, SourceState
from gateway_plugin_sdk.testing import factory_config, source_url

from tests.following import Followed, Following, new_connections
from tests.plugins.consul.agent import Agent


@pytest.fixture
async def agent() -> AsyncIterator[Agent]:
    agent = Agent()
    await agent.start()
    yield agent
    await agent.stop()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with new_connections() as session:
        yield session


class Start(Following):
    """Starts discoveries and sources that end with the test."""

    def __init__(self, session: aiohttp.ClientSession, agent: Agent) -> None:
        super().__init__()
        self.environ: dict[str, str] = {}
        self._session = session
        self._agent = agent
        self.shared: Leases[Any, Any] = Leases()

    def make_discovery(self, **config: Any) -> ConsulDiscovery:
        context = DiscoveryContext("shop", SystemClock(), Random(1), lambda: self._session, shared=self.shared)
        return ConsulDiscovery(factory_config(ConsulDiscovery, {"address": self._agent.url, **config}), context)

    def make_source(self, url: str) -> ConsulSource:
        context = SourceContext(SystemClock(), Random(1), self.environ, lambda: self._session)
        return ConsulSource(source_url(ConsulSource, url), context)

    def discovery(self, **config: Any) -> Followed:
        return self.follow(self.make_discovery(**config).watch())

    def source(self, path: str, user: str = "") -> Followed:
        return self.follow(self.make_source(f"consul://{user}127.0.0.1:{self._agent.port}{path}").documents())


@pytest.fixture
async def start(session: aiohttp.ClientSession, agent: Agent) -> AsyncIterator[Start]:
    start = Start(session, agent)
    yield start
    await start.aclose()


def documents(state: SourceState) -> dict[str, str]:
    return {document.name.partition("//")[2].partition("/")[2]: document.text for document in state.documents}
