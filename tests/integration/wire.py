"""A blocking client that sees every byte: interim responses, chunks, trailers, how a connection ends."""

from __future__ import annotations

import socket
import ssl
from types import TracebackType
from typing import NamedTuple, Self

from gateway_core.testing import RunningGateway

PATIENCE = 30.0
"""Seconds without a byte after which something that should happen counts as not happening."""


class Message(NamedTuple):
    """One response; an interim one has no body."""

    status: int
    head: bytes
    body: bytes = b""
    trailers: bytes = b""

    def values(self, name: str) -> list[str]:
        """Return every value of a field."""
        lines = [line.partition(b":") for line in self.head.split(b"\r\n")[1:]]
        return [value.strip().decode() for key, _, value in lines if key.lower() == name.lower().encode()]


def no_verification() -> ssl.SSLContext:
    """Return a client's context that takes every certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class Wire:
    """One connection."""

    def __init__(self, port: int, *, tls: bool = False) -> None:
        plain = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket = no_verification().wrap_socket(plain, server_hostname="localhost") if tls else plain
        self.received = b""

    @classmethod
    def to(cls, gateway: RunningGateway) -> Self:
        """Connect to a gateway's first listener."""
        return cls(gateway.port, tls=gateway.url.startswith("https"))

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def _more(self) -> bool:
        data = self.socket.recv(65536)
        self.received += data
        return bool(data)

    def until(self, end: bytes) -> bytes:
        """Read up to and with some bytes."""
        while end not in self.received:
            if not self._more():
                raise EOFError(f"the connection ended behind {self.received!r}")
        taken, _, self.received = self.received.partition(end)
        return taken + end

    def exactly(self, count: int) -> bytes:
        while len(self.received) < count:
            if not self._more():
                raise EOFError(f"the connection ended behind {self.received!r}")
        taken, self.received = self.received[:count], self.received[count:]
        return taken

    def rest(self) -> bytes:
        """Read until the other side closes.

        :raises ConnectionResetError: it ended with a reset.
        """
        while self._more():
            pass
        taken, self.received = self.received, b""
        return taken

    def is_closed(self) -> bool:
        """Wait for the end of the connection; False if something else comes."""
        try:
            return not self.received and not self._more()
        except OSError:
            return True

    def message(self, method: str = "GET") -> Message:
        """Read one response, interim or final.

        :param method: the request's, which decides whether there is a body.
        """
        head = self.until(b"\r\n\r\n")
        message = Message(int(head[9:12]), head)
        if message.status < 200 or message.status in {204, 304} or method == "HEAD":
            return message
        if message.values("transfer-encoding"):
            body, trailers = self._chunks()
            return message._replace(body=body, trailers=trailers)
        if length := message.values("content-length"):
            return message._replace(body=self.exactly(int(length[0])))
        return message._replace(body=self.rest())

    def _chunks(self) -> tuple[bytes, bytes]:
        body = b""
        while size := int(self.until(b"\r\n"), 16):
            body += self.exactly(size)
            assert self.exactly(2) == b"\r\n"
        trailers = b""
        while (line := self.until(b"\r\n")) != b"\r\n":
            trailers += line
        return body, trailers

    def final(self, method: str = "GET") -> Message:
        """Read one final response, and the interim ones before it."""
        while (message := self.message(method)).status < 200:
            pass
        return message

    def ask(self, data: bytes) -> Message:
        """Send a request and read its final response."""
        self.send(data)
        return self.final(data.partition(b" ")[0].decode())

    def reset(self) -> None:
        """Close with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.socket.close()

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
