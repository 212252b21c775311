"""A client of HTTP/2 for the tables of attacks: it sends the fields that it is given, whatever HTTP/2 forbids."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from h2.connection import H2Connection
from h2.events import ResponseReceived

from tests.protocols.http2_link import Link, StreamAbortedError, pairs

RESET = 0
"""In place of a status: the gateway has reset the stream."""


class Http2Client:
    """One connection to the gateway; each request is a stream of it."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def request(self, fields: Sequence[tuple[bytes, bytes]], body: bytes = b"") -> tuple[int, bytes]:
        """Send a request; return status and body of its response.

        :param fields: pseudo-header fields first.
        """
        stream = self._link.stream()
        send = partial(H2Connection.send_headers, stream_id=stream.number, headers=fields, end_stream=not body)
        self._link.command(send)
        status, received = RESET, b""
        try:
            if body:
                await stream.data(body)
                stream.end()
            async with asyncio.timeout(20):
                async for event in stream.events():
                    if isinstance(event, bytes):
                        received += event
                    elif isinstance(event, ResponseReceived):
                        status = int(dict(pairs(event.headers))[":status"])
        except StreamAbortedError:
            return RESET, b""
        return status, received


@asynccontextmanager
async def http2_client(port: int) -> AsyncIterator[Http2Client]:
    """Connect to a plain listener, with prior knowledge (RFC 9113 section 3.3)."""
    link = Link(*await asyncio.open_connection("127.0.0.1", port), is_client=True)
    link.begin()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(link.run())
        try:
            yield Http2Client(link)
        finally:
            link.close()
    assert link.fault is None
