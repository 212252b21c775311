"""Accept connections at the address of one listener or several, and read what precedes HTTP.

asyncio calls a protocol's connection_made when the TLS handshake is complete. Until then no limit would count the
connection, and only asyncio's own 60 s would end it. Here a connection counts from the moment when it is accepted. Its
first bytes are peeked at (``MSG_PEEK``): a header of the PROXY protocol, where the listeners want one, which is then
consumed to the byte; and a whole ClientHello, whose server name chooses the listener whose TLS begins on the same
socket. All that ends within ``header_timeout``.

What is peeked at stays readable, and a level-triggered loop would call for it again and again. So the socket's
``SO_RCVLOWAT`` is raised to the bytes that are needed, and lowered before the connection's protocol reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Coroutine
from typing import Any, Final

from gateway_core.process.acceptor import Acceptor
from gateway_core.process.first_bytes import MOST_PEEKED, ClientHello, FirstBytes, HelloReader
from gateway_core.process.issuing import VALIDATION_WAIT, IssuingSources, ValidationProtocol, in_force, validation
from gateway_core.process.tls import AddressTls
from gateway_core.proxy.downstream.client import AcceptedConnection
from gateway_core.proxy.server import GatewayServer
from gateway_core.proxy_protocol import ProxyProtocolError, read_proxy_header

_MOST_REJECTED: Final = 16
"""Connections over the limit, of one acceptor, that have time to read why: they hold descriptors."""

_REJECTED_FOR: Final = 1.0
"""Seconds that they have."""

_HANDSHAKES_PER_TURN: Final = 8
"""Handshakes begun in one turn: each takes about half a millisecond."""

_UNRECOGNIZED_NAME: Final = b"\x15\x03\x01\x00\x02\x02\x70"
"""The fatal alert in a record (RFC 8446 section 6); asyncio closes a failed handshake before its alert is sent."""

_USUAL_PEEK: Final = 4096
"""Bytes that are looked at first: a ClientHello is rarely longer, and memory for the most costs more than the look."""

_LOOK_AGAIN: Final = 0.01
"""Seconds between two looks at an incomplete beginning on a unix socket, which has no ``SO_RCVLOWAT``."""


class GatewayAcceptor(Acceptor):
    """Accepts for the listeners at one address, within the limits."""

    def __init__(
        self,
        sock: socket.socket,
        server: GatewayServer,
        tls: AddressTls | None,
        *,
        wants_proxy_header: bool,
        issuing: IssuingSources | None = None,
    ) -> None:
        """Take a listening socket and what its listeners agree on.

        :param wants_proxy_header: whether each connection begins with a header of the PROXY protocol.
        :param issuing: sources of certificates that respond to authorities, or get certificates on demand.
        """
        super().__init__(sock, server)
        self.server = server
        self.tls = tls
        self.wants_proxy_header = wants_proxy_header
        self.issuing = issuing
        self.is_unix = sock.family == socket.AF_UNIX
        self._ready: deque[_Beginning] = deque()
        self._rejected: deque[_Rejected] = deque()
        self._begun = 0  # handshakes begun since the last turn in which some had to wait

    def take(self, connection: socket.socket, address: Any) -> None:
        """Look at a connection's first bytes, unless there are too many connections."""
        ip = address[0] if isinstance(address, tuple) else None
        # A load balancer is not the client: its connections count by client once their headers are read.
        accepted = AcceptedConnection(self.server.listener, None if self.wants_proxy_header else ip)
        if self.server.proxy.connections.reserve(accepted):
            _Beginning(self, connection, accepted, ip)
        else:
            self.reject(connection)

    def reject(self, connection: socket.socket) -> None:
        """Close a connection that is one too many; over TLS without a response, which would need a handshake first."""
        if self.tls is not None:
            connection.close()
            return
        if len(self._rejected) == _MOST_REJECTED:
            self._rejected.popleft().close()
        self._rejected.append(_Rejected(self, connection))

    def begin_tls(self, beginning: _Beginning) -> None:
        """Begin a handshake, in a later turn of the loop if there have been enough of them without another."""
        if self._begun < _HANDSHAKES_PER_TURN:
            self._begun += 1
            self.tasks.spawn(beginning.hand_over(), name="TLS handshake")
            return
        if not self._ready:
            self.loop.call_soon(self._next_turn)
        self._ready.append(beginning)

    def _next_turn(self) -> None:
        self._begun = 0
        while self._ready and self._begun < _HANDSHAKES_PER_TURN:
            self.begin_tls(self._ready.popleft())
        if self._ready:
            self.loop.call_soon(self._next_turn)

    async def aclose(self) -> None:
        """Close the connections that no protocol has yet."""
        await super().aclose()
        self._ready.clear()
        self._rejected.clear()


class _Beginning:
    """A connection until a protocol has it, with a deadline to sweep.

    First the header of the PROXY protocol is read, if there must be one, then the ClientHello, if there is TLS.
    """

    __slots__ = (
        "_accepted",
        "_context",
        "_hello",
        "_is_busy",
        "_is_closed",
        "_is_validation",
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
        self._is_closed = self._is_busy = self._is_validation = False
        proxy.beginnings.add(self)
        acceptor.entered(self)
        self._look()

    def _look(self) -> None:
        """Look at what has come, and go on as far as that allows."""
        while not self._is_closed and (self._wants_header or self._tls is not None):
            try:
                size = _USUAL_PEEK if self._seen < _USUAL_PEEK else MOST_PEEKED
                data = self._socket.recv(size, socket.MSG_PEEK)
            except (BlockingIOError, InterruptedError):
                self._wait(1)
                return
            except OSError:
                self.close()
                return
            if len(data) <= self._seen and not (data and self.acceptor.is_unix):
                self.close()  # nothing more will come: the client has closed its half
                return
            self._seen = len(data)
            needed = self._read_header(data) if self._wants_header else self._read_hello(data)
            if needed:
                self._wait(needed)
                return
            if self._is_busy:
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
        if not proxy.connections.identify(accepted, self._socket_ip if header.source is None else header.source[0]):
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
            self._refuse(self.acceptor.server.text_on_tls())
            return 0
        server_name = hello.server_name if isinstance(hello, ClientHello) else ""
        issuing = self.acceptor.issuing
        if issuing is not None and server_name:
            if isinstance(hello, ClientHello) and hello.is_validation:
                self._work(self._validate(issuing, server_name), "validation by TLS")
                return 0
            provided = issuing.provide(self.acceptor.server.listener, server_name)
            if provided is not None:
                self._work(self._await_certificate(provided, server_name), "certificate on demand")
                return 0
        self._choose(server_name)
        return 0

    def _choose(self, server_name: str) -> None:
        """Choose the listener, and with it the context that TLS begins with; or refuse the connection."""
        assert self._tls is not None
        chosen = self._tls.choose(server_name)
        if chosen is None:
            self._refuse(_UNRECOGNIZED_NAME)
        else:
            self._accepted.listener, self._context, covers = chosen
            self._accepted.covers = covers if server_name else None

    def _work(self, work: Coroutine[object, object, None], name: str) -> None:
        """Do what has to be awaited before TLS begins; until that ends, nothing more is looked at."""
        self._stop_waiting()
        self._is_busy = True
        self.acceptor.tasks.spawn(work, name=name)

    async def _await_certificate(self, provided: Awaitable[object], server_name: str) -> None:
        """Begin TLS once the name has a certificate, or it is known that it gets none."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(self.deadline - self.acceptor.server.proxy.now(), 0)):
                if await provided:
                    await in_force(self._tls, server_name)
        if not self._is_closed:
            self._choose(server_name)
        if not self._is_closed:
            self._begin()

    async def _validate(self, issuing: IssuingSources, server_name: str) -> None:
        """Show an authority the certificate of its challenge, and end the connection (RFC 8737)."""
        self.deadline = min(self.deadline, self.acceptor.server.proxy.now() + VALIDATION_WAIT)
        self._context = await validation(issuing, server_name)
        if self._context is None:
            self._refuse(_UNRECOGNIZED_NAME)
        elif not self._is_closed:
            self._is_validation = True
            self._set_low_water(1)
            await self.hand_over()

    def _wait(self, needed: int) -> None:
        """Look again when there are so many bytes, or no more will come."""
        if self._seen and self.acceptor.is_unix:
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

    def _refuse(self, response: bytes) -> None:
        """Send a few bytes without TLS, and close the connection."""
        with contextlib.suppress(OSError):  # also if it is closed already
            # Read, since closing with unread bytes would be a reset, which may overtake the response.
            self._socket.recv(MOST_PEEKED)
            self._socket.send(response)
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
            await self.acceptor.loop.connect_accepted_socket(
                self._factory, self._socket, ssl=self._context, ssl_handshake_timeout=timeout
            )
        except OSError:
            pass  # a failed handshake is the client's error: asyncio closes the socket, and no response can be sent
        finally:
            self._leave()

    def _factory(self) -> asyncio.BaseProtocol:
        return ValidationProtocol() if self._is_validation else self.acceptor.server.protocol_for(self._accepted)

    def _leave(self) -> None:
        self._is_closed = True
        proxy = self.acceptor.server.proxy
        proxy.beginnings.discard(self)
        if self._accepted.is_counted:
            proxy.connections.cancel(self._accepted)
        self.acceptor.left(self)

    def expire(self, now: float) -> None:  # noqa: ARG002 - the sweeper's signature
        """Close a connection whose first bytes did not come in time."""
        self.close()

    def close(self) -> None:
        """Close a connection that has not begun TLS."""
        if not self._is_closed:
            self._leave()
            self._stop_waiting()
            self._socket.close()


class _Rejected:
    """A connection over the limit that got a 503, until its client has read that.

    Closed at once, it would respond with a reset to what the client is about to send, which may overtake the 503. It is
    a plain socket, as a transport's closing takes turns of the loop, in which more of them would come.
    """

    __slots__ = ("_socket", "acceptor", "deadline")

    def __init__(self, acceptor: GatewayAcceptor, connection: socket.socket) -> None:
        self.acceptor = acceptor
        proxy = acceptor.server.proxy
        self.deadline = proxy.now() + _REJECTED_FOR
        self._socket = connection
        with contextlib.suppress(OSError):  # it is gone again
            connection.send(acceptor.server.too_many())
            connection.shutdown(socket.SHUT_WR)
        proxy.beginnings.add(self)
        acceptor.entered(self)
        acceptor.loop.add_reader(connection.fileno(), self._drain)

    def _drain(self) -> None:
        """Read what the client sends, until its end."""
        try:
            data = self._socket.recv(MOST_PEEKED)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.close()

    def expire(self, now: float) -> None:  # noqa: ARG002 - the sweeper's signature
        """Close a connection whose client does not."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._socket.fileno() >= 0:
            self.acceptor.server.proxy.beginnings.discard(self)
            self.acceptor.loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self.acceptor.left(self)
