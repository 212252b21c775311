"""Clients that ask again and again, and know which answers they lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.end_to_end.kit import PATIENCE, Client

PAUSE = 0.01


class Load:
    """One client on a connection that it keeps for as long as it may.

    A connection that is refused, or closed while nothing was asked on it, is no loss. One that is closed after a
    request went out and before any of the answer came is what every client has to try again, if the connection had
    served a request before (RFC 9112 section 9.3.1); a fresh one is a loss, and so is an answer that breaks off.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.answered = 0
        self.lost: list[str] = []
        self.stopped = False

    async def run(self) -> None:
        while not self.stopped:
            try:
                client = await Client.to(self.url)
            except OSError:
                await asyncio.sleep(0.01)
                continue
            await self._use(client)

    async def _use(self, client: Client) -> None:
        served = 0
        try:
            while not self.stopped:
                await client.send("/load")
                status, _ = await client.answer()
                served += 1
                self.answered += 1
                if status != 200:
                    self.lost.append(str(status))
                # Steady rather than heavy: the machine has other things to do meanwhile.
                await asyncio.sleep(PAUSE)
        except (asyncio.IncompleteReadError, OSError) as error:
            if getattr(error, "partial", b"") or (served == 0 and isinstance(error, asyncio.IncompleteReadError)):
                self.lost.append(repr(error))
        finally:
            client.close()


class Clients:
    """Several of them."""

    def __init__(self, url: str, count: int) -> None:
        self.each = [Load(url) for _ in range(count)]

    @property
    def answered(self) -> int:
        return sum(load.answered for load in self.each)

    @property
    def lost(self) -> list[str]:
        return [what for load in self.each for what in load.lost]

    async def answered_more(self, number: int) -> None:
        """Wait for so many further answers."""
        wanted = self.answered + number
        async with asyncio.timeout(PATIENCE):
            while self.answered < wanted:  # noqa: ASYNC110  # an event for each client would say no more
                await asyncio.sleep(0.01)


@asynccontextmanager
async def clients(url: str, count: int = 8) -> AsyncIterator[Clients]:
    """Ask from several connections at once, until the block ends."""
    loads = Clients(url, count)
    running = [asyncio.ensure_future(load.run()) for load in loads.each]  # noqa: TID251
    try:
        yield loads
    finally:
        for load in loads.each:
            load.stopped = True
        await asyncio.gather(*running)
