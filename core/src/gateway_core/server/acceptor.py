"""Accept connections: on plain listeners where the event loop does it badly, on TLS listeners always.

asyncio calls a protocol's connection_made when the TLS handshake is complete. Until then no limit would count the
connection, and only asyncio's own 60 s would end it. Here a connection counts from the moment when it is accepted. Its
first bytes are peeked (``MSG_PEEK``) until they are a whole ClientHello; then TLS begins on the same socket. All that
ends within ``header_timeout``.

Running out of descriptors (EMFILE) must neither end the server nor flood the log: asyncio 3.11 logs a traceback for
each of up to 2,048 attempts a second. Here accepting pauses for a second, and one line a minute tells how often.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
from collections import deque
from typing import Any, Final, Protocol

from gateway_core.descriptors import EXHAUSTED
from gateway_core.proxy.downstream.reservation import Reservation
from gateway_core.proxy.server import GatewayServer
from gateway_core.server.first_bytes import PEEK, FirstBytes, judge_first_bytes
from gateway_core.server.tls import ListenerTls
from gateway_core.tasks import Tasks

_ACCEPTS_PER_TURN: Final = 64
"""Connections accepted in one turn of the loop, so that a flood of them leaves time for the ones that are there."""

_HANDSHAKES_PER_TURN: Final = 8
"""Handshakes begun in one turn: each takes about half a millisecond."""

_BACK_OFF: Final = 1.0
"""Seconds without accepting after the system was out of descriptors or memory."""

_LOG_EVERY: Final = 60.0

_logger = logging.getLogger("gateway.server")


class Shortage:
    """Tells of failures to accept, once a minute for all listeners together."""

    def __init__(self) -> None:
        self._logged_at = float("-inf")
        self._failures = 0

    def note(self, error: OSError, now: float) -> None:
        """Count a failure; log it with those before it if the last line is a minute old."""
        self._failures += 1
        if now < self._logged_at + _LOG_EVERY:
            return
        self._logged_at = now
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        _logger.error(
            "connections cannot be accepted: %s (%d times since the last such line, RLIMIT_NOFILE is %d): raise that "
            "limit, or set limits.max_connections below it",
            (error.strerror or str(error)).lower(),
            self._failures,
            most,
        )
        self._failures = 0


_shortage: Final = Shortage()


class Factory(Protocol):
    """Makes the protocol of a connection: an `aiohttp.web.Server`."""

    def __call__(self) -> Any: ...


class Acceptor:
    """Accepts on one listening socket, without TLS."""

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
        """Take in who has connected already, and accept no more; what has begun goes on."""
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
            _shortage.note(error, self.loop.time())
        else:
            _logger.warning("a connection could not be accepted: %s", error)
        self.loop.remove_reader(self._sock.fileno())
        if self._again is None:
            self._again = self.loop.call_later(_BACK_OFF, self.start)

    def take(self, connection: socket.socket, address: Any) -> None:  # noqa: ARG002 - for TLS
        """Serve a connection."""
        self.tasks.spawn(self._serve(connection), name="take a connection")

    async def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it is gone again
            await self.loop.connect_accepted_socket(self._factory, connection)


class TlsAcceptor(Acceptor):
    """Accepts on a listening socket and begins TLS on its connections."""

    def __init__(self, sock: socket.socket, server: GatewayServer, tls: ListenerTls) -> None:
        super().__init__(sock, server)
        self.server = server
        self.tls = tls
        self._ready: deque[_Beginning] = deque()
        self._begun = 0  # handshakes begun in this turn of the loop

    def take(self, connection: socket.socket, address: Any) -> None:
        """Wait for a connection's first bytes, unless there are too many connections.

        A connection over the limit is closed immediately: a response needs a handshake first.
        """
        reservation = self.server.proxy.reserve(address[0] if isinstance(address, tuple) else None)
        if reservation is None:
            connection.close()
        else:
            _Beginning(self, connection, reservation)

    def begin(self, beginning: _Beginning) -> None:
        """Begin a handshake, in a later turn of the loop if this one has had enough of them."""
        if not self._begun:
            self.loop.call_soon(self._next_turn)
        if self._begun < _HANDSHAKES_PER_TURN:
            self._begun += 1
            self.tasks.spawn(beginning.shake_hands(), name="TLS handshake")
        else:
            self._ready.append(beginning)

    def _next_turn(self) -> None:
        self._begun = 0
        for _ in range(min(len(self._ready), _HANDSHAKES_PER_TURN)):
            self.begin(self._ready.popleft())

    async def aclose(self) -> None:
        """Close the connections whose handshake is not complete."""
        await super().aclose()
        self._ready.clear()
        for beginning in [each for each in self.server.proxy.beginnings if isinstance(each, _Beginning)]:
            if beginning.acceptor is self:
                beginning.close()


class _Beginning:
    """A connection until its handshake is complete; it has a deadline to sweep."""

    __slots__ = ("_is_closed", "_is_waiting", "_seen", "_socket", "acceptor", "deadline", "reservation")

    def __init__(self, acceptor: TlsAcceptor, connection: socket.socket, reservation: Reservation) -> None:
        self.acceptor = acceptor
        self.reservation = reservation
        proxy = acceptor.server.proxy
        self.deadline = proxy.now() + proxy.limits.header_timeout
        self._socket = connection
        self._seen = 0
        self._is_closed = False
        proxy.beginnings.add(self)
        self._is_waiting = False
        self._look()

    def _look(self) -> None:
        """Look at what has come: at once, and then whenever there is more than at the last time."""
        try:
            data = self._socket.recv(PEEK, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            self._wait()
            return
        except OSError:
            self.close()
            return
        if len(data) <= self._seen:  # nothing more will come: the client has closed its half
            self.close()
            return
        verdict = judge_first_bytes(data)
        if verdict is FirstBytes.MORE and self._socket.family != socket.AF_UNIX:
            # What is peeked at stays readable, and would wake the loop again and again. Unix sockets know no such mark.
            self._seen = len(data)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, self._seen + 1)
            self._wait()
        elif verdict is FirstBytes.TEXT:
            self._refuse_text()
        else:
            self._begin_tls()

    def _wait(self) -> None:
        if not self._is_waiting:
            self._is_waiting = True
            self.acceptor.loop.add_reader(self._socket.fileno(), self._look)

    def _wait_no_more(self) -> None:
        if self._is_waiting:
            self._is_waiting = False
            self.acceptor.loop.remove_reader(self._socket.fileno())

    def _refuse_text(self) -> None:
        with contextlib.suppress(OSError):
            # Read, since closing with unread bytes would be a reset, which may overtake the response.
            self._socket.recv(PEEK)
            self._socket.send(self.acceptor.server.text_on_tls())
            self._socket.shutdown(socket.SHUT_WR)
        self.close()

    def _begin_tls(self) -> None:
        self._wait_no_more()
        if self._seen:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        self.acceptor.begin(self)

    async def shake_hands(self) -> None:
        """Do the handshake and give the connection to a lane."""
        if self._is_closed:
            return
        left, self.deadline = self.deadline - self.acceptor.server.proxy.now(), float("inf")
        try:
            # A failed handshake is the client's error: asyncio closes the socket, and no response can be sent.
            with contextlib.suppress(OSError):
                await self.acceptor.loop.connect_accepted_socket(
                    self._factory, self._socket, ssl=self.acceptor.tls.context, ssl_handshake_timeout=max(left, 0.001)
                )
        finally:
            self._leave()

    def _factory(self) -> asyncio.BaseProtocol:
        return self.acceptor.server.protocol_for(self.reservation)

    def _leave(self) -> None:
        self._is_closed = True
        proxy = self.acceptor.server.proxy
        proxy.beginnings.discard(self)
        proxy.cancel(self.reservation)

    def expire(self, now: float) -> None:  # noqa: ARG002 - the sweeper's signature
        """Close a connection whose first bytes did not come in time."""
        self.close()

    def close(self) -> None:
        """Close a connection that has not begun TLS."""
        if not self._is_closed:
            self._leave()
            self._wait_no_more()
            self._socket.close()
