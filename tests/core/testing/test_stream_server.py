from __future__ import annotations

import asyncio
import socket

import pytest
from gateway_core.testing.stream_server import StreamServer


async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def send_much(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(bytes(16 << 20))


def is_closed(client: socket.socket) -> bool:
    """Read all that there is; a connection that is still open is a timeout."""
    client.settimeout(30)
    try:
        while client.recv(1 << 20):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("serve", [wait, send_much])
@pytest.mark.parametrize("turns", range(8))
async def test_no_connection_outlasts_the_server_at_whatever_stage(serve: object, turns: int) -> None:
    server = StreamServer(wait if serve is wait else send_much)
    with socket.create_connection(("127.0.0.1", await server.start())) as client:
        for _ in range(turns):
            await asyncio.sleep(0)

        await server.close()
        await asyncio.sleep(0)

        assert is_closed(client)


async def test_a_connection_is_closed_when_it_is_served() -> None:
    server = StreamServer(send_much)
    reader, writer = await asyncio.open_connection("127.0.0.1", await server.start())

    assert len(await reader.read()) == 16 << 20

    writer.close()
    await server.close()
