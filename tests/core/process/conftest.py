from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
from gateway_core.packages import PluginRegistry
from gateway_core.process.model import ProcessModel
from gateway_core.reload.bundle import ConfigBundle
from gateway_core.snapshot import load
from gateway_core.testing.configuration import INSTALLED

from tests.end_to_end.kit import Upstream
from tests.event_loops import new_loops

Canon = Callable[[str], ConfigBundle]


@pytest.fixture(params=["asyncio", "uvloop"])
def loop_kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run gateways on either event loop."""
    with new_loops(request.param):
        yield request.param


@pytest.fixture
def canon(tmp_path: Path) -> Canon:
    """Return a function that validates a configuration in this process."""

    def validated(text: str) -> ConfigBundle:
        path = tmp_path / "gateway.yaml"
        path.write_text(text)
        loaded = load([path], registry=PluginRegistry(INSTALLED.find), environ={})
        return ConfigBundle(loaded.version, tuple(loaded.to_lines()), loaded.config.workers)

    return validated


@pytest.fixture
async def upstream() -> AsyncIterator[str]:
    """The URL of a server that answers every request with its request line."""
    async with Upstream("up") as running:
        yield running.url


async def ask(url: str, path: str) -> tuple[int, str]:
    """Ask once, on a connection of its own."""
    async with aiohttp.ClientSession() as session, session.get(url + path) as answer:
        return answer.status, await answer.text()


async def put_in_force(model: ProcessModel, bundle: ConfigBundle) -> str:
    """Prepare and commit a configuration, as the pipeline does, and return what changed."""
    change = await model.prepare(bundle)
    try:
        return await change.commit()
    except BaseException:
        await change.discard()
        raise
