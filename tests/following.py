"""Discoveries and sources that are followed while a test goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import aiohttp
from gateway_plugin_sdk import Discovered

WAIT = 20.0
"""Seconds within which what a test waits for happens on a machine that is busy."""


@asynccontextmanager
async def new_connections() -> AsyncIterator[aiohttp.ClientSession]:
    """Give a session that keeps no connection, so that a server may stop at any time."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        yield session


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds of a server that has no event for it."""
    async with asyncio.timeout(WAIT):
        while not holds():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.005)


class Followed:
    """What a discovery or a source yields, and how it failed."""

    def __init__(self, states: Any) -> None:
        self.states: list[Any] = []
        self.failure: BaseException | None = None
        self._changed = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._follow(states))

    async def _follow(self, states: Any) -> None:
        try:
            async with aclosing(states) as following:
                async for state in following:
                    self.states.append(state)
                    self._changed.set()
        except Exception as error:  # noqa: BLE001 - what the test looks at
            self.failure = error
            self._changed.set()

    async def until(self, holds: Callable[[Any], bool]) -> Any:
        """Wait for a state of which something holds, beginning with the latest one."""
        await self._wait(lambda: bool(self.states) and holds(self.states[-1]))
        return self.states[-1]

    async def failed(self) -> str:
        """Wait for the end by an exception, and return its text."""
        await self._wait(lambda: self.failure is not None)
        return str(self.failure)

    async def until_endpoints(self, *ids: str) -> Discovered:
        """Wait until these endpoints are there, and no other."""
        found: Discovered = await self.until(lambda state: {each.id for each in state.endpoints} == set(ids))
        return found

    async def aclose(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _wait(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT):
            while not holds():
                self._changed.clear()
                await self._changed.wait()


class Following:
    """Follows discoveries and sources until `aclose`."""

    def __init__(self) -> None:
        self._followed: list[Followed] = []

    def follow(self, states: Any) -> Followed:
        self._followed.append(Followed(states))
        return self._followed[-1]

    async def aclose(self) -> None:
        for each in self._followed:
            await each.aclose()
