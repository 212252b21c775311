"""The least that a server on uvloop can cost: it reads one request and sends 1 KiB, without an upstream.

    python benchmarks/floor_server.py PORT                       # plain
    python benchmarks/floor_server.py PORT --ssl CERT KEY        # create_server(ssl=)
    python benchmarks/floor_server.py PORT --accept CERT KEY     # accepted by hand, connect_accepted_socket(ssl=)
    python benchmarks/floor_server.py PORT --start CERT KEY      # accepted by the loop, start_tls() at the first bytes
    python benchmarks/floor_server.py PORT --delay SECONDS       # plain, and each response takes so long
    python benchmarks/floor_server.py PORT --relay PORT          # sends fixed heads upstream, and fixed responses back

`connections.py` runs it beside the gateway, `traffic.py` behind it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from collections.abc import Callable
from typing import ClassVar

import uvloop

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\nContent-Type: text/plain\r\n"
KEPT = HEAD + b"\r\n" + b"x" * 1024
REQUEST = (
    b"GET /api/users/123 HTTP/1.1\r\nHost: localhost\r\n"
    + b"".join(b"X-Forwarded-Field-%d: a-value-of-24-characters\r\n" % number for number in range(5))
    + b"\r\n"
)
LAST = HEAD + b"Connection: close\r\n\r\n" + b"x" * 1024


class Floor(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if b"Connection: close" in data:
            self.transport.write(LAST)
            self.transport.close()
        else:
            self.transport.write(KEPT)


class FirstBytes(asyncio.Protocol):
    """Begins TLS when the first bytes have come, and passes them on."""

    tasks: ClassVar[set[asyncio.Task[None]]] = set()

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        self.early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if isinstance(self.transport.get_protocol(), FirstBytes):
            loop = asyncio.get_running_loop()
            task = loop.create_task(self.begin())
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
            loop.call_soon(loop.call_soon, self.feed, data)
        else:
            self.early += data

    def feed(self, data: bytes) -> None:
        tls: asyncio.BufferedProtocol = self.transport.get_protocol()  # type: ignore[assignment]
        buffer: memoryview = tls.get_buffer(len(data))  # type: ignore[assignment]
        buffer[: len(data)] = data
        tls.buffer_updated(len(data))

    async def begin(self) -> None:
        loop = asyncio.get_running_loop()
        transport = await loop.start_tls(self.transport, self, self.context, server_side=True)
        assert transport is not None
        floor = Floor()
        transport.set_protocol(floor)
        floor.connection_made(transport)
        if self.early:
            floor.data_received(self.early)


class Relaying(asyncio.Protocol):
    """One connection of a client, for whose requests an upstream is asked: what any proxy on this loop has to pay."""

    def __init__(self, port: int, idle: list[Upstream]) -> None:
        self._port = port
        self._idle = idle
        self.is_last = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.is_last = data.find(b"Connection: close") >= 0
        if self._idle:
            self._idle.pop().send(self)
        else:
            self._task = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        _, upstream = await asyncio.get_running_loop().create_connection(
            lambda: Upstream(self._idle), "127.0.0.1", self._port
        )
        upstream.send(self)

    def respond(self) -> None:
        """Send a fixed response."""
        self.transport.write(LAST if self.is_last else KEPT)
        if self.is_last:
            self.transport.close()


class Upstream(asyncio.Protocol):
    """One connection to the upstream, which is used again."""

    def __init__(self, idle: list[Upstream]) -> None:
        self._idle = idle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def send(self, client: Relaying) -> None:
        """Send a fixed request, whatever the client's was."""
        self._client = client
        self.transport.write(REQUEST)

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - whatever it is
        self._idle.append(self)
        self._client.respond()

    def connection_lost(self, exc: BaseException | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self in self._idle:
            self._idle.remove(self)


class Slow(Floor):
    """One connection whose responses take a while."""

    def __init__(self, delay: float) -> None:
        self._delay = delay

    def data_received(self, data: bytes) -> None:
        asyncio.get_running_loop().call_later(self._delay, super().data_received, data)


async def main(port: int, manner: str = "", cert: str = "", key: str = "") -> None:
    """Serve until killed."""
    loop, context = asyncio.get_running_loop(), None
    make: Callable[[], asyncio.BaseProtocol] = Floor
    if manner == "--delay":
        make = lambda: Slow(float(cert))  # noqa: E731
    elif manner == "--relay":
        idle: list[Upstream] = []
        make = lambda: Relaying(int(cert), idle)  # noqa: E731
    if manner in {"--ssl", "--accept", "--start"}:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        context.set_alpn_protocols(["http/1.1"])
    sock = socket.create_server(("127.0.0.1", port), backlog=2048)
    sock.setblocking(False)
    if manner == "--start" and context is not None:
        await loop.create_server(lambda: FirstBytes(context), sock=sock, backlog=2048)
    elif manner != "--accept":
        await loop.create_server(make, sock=sock, ssl=context, backlog=2048)
    else:
        tasks = set()

        def accept() -> None:
            try:
                connection, _ = sock.accept()
            except BlockingIOError:
                return
            connection.setblocking(False)
            task = loop.create_task(loop.connect_accepted_socket(Floor, connection, ssl=context))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        loop.add_reader(sock.fileno(), accept)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), *sys.argv[2:]))
