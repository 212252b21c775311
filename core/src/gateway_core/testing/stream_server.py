"""A server of streams that leaves no connection behind, at whatever stage of it the server is closed.

`asyncio.start_server` does: a connection that is being accepted while its server is closed loses its transport between
two turns of the loop (CPython issue 109564), and so does one whose task is cancelled before its first step. The garbage
collector then reports an unclosed transport within whatever test runs by that time. So the sockets are accepted here.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from gateway_core.tasks import Tasks

_LIMIT: Final = 1 << 20
_BACKLOG: Final = 128

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class StreamServer:
    """Serves connections to a free port of 127.0.0.1, each in a task of its own."""

    def __init__(self, serve: Serve) -> None:
        """Accept nothing yet.

        :param serve: serves one connection, which is closed when it returns, or when the peer is lost.
        """
        self._serve = serve
        self._tasks = Tasks()
        self._listening: socket.socket | None = None

    async def start(self) -> int:
        """Accept connections, and return the port."""
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self._listening.setblocking(False)
        asyncio.get_running_loop().add_reader(self._listening, self._accept, self._listening)
        return int(self._listening.getsockname()[1])

    def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()

        def failed(error: BaseException) -> None:
            loop.call_exception_handler({"message": "a connection could not be served", "exception": error})

        with suppress(BlockingIOError, ConnectionAbortedError):
            sock, _ = listening.accept()
            task = self._tasks.spawn(self._run(sock), name="connection of a test", on_error=failed)
            task.add_done_callback(lambda _: sock.close())  # which has no transport if the task never began

    async def _run(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        # asyncio does so only for sockets whose protocol is given by number, which that of `create_server` is not.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader, writer = await asyncio.open_connection(sock=sock, limit=_LIMIT)
        try:
            with suppress(OSError, EOFError):
                await self._serve(reader, writer)
                writer.close()
                await writer.wait_closed()
        finally:
            writer.transport.abort()

    async def close(self) -> None:
        """Accept no more, and close every connection at once: what was not sent by now will not be."""
        listening, self._listening = self._listening, None
        if listening is not None:
            asyncio.get_running_loop().remove_reader(listening)
            listening.close()
        await self._tasks.aclose()
        await asyncio.sleep(0)  # the turn in which transports release their sockets
