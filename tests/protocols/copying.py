"""Connections whose bytes are passed on as they come."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


def reset(writer: asyncio.StreamWriter) -> None:
    """Have a connection end with a reset, which says that a request may be sent again."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def pass_on(
    connect: Connect, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, begun: bytes = b""
) -> None:
    """Copy a connection both ways to another one.

    :param begun: what was read of it already.
    """
    other_reader, other_writer = await connect()
    try:
        other_writer.write(begun)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_copy(reader, other_writer))
            tasks.create_task(_copy(other_reader, writer))
    finally:
        other_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
        return
    reset(writer)
