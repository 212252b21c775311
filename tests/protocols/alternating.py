"""A bridge by which the clients of one gateway speak HTTP/1 and HTTP/2 in turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.protocols.bridges import ClientSide, listening, to_address
from tests.protocols.copying import Connect, pass_on


class AlternatingSide(ClientSide):
    """Takes requests over HTTP/1, and sends those of every second connection to the gateway over HTTP/2."""

    def __init__(self, connect: Connect) -> None:
        """Serve clients; the first connection speaks HTTP/2."""
        super().__init__(connect)
        self._speaks_http2 = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._speaks_http2 = not self._speaks_http2
        if self._speaks_http2:
            await super().serve(reader, writer)
        else:
            await pass_on(self.connect, reader, writer)


@asynccontextmanager
async def both_to(port: int) -> AsyncIterator[int]:
    """Run a bridge to a gateway over which every second connection speaks HTTP/2, and return its port for clients."""
    async with listening(AlternatingSide(to_address(port))) as port_of_bridge:
        yield port_of_bridge
