"""Accept connections: where the event loop does it badly, and where something precedes HTTP.

asyncio calls a protocol's connection_made when the TLS handshake is complete. Until then no limit would count the
connection, and only asyncio's own 60 s would end it. Here a connection counts from the moment when it is accepted. Its
first bytes are peeked at (``MSG_PEEK``): a header of the PROXY protocol, where the listeners want one, which is then
consumed to the byte; and a whole ClientHello, whose server name chooses the listener whose TLS begins on the same
socket. All that ends within ``header_timeout``.

What is peeked at stays readable, and a level-triggered loop would call for it again and again. So the socket's
``SO_RCVLOWAT`` is raised to the bytes that are needed, and lowered before somebody else reads.

Running out of descriptors (EMFILE) must neither end the server nor flood the log: asyncio 3.11 logs a traceback for
each of up to 2,048 attempts a second. Here accepting pauses for a second, and one line a minute tells how often.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
import ssl
from collections import deque
from typing import Any, Final, Protocol

from gateway_core.descriptors import EXHAUSTED
from gateway_core.proxy.downstream.accepted import AcceptedConnection
from gateway_core.proxy.server import GatewayServer
from gateway_core.proxy_protocol import ProxyProtocolError, read_proxy_header
from gateway_core.server.first_bytes import MOST_PEEKED, ClientHello, FirstBytes, HelloReader
from gateway_core.server.tls import AddressTls
from gateway_core.tasks import Tasks

_ACCEPTS_PER_TURN: Final = 64
"""Connections accepted in one turn of the loop, so that a flood of them leaves time for the ones that are there."""

_REJECTED_PER_TURN: Final = 8
"""Connections over the limit that are accepted in one turn: they hold descriptors, which the limit is to bound."""

_HANDSHAKES_PER_TURN: Final = 8
"""Handshakes begun in one turn: each takes about half a millisecond."""

_BACK_OFF: Final = 1.0
"""Seconds without accepting after the system was out of descriptors or memory."""

_LOOK_AGAIN: Final = 0.01
"""Seconds between two looks at an incomplete beginning on a unix socket, which has no ``SO_RCVLOWAT``."""

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
        rejected = 0
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
            if not self.take(connection, address):
                rejected += 1
                if rejected == _REJECTED_PER_TURN:
                    return

    def _pause(self, error: OSError) -> None:
        """Accept nothing for a moment: an error that stays would be met again at once, by a loop that spins."""
        if error.errno in EXHAUSTED:
            _shortage.note(error, self.loop.time())
        else:
            _logger.warning("a connection could not be accepted: %s", error)
        self.loop.remove_reader(self._sock.fileno())
        if self._again is None:
            self._again = self.loop.call_later(_BACK_OFF, self.start)

    def take(self, connection: socket.socket, address: Any) -> bool:  # noqa: ARG002 - for limits
        """Serve a connection; False if it is one too many."""
        self.tasks.spawn(self._serve(connection), name="take a connection")
        return True

    async def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it is gone again
            await self.loop.connect_accepted_socket(self._factory, connection)


class GatewayAcceptor(Acceptor):
    """Accepts for the listeners at one address, within the limits."""

    def __init__(
        self, sock: socket.socket, server: GatewayServer, tls: AddressTls | None, *, wants_proxy_header: bool
    ) -> None:
        """Take a listening socket and what its listeners agree on.

        :param wants_proxy_header: whether each connection begins with a header of the PROXY protocol.
        """
        super().__init__(sock, server)
        self.server = server
        self.tls = tls
        self.wants_proxy_header = wants_proxy_header
        self._ready: deque[_Beginning] = deque()
        self._begun = 0  # handshakes begun in this turn of the loop

    def take(self, connection: socket.socket, address: Any) -> bool:
        """Look at a connection's first bytes, unless there are too many connections."""
        ip = address[0] if isinstance(address, tuple) else None
        # A load balancer is not the client: its connections count by client once their headers are read.
        accepted = AcceptedConnection(self.server.listener, None if self.wants_proxy_header else ip)
        if not self.server.proxy.reserve(accepted):
            self.reject(connection)
            return False
        _Beginning(self, connection, accepted, ip)
        return True

    def reject(self, connection: socket.socket) -> None:
        """Close a connection that is one too many; over TLS without a response, which would need a handshake first."""
        if self.tls is None:
            self.tasks.spawn(self._turn_away(connection), name="turn a connection away")
        else:
            connection.close()

    async def _turn_away(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            transport, _ = await self.loop.connect_accepted_socket(asyncio.Protocol, connection)
            self.server.proxy.turn_away(transport)

    def begin_tls(self, beginning: _Beginning) -> None:
        """Begin a handshake, in a later turn of the loop if this one has had enough of them."""
        if not self._begun:
            self.loop.call_soon(self._next_turn)
        if self._begun < _HANDSHAKES_PER_TURN:
            self._begun += 1
            self.tasks.spawn(beginning.hand_over(), name="TLS handshake")
        else:
            self._ready.append(beginning)

    def _next_turn(self) -> None:
        self._begun = 0
        for _ in range(min(len(self._ready), _HANDSHAKES_PER_TURN)):
            self.begin_tls(self._ready.popleft())

    async def aclose(self) -> None:
        """Close the connections that no protocol has yet."""
        await super().aclose()
        self._ready.clear()
        for beginning in [each for each in self.server.proxy.beginnings if isinstance(each, _Beginning)]:
            if beginning.acceptor is self:
                beginning.close()


class _Beginning:
    """A connection until a protocol has it, with a deadline to sweep.

    First the header of the PROXY protocol is read, if there must be one, then the ClientHello, if there is TLS.
    """

    __slots__ = (
        "_accepted",
        "_context",
        "_hello",
        "_is_closed",
        "_is_waiting",
        "_low_water",
        "_seen",
        "_socket",
        "_socket_ip",
        "_tls",
        "_wants_header",
        "acceptor",
        "deadline",
    )

    def __init__(
        self, acceptor: GatewayAcceptor, connection: socket.socket, accepted: AcceptedConnection, ip: str | None
    ) -> None:
        self.acceptor = acceptor
        proxy = acceptor.server.proxy
        self.deadline = proxy.now() + proxy.limits.header_timeout
        self._accepted = accepted
        self._socket = connection
        self._socket_ip = ip
        self._wants_header = acceptor.wants_proxy_header
        self._tls = acceptor.tls
        self._hello = HelloReader()
        self._context: ssl.SSLContext | None = None
        self._seen = 0  # bytes that were looked at
        self._low_water = 1
        self._is_waiting = False
        self._is_closed = False
        proxy.beginnings.add(self)
        self._look()

    def _look(self) -> None:
        """Look at what has come, and go on as far as that allows."""
        while not self._is_closed and (self._wants_header or self._tls is not None):
            try:
                data = self._socket.recv(MOST_PEEKED, socket.MSG_PEEK)
            except (BlockingIOError, InterruptedError):
                self._wait(1)
                return
            except OSError:
                self.close()
                return
            if len(data) <= self._seen and (not data or self._socket.family != socket.AF_UNIX):
                self.close()  # nothing more will come: the client has closed its half
                return
            self._seen = len(data)
            needed = self._read_header(data) if self._wants_header else self._read_hello(data)
            if needed:
                self._wait(needed)
                return
            if self._context is not None:
                break
        if not self._is_closed:
            self._begin()

    def _read_header(self, data: bytes) -> int:
        """Read the header of the PROXY protocol; return how many bytes are needed, or 0 if it is done with."""
        try:
            header = read_proxy_header(data)
        except ProxyProtocolError:
            self.close()
            return 0
        if isinstance(header, int):
            return header
        self._socket.recv(header.size)  # what follows is for TLS or HTTP
        self._wants_header = False
        self._seen = 0
        accepted, proxy = self._accepted, self.acceptor.server.proxy
        accepted.source, accepted.destination = header.source, header.destination
        if not proxy.identify(accepted, self._socket_ip if header.source is None else header.source[0]):
            self._leave()
            self._stop_waiting()
            self._set_low_water(1)
            self.acceptor.reject(self._socket)
        return 0

    def _read_hello(self, data: bytes) -> int:
        """Read the ClientHello and choose the listener; return how many bytes are needed, or 0 if it is done with."""
        assert self._tls is not None
        hello = self._hello.read(data)
        if hello is FirstBytes.MORE:
            return self._hello.needed
        if hello is FirstBytes.TEXT:
            self._refuse_text()
            return 0
        self._accepted.server_name = hello.server_name if isinstance(hello, ClientHello) else ""
        self._accepted.listener, self._context = self._tls.choose(self._accepted.server_name)
        return 0

    def _wait(self, needed: int) -> None:
        """Look again when there are so many bytes, or no more will come."""
        if self._seen and self._socket.family == socket.AF_UNIX:
            self._stop_waiting()
            self.acceptor.loop.call_later(_LOOK_AGAIN, self._look)
            return
        self._set_low_water(needed)
        if not self._is_waiting:
            self._is_waiting = True
            self.acceptor.loop.add_reader(self._socket.fileno(), self._look)

    def _set_low_water(self, size: int) -> None:
        if size != self._low_water:
            self._low_water = size
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)

    def _stop_waiting(self) -> None:
        if self._is_waiting:
            self._is_waiting = False
            self.acceptor.loop.remove_reader(self._socket.fileno())

    def _refuse_text(self) -> None:
        with contextlib.suppress(OSError):
            # Read, since closing with unread bytes would be a reset, which may overtake the response.
            self._socket.recv(MOST_PEEKED)
            self._socket.send(self.acceptor.server.text_on_tls())
            self._socket.shutdown(socket.SHUT_WR)
        self.close()

    def _begin(self) -> None:
        self._stop_waiting()
        self._set_low_water(1)
        if self._context is None:
            self.acceptor.tasks.spawn(self.hand_over(), name="take a connection")
        else:
            self.acceptor.begin_tls(self)

    async def hand_over(self) -> None:
        """Do the handshake, if there is TLS, and give the connection to its protocol."""
        if self._is_closed:
            return
        left, self.deadline = self.deadline - self.acceptor.server.proxy.now(), float("inf")
        timeout = None if self._context is None else max(left, 0.001)
        try:
            # A failed handshake is the client's error: asyncio closes the socket, and no response can be sent.
            with contextlib.suppress(OSError):
                await self.acceptor.loop.connect_accepted_socket(
                    self._factory, self._socket, ssl=self._context, ssl_handshake_timeout=timeout
                )
        finally:
            self._leave()

    def _factory(self) -> asyncio.BaseProtocol:
        return self.acceptor.server.protocol_for(self._accepted)

    def _leave(self) -> None:
        self._is_closed = True
        proxy = self.acceptor.server.proxy
        proxy.beginnings.discard(self)
        proxy.cancel(self._accepted)

    def expire(self, now: float) -> None:  # noqa: ARG002 - the sweeper's signature
        """Close a connection whose first bytes did not come in time."""
        self.close()

    def close(self) -> None:
        """Close a connection that has not begun TLS."""
        if not self._is_closed:
            self._leave()
            self._stop_waiting()
            self._socket.close()
