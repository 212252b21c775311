"""ClientHellos of real clients, and ways in which they come in pieces."""

from __future__ import annotations

import ssl

import pytest

POST_QUANTUM = tuple(f"{number}-".ljust(200, "x") for number in range(8))
"""Protocols that make a ClientHello as long as one with a post-quantum key share, which older OpenSSLs cannot make."""


class TlsClient:
    """A TLS client over memory, which leaves its bytes to the test."""

    def __init__(self, name: str | None = "a.test", context: ssl.SSLContext | None = None) -> None:
        if context is None:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)

    def hello(self) -> bytes:
        """Begin the handshake and return its first bytes."""
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.outgoing.read()


def client_hello(name: str | None = "a.test", protocols: tuple[str, ...] = ()) -> bytes:
    """Return a ClientHello in one record."""
    context = ssl.create_default_context()
    context.check_hostname = False
    if protocols:
        context.set_alpn_protocols(protocols)
    return TlsClient(name, context).hello()


def in_records(hello: bytes, size: int) -> bytes:
    """Spread a ClientHello over TLS records of so many bytes."""
    head, message = hello[:3], hello[5:]
    pieces = [message[start : start + size] for start in range(0, len(message), size)]
    return b"".join(head + len(piece).to_bytes(2) + piece for piece in pieces)
