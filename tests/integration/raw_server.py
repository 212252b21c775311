"""A blocking server whose every byte a test decides: each connection is served by a function in a thread of its own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from tests.integration.wire import PATIENCE

Serve = Callable[["RawConnection"], None]


class RawConnection:
    """One accepted connection."""

    def __init__(self, server: RawServer, number: int, accepted: socket.socket) -> None:
        accepted.settimeout(PATIENCE)
        self.server = server
        self.number = number
        """From 1, in the order in which they were accepted."""
        self.socket = accepted
        self._received = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def request(self) -> bytes:
        """Read one request, keep it with the server, and return it; empty at the end of the connection."""
        while b"\r\n\r\n" not in self._received:
            data = self.socket.recv(65536)
            if not data:
                return b""
            self._received += data
        head, _, rest = self._received.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        while len(rest) < length:
            rest += self.socket.recv(65536)
        self._received = rest[length:]
        request = head + b"\r\n\r\n" + rest[:length]
        self.server.requests.append(request)
        return request

    def rest(self) -> bytes:
        """Read until the other side closes."""
        data, self._received = self._received, b""
        try:
            while more := self.socket.recv(65536):
                data += more
        except OSError:
            pass
        return data


class RawServer:
    """Listens from its making until `close`."""

    def __init__(self, serve: Serve | bytes, address: str | None = None) -> None:
        """Serve each connection.

        :param serve: a function, or the response to every request.
        :param address: path of a unix socket in place of a free port.
        """
        self._serve = serve if callable(serve) else _responds_with(serve)
        self.requests: list[bytes] = []
        self.ended = 0
        """How many connections have ended."""
        self._accepted: list[socket.socket] = []
        if address is None:
            self._socket = socket.create_server(("127.0.0.1", 0))
            self.port = int(self._socket.getsockname()[1])
            self.url = f"http://127.0.0.1:{self.port}"
        else:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.bind(address)
            self._socket.listen()
            self.port, self.url = 0, f"unix:{address}"
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def connections(self) -> int:
        """How many were accepted so far."""
        return len(self._accepted)

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._socket.accept()
            except OSError:
                return
            self._accepted.append(accepted)
            connection = RawConnection(self, len(self._accepted), accepted)
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection: RawConnection) -> None:
        try:
            self._serve(connection)
        except OSError:
            pass  # the other side left, or the test is over
        finally:
            connection.socket.close()
            self.ended += 1

    def close(self) -> None:
        """Listen no more, and end every connection. Safe to call twice."""
        for each in (self._socket, *self._accepted):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _responds_with(response: bytes) -> Serve:
    def serve(connection: RawConnection) -> None:
        while connection.request():
            connection.send(response)

    return serve
