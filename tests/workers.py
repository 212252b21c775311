"""The real command with several workers, and an upstream for it; requests go over connections of their own.

Which worker accepts a connection is the kernel's choice, so tests send many.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from gateway_core.testing.stream_server import StreamServer

from tests.end_to_end.kit import Gateway

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextlib.asynccontextmanager
async def running(file: Path, environ: dict[str, str] | None = None) -> AsyncIterator[tuple[Gateway, int]]:
    """Run a gateway until the end of the block, and yield it with the port that it listens on."""
    gateway = Gateway(file, environ=environ)
    try:
        line = await gateway.says(r"^listening on http://.*:\d+$")
        yield gateway, int(line.rpartition(":")[2])
        await gateway.stops()
    finally:
        gateway.kill()


async def lines_until(gateway: asyncio.subprocess.Process, text: str) -> None:
    """Read the log of a gateway until a line has a text."""
    assert gateway.stderr is not None
    async with asyncio.timeout(100):
        while text.encode() not in (line := await gateway.stderr.readline()):
            assert line, f"the gateway ended without saying {text!r}"


@contextlib.asynccontextmanager
async def upstream_port(respond: Callable[[], bytes] = lambda: OK) -> AsyncIterator[int]:
    """Serve responses to requests without bodies, and yield the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(respond())

    server = StreamServer(serve)
    try:
        yield await server.start()
    finally:
        await server.close()


async def exchange(port: int, request: str = "GET /", *fields: str) -> bytes:
    """Send a request such as ``GET /a`` over a connection of its own, and return the whole response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = "\r\n".join([f"{request} HTTP/1.1", "Host: x", "Connection: close", *fields])
    writer.write(f"{head}\r\n\r\n".encode())
    response = await reader.read()
    writer.close()
    await writer.wait_closed()
    return response


def status_of(response: bytes) -> str:
    return response.split(b" ", 2)[1].decode()


async def statuses(port: int, requests: int) -> Counter[str]:
    """Send requests, twenty at a time; return how many responses have which status."""
    rounds = [await asyncio.gather(*[exchange(port) for _ in range(20)]) for _ in range(requests // 20)]
    return Counter([status_of(response) for responses in rounds for response in responses])
