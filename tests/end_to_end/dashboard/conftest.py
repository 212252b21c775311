"""One browser for all tests of a worker, as to start one takes more of a CPU than most of what is done with it.

So these tests share an event loop, and with it the fixtures of all end-to-end tests that run in one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.end_to_end.dashboard.browser import browser
from tests.end_to_end.kit import ToClients, Upstream
from tests.protocols.alternating import in_turn


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running_chromium() -> AsyncIterator[Browser]:
    async with browser() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def chromium(running_chromium: Browser) -> AsyncIterator[Browser]:
    """Return a browser without tabs, and close those that the test opens."""
    yield running_chromium
    for context in running_chromium.contexts:
        await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream("one") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def to_clients() -> AsyncIterator[ToClients]:
    async with in_turn() as bridges:
        yield bridges
