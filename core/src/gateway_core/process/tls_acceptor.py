"""Accepts connections with TLS for a listener of few clients, such as the admin listener's.

Until its handshake is over a connection has no protocol that could count it. So handshakes are bounded here, in time
and in number: of more the oldest one ends, so clients that connect and send nothing keep no descriptors from others.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import Any, Final

from gateway_core.process.acceptor import Acceptor, Factory

HANDSHAKE_TIMEOUT: Final = 10.0
"""Seconds for a handshake."""
MOST_HANDSHAKES: Final = 64
"""That have begun and are not over."""


class TlsAcceptor(Acceptor):
    """Accepts on one listening socket, and gives every connection to a protocol once its handshake is over."""

    def __init__(self, sock: socket.socket, factory: Factory, context: ssl.SSLContext) -> None:
        """Take a listening, non-blocking socket, which is closed by `close`."""
        super().__init__(sock, factory)
        self._context = context
        self._beginning: dict[socket.socket, None] = {}
        """Connections without a protocol, the oldest first."""

    def take(self, connection: socket.socket, address: Any) -> None:
        if len(self._beginning) >= MOST_HANDSHAKES:
            self._end(next(iter(self._beginning)))
        self._beginning[connection] = None
        super().take(connection, address)

    async def _serve(self, connection: socket.socket) -> None:
        try:
            # A failed handshake is the client's error, and no response can be sent.
            with contextlib.suppress(OSError):
                await self.loop.connect_accepted_socket(
                    self._factory, connection, ssl=self._context, ssl_handshake_timeout=HANDSHAKE_TIMEOUT
                )
        finally:
            self._beginning.pop(connection, None)
            self.left(connection)

    def _end(self, connection: socket.socket) -> None:
        """End a handshake: it finds the connection closed by the client."""
        self._beginning.pop(connection, None)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        super().close()
        for connection in list(self._beginning):
            self._end(connection)
