"""A small blocking client that keeps what an answer said as it said it."""

from __future__ import annotations

import http.client
import json as json_module
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway_core.messages import Headers

Fields = Headers | Mapping[str, str] | Iterable[tuple[str, str]]

TIMEOUT: Final = 30.0
"""Seconds without a byte after which a request of a test has failed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    reason: str
    headers: Headers
    """In the order of the wire; a field that came twice is here twice."""

    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    def json(self) -> Any:
        """Return the body as JSON."""
        return json_module.loads(self.body)


def pairs_of(fields: Fields) -> list[tuple[str, str]]:
    """Return header fields, given in any of the usual ways, as pairs."""
    if isinstance(fields, Headers | Mapping):
        return list(fields.items())
    return list(fields)


class Client:
    """Sends requests to one address, each over a connection of its own."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port

    def request(
        self,
        method: str,
        target: str,
        *,
        headers: Fields = (),
        body: bytes | str | Iterable[bytes] = b"",
        json: Any = None,
        timeout: float = TIMEOUT,
    ) -> Answer:
        """Send a request and return the whole answer; redirects are not followed.

        :param target: the request-target, as it goes on the wire.
        :param body: bytes or text for a body with Content-Length; an iterable of bytes for a chunked one.
        :param json: a value to send as a JSON body instead.
        :raises OSError: the connection failed. Also `http.client.HTTPException` for an answer that is cut off.
        """
        fields = pairs_of(headers)
        if json is not None:
            body = json_module.dumps(json)
            fields = _with_default(fields, "Content-Type", "application/json")
        data = body.encode() if isinstance(body, str) else body
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in self._framed(fields, data, method):
                connection.putheader(name, value.encode("latin-1"))
            is_chunked = not isinstance(data, bytes)
            connection.endheaders(None if data == b"" else data, encode_chunked=is_chunked)
            response = connection.getresponse()
            return Answer(response.status, response.reason, Headers(response.getheaders()), response.read())
        finally:
            connection.close()

    def _framed(
        self, fields: list[tuple[str, str]], data: bytes | Iterable[bytes], method: str
    ) -> list[tuple[str, str]]:
        fields = _with_default(fields, "Host", f"{self.host}:{self.port}")
        given = {name.lower() for name, _ in fields}
        if given & {"content-length", "transfer-encoding"}:
            return fields
        if not isinstance(data, bytes):
            return [*fields, ("Transfer-Encoding", "chunked")]
        if data or method in {"POST", "PUT", "PATCH"}:
            return [*fields, ("Content-Length", str(len(data)))]
        return fields

    def raw(self, data: bytes, *, timeout: float = TIMEOUT) -> bytes:
        """Send bytes as they are and return everything that comes back until the other side closes.

        So the last request in ``data`` should say ``Connection: close``.

        :raises TimeoutError: the other side left the connection open.
        """
        with socket.create_connection((self.host, self.port), timeout=timeout) as connection:
            connection.sendall(data)
            received = bytearray()
            while True:
                try:
                    piece = connection.recv(65536)
                except TimeoutError:
                    what = f"the connection is still open after {timeout:g} seconds: ask for 'Connection: close'"
                    raise TimeoutError(f"{what}; received so far: {bytes(received)!r}") from None
                except ConnectionResetError:
                    return bytes(received)
                if not piece:
                    return bytes(received)
                received += piece


def _with_default(fields: list[tuple[str, str]], name: str, value: str) -> list[tuple[str, str]]:
    if any(given.lower() == name.lower() for given, _ in fields):
        return fields
    return [(name, value), *fields]
