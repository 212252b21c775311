from __future__ import annotations

import asyncio
import socket

import pytest
from gateway_core.proxy.socket_options import READ_SIZE, read_little, reset_on_close, say_end, set_user_timeout

from tests.core.proxy.kit import turns


class Collector(asyncio.Protocol):
    def __init__(self, transports: asyncio.Queue[asyncio.Transport]) -> None:
        self._transports = transports
        self.sizes: list[int] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        read_little(transport)
        self._transports.put_nowait(transport)

    def data_received(self, data: bytes) -> None:
        self.sizes.append(len(data))


async def test_one_read_brings_no_more_than_the_bound() -> None:
    transports: asyncio.Queue[asyncio.Transport] = asyncio.Queue()
    collector = Collector(transports)
    server = await asyncio.get_running_loop().create_server(lambda: collector, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())

    writer.write(b"x" * 1_000_000)
    async with asyncio.timeout(30):
        while sum(collector.sizes) < 1_000_000:  # noqa: ASYNC110 - no event is worth it
            await asyncio.sleep(0.01)

    assert max(collector.sizes) <= READ_SIZE
    writer.close()
    (await transports.get()).close()
    server.close()


async def test_a_connection_can_be_closed_with_a_reset() -> None:
    transports: asyncio.Queue[asyncio.Transport] = asyncio.Queue()
    server = await asyncio.get_running_loop().create_server(lambda: Collector(transports), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    transport = await transports.get()

    reset_on_close(transport)
    transport.close()

    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    server.close()


async def test_the_end_may_be_said_to_who_has_reset_the_connection_unnoticed() -> None:
    transports: asyncio.Queue[asyncio.Transport] = asyncio.Queue()
    server = await asyncio.get_running_loop().create_server(lambda: Collector(transports), "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    transport = await transports.get()
    transport.pause_reading()
    reset_on_close(writer.transport)
    writer.transport.abort()
    await turns()

    assert say_end(transport)

    transport.abort()
    server.close()


async def test_the_kernel_gives_a_connection_up_whose_peer_acknowledges_nothing() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    _, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])

    set_user_timeout(writer.transport, 2.5)

    sock = writer.get_extra_info("socket")
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 2500
    writer.close()
    server.close()
