"""A small upstream for the demo: answers every request with who it is and what it got."""

from __future__ import annotations

import asyncio
import contextlib
import json
from functools import partial

MOST_HEAD_BYTES = 65536


async def start_upstream(name: str, port: int, *, shows_headers: bool = False) -> tuple[asyncio.Server, int]:
    """Listen on a port, or on any free one if it is taken; return the server and its port."""
    serve = partial(_serve, name, shows_headers)
    try:
        server = await asyncio.start_server(serve, "127.0.0.1", port, limit=MOST_HEAD_BYTES)
    except OSError:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=MOST_HEAD_BYTES)
    return server, server.sockets[0].getsockname()[1]


async def _serve(name: str, shows_headers: bool, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, EOFError, ValueError, asyncio.LimitOverrunError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = head[0].split(" ", 2)
            headers = {
                key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in head[1:-2])
            }
            received = await _body(reader, headers)
            seen = {"upstream": name, "method": method, "target": target, "bytes": received}
            body = json.dumps({**seen, "headers": headers} if shows_headers else seen) + "\n"
            answer = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write((answer + ("" if method == "HEAD" else body)).encode())
            await writer.drain()
    writer.close()


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> int:
    """Read a request's body and return its length."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return await _chunks(reader)
    length = left = int(headers.get("content-length", "0"))
    while left > 0:
        piece = await reader.read(min(left, MOST_HEAD_BYTES))
        if not piece:
            raise EOFError
        left -= len(piece)
    return length


async def _chunks(reader: asyncio.StreamReader) -> int:
    length = 0
    while True:
        size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
        if size == 0:
            while await reader.readuntil(b"\r\n") != b"\r\n":
                pass
            return length
        length += size
        await reader.readexactly(size + 2)
