"""Accept on listening sockets where the event loop does it badly.

Running out of descriptors (EMFILE) must neither end the server nor flood the log: asyncio 3.11 logs a traceback for
each of up to 2,048 attempts a second. Here accepting pauses for a second, and one line a minute says how often.

Sockets that are accepted know their family and type: `socket.socket` makes members of an Enum of them each time, in
five calls, and to accept a connection and to make a transport of it asks for them six times.
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

_TURNS_BEFORE_MORE: Final = 4
"""Turns in a row with another connection in each, after which twice as many are accepted in a turn.

To find that there is no other one takes a system call and an exception, which most turns do without.
"""

_BACK_OFF: Final = 1.0
"""Seconds without accepting after the system was out of descriptors or memory."""


_shortage: Final = LocalErrors(
    "accept",
    "connections cannot be accepted",
    "raise that limit, or set limits.max_connections below it",
    CONNECTION_NOT_ACCEPTED,
)
"""Of all listeners together."""


class Factory(Protocol):
    """Makes the protocol of a connection: a `GatewayServer`, or the admin listener's `aiohttp.web.Server`."""

    def __call__(self) -> Any: ...


class Pending(Protocol):
    """A connection that no protocol has yet."""

    def close(self) -> None: ...


class _Accepted(socket.socket):
    __slots__ = ()
    type = socket.SOCK_STREAM


class _OverIPv4(_Accepted):
    __slots__ = ()
    family = socket.AF_INET


class _OverIPv6(_Accepted):
    __slots__ = ()
    family = socket.AF_INET6


class _OverUnix(_Accepted):
    __slots__ = ()
    family = socket.AF_UNIX


_KINDS: Final = {socket.AF_INET: _OverIPv4, socket.AF_INET6: _OverIPv6, socket.AF_UNIX: _OverUnix}


class Acceptor:
    """Accepts on one listening socket, and gives every connection to a protocol at once."""

    def __init__(self, sock: socket.socket, factory: Factory) -> None:
        """Take a listening, non-blocking socket, which is closed by `close`."""
        self._sock = sock
        self._family, self._protocol = sock.family, sock.proto
        self._kind = _KINDS[self._family]
        self._factory = factory
        self.loop = asyncio.get_running_loop()
        self._most = 1  # connections accepted in a turn
        self._full_turns = 0  # in a row, in which there were that many
        self._again: asyncio.TimerHandle | None = None
        self.tasks = Tasks()
        self._pending: set[Pending] = set()
        self._is_drained = asyncio.Event()

    def start(self) -> None:
        """Begin to accept."""
        self._again = None
        self.loop.add_reader(self._sock.fileno(), self._take_turn)

    def close(self) -> None:
        """Take in the clients that have connected already, and accept no more; what has begun goes on."""
        if self._sock.fileno() < 0:
            return
        self.loop.remove_reader(self._sock.fileno())
        self._accept(socket.SOMAXCONN)
        if self._again is not None:
            self._again.cancel()
        self._sock.close()

    def entered(self, connection: Pending) -> None:
        """Note a connection that no protocol has yet."""
        self._pending.add(connection)

    def left(self, connection: Pending) -> None:
        """Note that a connection has its protocol, or is gone."""
        self._pending.discard(connection)
        if not self._pending:
            self._is_drained.set()

    async def drained(self) -> None:
        """Wait until no connection that was accepted is without its protocol."""
        while self._pending:
            self._is_drained.clear()
            await self._is_drained.wait()

    async def aclose(self) -> None:
        """Close the connections that no protocol has yet."""
        self.close()
        await self.tasks.aclose()
        for connection in tuple(self._pending):
            connection.close()  # whose task was cancelled before its first step, or that has none
            self.left(connection)

    def _take_turn(self) -> None:
        if not self._accept(self._most):
            self._most, self._full_turns = 1, 0
            return
        self._full_turns += 1
        if not self._full_turns % _TURNS_BEFORE_MORE:
            self._most = min(2 * self._most, _ACCEPTS_PER_TURN)

    def _accept(self, most: int) -> bool:
        """Accept so many connections; return whether there were as many."""
        for _ in range(most):
            try:
                descriptor, address = self._sock._accept()  # type: ignore[attr-defined]  # noqa: SLF001 - all of accept but its Enums
            except (BlockingIOError, InterruptedError):
                return False  # another worker was faster
            except ConnectionAbortedError:
                continue
            except OSError as error:
                self._pause(error)
                return False
            connection = self._kind(self._family, socket.SOCK_STREAM, self._protocol, descriptor)
            connection.setblocking(False)
            self.take(connection, address)
        return True

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
        self.entered(connection)
        self.tasks.spawn(self._serve(connection), name="take a connection")

    async def _serve(self, connection: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError):  # it is gone again
                await self.loop.connect_accepted_socket(self._factory, connection)
        finally:
            self.left(connection)
