"""A bridge by which the clients of one gateway speak HTTP/2 and HTTP/1 in turn."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from tests.protocols.bridges import ClientSide, listening, to_address
from tests.protocols.copying import Connect, pass_on, reset


class Turns:
    """Whose turn it is: the connections of all clients of a test."""

    def __init__(self) -> None:
        self.connections = 0

    @property
    def protocols(self) -> str:
        """What was spoken so far."""
        return ("none", "HTTP/2 only")[self.connections] if self.connections < 2 else "both"

    def speaks_http2(self) -> bool:
        """Count one more connection; return whether it is one of HTTP/2."""
        self.connections += 1
        return self.connections % 2 == 1


class AlternatingSide(ClientSide):
    """Takes requests over HTTP/1, and sends those of every second connection to the gateway over HTTP/2."""

    def __init__(self, over_http2: Connect, over_http1: Connect, turns: Turns) -> None:
        """Serve clients; the first connection of the turns speaks HTTP/2."""
        super().__init__(over_http2)
        self._over_http1 = over_http1
        self._turns = turns

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._turns.speaks_http2():
                await super().serve(reader, writer)
            else:
                await pass_on(self._over_http1, reader, writer)
        except* ConnectionRefusedError:
            reset(writer)


class InTurn:
    """Gives away, for the URLs of gateways, URLs of bridges by which clients speak both protocols in turn."""

    def __init__(self, running: AsyncExitStack) -> None:
        """Begin with HTTP/2.

        :param running: ends the bridges.
        """
        self.turns = Turns()
        self._running = running
        self._urls: dict[str, str] = {}

    async def __call__(self, url: str) -> str:
        """Return the URL for clients; one that is not of plain HTTP over TCP stays as it is."""
        return await self.to(url) if url.startswith("http://") else url

    async def to(self, url: str) -> str:
        """Return the URL for clients, which is of plain HTTP also where the gateway's is https."""
        if url not in self._urls:
            scheme, _, address = url.partition("://")
            host, _, port = address.rpartition(":")
            over_http2, over_http1 = [
                to_address(int(port), trusting(protocol) if scheme == "https" else None, host.strip("[]"))
                for protocol in ("h2", "http/1.1")
            ]
            side = AlternatingSide(over_http2, over_http1, self.turns)
            self._urls[url] = f"http://127.0.0.1:{await self._running.enter_async_context(listening(side))}"
        return self._urls[url]


def trusting(protocol: str) -> ssl.SSLContext:
    """Return a client's context that takes every certificate, and offers one protocol."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    return context


@asynccontextmanager
async def in_turn() -> AsyncIterator[InTurn]:
    """Let clients speak both protocols in turn; in the end, they must have spoken both, or nothing at all."""
    async with AsyncExitStack() as running:
        yield (bridges := InTurn(running))
    assert bridges.turns.protocols != "HTTP/2 only", (
        "only one connection was made, over HTTP/2: send what the test sends twice, each on a connection of its own"
    )


@asynccontextmanager
async def port_in_turn(port: int) -> AsyncIterator[int]:
    """Let clients of a gateway on 127.0.0.1 speak both protocols in turn, and yield the port for them."""
    async with AsyncExitStack() as running:
        yield int((await InTurn(running)(f"http://127.0.0.1:{port}")).rpartition(":")[2])
