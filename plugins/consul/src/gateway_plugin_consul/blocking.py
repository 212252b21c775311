"""Blocking queries: ask for what is newer than an index, and get a response when there is something.

As https://developer.hashicorp.com/consul/api-docs/features/blocking asks for it: an index that goes backwards is
forgotten, one below 1 is taken as 1, and a client that gets responses fast takes its time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from random import Random
from typing import Final

import aiohttp
from gateway_plugin_sdk import Backoff, Clock, Tasks
from gateway_plugin_sdk.unstable import failure_text

from gateway_plugin_consul.access import AccessError
from gateway_plugin_consul.agents import AgentError, AgentResponse, Agents, Query

SHORTEST_GAP: Final = 0.05
LONGEST_GAP: Final = 0.5
"""Seconds between two queries: in a burst, where every response has everything, and while none brings news."""

BUSY_SHARE: Final = 0.1
"""Share of the time that may go into reading responses while many come."""

_FAILURES: Final = (aiohttp.ClientError, AgentError, AccessError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class QueryResult:
    """What one query has brought: another content, or that the agents went away or came back."""

    body: bytes | None
    """The last content; empty if there is nothing, None if nothing was ever heard."""
    failure: str = ""
    """Why it may be out of date; empty if it is not."""


def next_index(previous: int, received: int | None) -> int:
    """Return the index to wait for; 0 is to ask without waiting."""
    if received is None or received < 1:
        return 1
    return received if received >= previous else 0


class BlockingQuery:
    """Asks the same again and again, until it is cancelled."""

    def __init__(
        self,
        agents: Agents,
        path: str,
        query: Query,
        *,
        wait: float,
        timeout: float,
        clock: Clock,
        rng: Random,
        may_be_missing: bool = False,
    ) -> None:
        """Prepare to ask.

        :param wait: seconds that the agent may take until something changes.
        :param timeout: seconds that a response may take beyond that.
        """
        self._agents = agents
        self._path = path
        self._query = tuple(query)
        self._wait = wait
        self._timeout = timeout
        self._clock = clock
        self._backoff = Backoff(rng)
        self._may_be_missing = may_be_missing

    async def results(self) -> AsyncGenerator[QueryResult]:
        """Yield the content when it changed, and when the agents went away or came back."""
        index = 0
        latest = QueryResult(None)
        gap = SHORTEST_GAP
        while True:
            try:
                response = await self._ask(index)
            except _FAILURES as error:
                failed = QueryResult(latest.body, self._told(error))
                # Another agent, or the same after a restart, may have another index.
                self._agents.use_next()
                index = 0
                if failed != latest:
                    latest = failed
                    yield latest
                await asyncio.sleep(self._backoff.next_delay())
                continue
            self._backoff.reset()
            index = next_index(index, response.index)
            gap = min(gap * 2, LONGEST_GAP)
            if response.body != latest.body or latest.failure:
                latest = QueryResult(response.body)
                began = self._clock.monotonic()
                yield latest
                busy = self._clock.monotonic() - began
                gap = min(max(SHORTEST_GAP, busy / BUSY_SHARE), LONGEST_GAP)
            await asyncio.sleep(gap)

    async def _ask(self, index: int) -> AgentResponse:
        query, limit = self._query, self._timeout
        if index:
            query = (*query, ("index", str(index)), ("wait", f"{round(self._wait * 1000)}ms"))
            # Agents add up to a sixteenth of the time, so that not all clients come back at once.
            limit += self._wait * 17 / 16
        return await self._agents.get(self._path, query, limit=limit, may_be_missing=self._may_be_missing)

    def _told(self, error: BaseException) -> str:
        if isinstance(error, AgentError | AccessError):
            return str(error)
        if isinstance(error, TimeoutError):
            return f"{self._agents.address} does not respond in time"
        return f"{self._agents.address}: {failure_text(error)}"


class SharedQuery:
    """One query for all who want to know the same: an agent is asked once, whatever their number."""

    def __init__(self, query: BlockingQuery, name: str) -> None:
        """Begin to ask; needs a running event loop.

        :param name: what is asked for, for the log.
        """
        self._query = query
        self._latest: QueryResult | None = None
        self._readers: list[asyncio.Event] = []
        self._tasks = Tasks()
        self._tasks.supervise(self._run, name=f"query consul for {name}")

    async def results(self) -> AsyncGenerator[QueryResult]:
        """Yield the latest result first, and then what is newer; does not end."""
        changed = asyncio.Event()
        self._readers.append(changed)
        try:
            while True:
                if self._latest is not None:
                    yield self._latest
                await changed.wait()
                changed.clear()
        finally:
            self._readers.remove(changed)

    async def aclose(self) -> None:
        """Stop to ask."""
        await self._tasks.aclose()

    async def _run(self) -> None:
        try:
            async with aclosing(self._query.results()) as results:
                async for self._latest in results:
                    self._notify()
                    # Readers take a result in this turn of the loop: the query measures its pause by what that costs.
                    await asyncio.sleep(0)
        except Exception as error:
            body = None if self._latest is None else self._latest.body
            self._latest = QueryResult(body, f"{type(error).__name__}: {error}")
            self._notify()
            raise

    def _notify(self) -> None:
        for reader in self._readers:
            reader.set()
