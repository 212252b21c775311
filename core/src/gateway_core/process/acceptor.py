"""Accept connections where the event loop does it badly.

Running out of descriptors (EMFILE) must neither end the server nor flood the log: asyncio 3.11 logs a traceback for
each of up to 2,048 attempts a second. Here accepting pauses for a second, and one line a minute tells how often.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any, Final, Protocol

from gateway_core.descriptors import EXHAUSTED, LocalErrors
from gateway_core.events import CONNECTION_FAILED, CONNECTION_NOT_ACCEPTED, emit
from gateway_core.tasks import Tasks

_ACCEPTS_PER_TURN: Final = 64
"""Connections accepted in one turn of the loop, so that a flood of them leaves time for the ones that are there."""

_BACK_OFF: Final = 1.0
"""Seconds without accepting after the system was out of descriptors or memory."""


_shortage: Final = LocalErrors(
    "connections cannot be accepted",
    "raise that limit, or set limits.max_connections below it",
    CONNECTION_NOT_ACCEPTED,
)
"""Of all listeners together."""


class Factory(Protocol):
    """Makes the protocol of a connection: an `aiohttp.web.Server`."""

    def __call__(self) -> Any: ...


class Acceptor:
    """Accepts on one listening socket, and gives every connection to a protocol at once."""

    def __init__(self, sock: socket.socket, factory: Factory) -> None:
        """Take a listening, non-blocking socket, which is closed by `close`."""
        self._sock = sock
        self._factory = factory
        self.loop = asyncio.get_running_loop()
        self._again: asyncio.TimerHandle | None = None
        self.tasks = Tasks()

    def start(self) -> None:
        """Begin to accept."""
        self._again = None
        self.loop.add_reader(self._sock.fileno(), self._accept, _ACCEPTS_PER_TURN)

    def close(self) -> None:
        """Take in the clients that have connected already, and accept no more; what has begun goes on."""
        if self._sock.fileno() < 0:
            return
        self.loop.remove_reader(self._sock.fileno())
        self._accept(socket.SOMAXCONN)
        if self._again is not None:
            self._again.cancel()
        self._sock.close()

    async def aclose(self) -> None:
        """Give up the connections that no protocol has yet."""
        self.close()
        await self.tasks.aclose()

    def _accept(self, most: int) -> None:
        for _ in range(most):
            try:
                connection, address = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                return  # another worker was faster
            except ConnectionAbortedError:
                continue
            except OSError as error:
                self._pause(error)
                return
            connection.setblocking(False)
            self.take(connection, address)

    def _pause(self, error: OSError) -> None:
        """Accept nothing for a moment: an error that stays would be met again at once, by a loop that spins."""
        if error.errno in EXHAUSTED:
            _shortage.note((error.strerror or str(error)).lower(), self.loop.time())
        else:
            emit(CONNECTION_FAILED, f"a connection could not be accepted: {error}", reason=str(error))
        self.loop.remove_reader(self._sock.fileno())
        if self._again is None:
            self._again = self.loop.call_later(_BACK_OFF, self.start)

    def take(self, connection: socket.socket, address: Any) -> None:  # noqa: ARG002 - for limits
        """Serve a connection."""
        self.tasks.spawn(self._serve(connection), name="take a connection")

    async def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it is gone again
            await self.loop.connect_accepted_socket(self._factory, connection)
