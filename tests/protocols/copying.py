"""Connections whose bytes are passed on as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


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
    writer.transport.abort()
