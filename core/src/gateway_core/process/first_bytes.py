"""Read the first bytes on a TLS listener: the ClientHello, or a request without TLS (RFC 8446 sections 4.1.2 and 5.1).

A ClientHello names the server that the client wants (SNI), and that decides which settings TLS begins with. It may
come in any number of TCP segments and be spread over several TLS records; those of post-quantum key exchanges usually
do. `HelloReader` is given everything that has come so far, again and again, and goes on where it stopped, so that its
work is linear in what the client sends. Nothing here judges whether a handshake can succeed: what is no ClientHello is
left to the TLS library, which sends the alert.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_SERVER_NAME: Final = 0
_HOST_NAME: Final = 0
_RECORD_HEAD: Final = 5
_MESSAGE_HEAD: Final = 4
_LONGEST_FRAGMENT: Final = 16384

_LONGEST_NAME: Final = 255

_LONGEST_HELLO: Final = 32768
"""Bytes of a ClientHello that are waited for; those of today's clients have 200 to 2,000, with post-quantum keys."""

MOST_PEEKED: Final = 65536
"""Bytes that are looked at: the longest ClientHello in records of reasonable size."""


class FirstBytes(Enum):
    """What a connection begins with, if that is no whole ClientHello."""

    MORE = 1
    """The beginning of a ClientHello: wait for the rest."""
    TEXT = 2
    """A request without TLS."""
    OTHER = 3
    """Neither; the TLS library refuses it."""


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What matters of a whole ClientHello."""

    server_name: str
    """The name that the client asks for (SNI, RFC 6066 section 3), lower-cased, without a final dot; empty if none."""


class HelloReader:
    """Reads a ClientHello from the bytes that a connection begins with, as often as more of them have come."""

    __slots__ = ("_message", "_position", "needed")

    def __init__(self) -> None:
        self.needed = 1
        """Bytes from the beginning of the connection on without which it is no use to read again."""
        self._position = 0  # where the next record begins
        self._message = bytearray()  # the fragments of the records before it

    def read(self, data: bytes) -> FirstBytes | ClientHello:
        """Return what the connection begins with.

        :param data: all bytes that have come so far, at least one.
        """
        if data[0] != _HANDSHAKE:
            # A method is upper-case letters; servers skip empty lines before it (RFC 9112 section 2.2).
            return FirstBytes.TEXT if data[:1].isalpha() or data[:1] in {b"\r", b"\n"} else FirstBytes.OTHER
        while not self._is_whole():
            end = self._record_end(data)
            if end is None or len(self._message) > _LONGEST_HELLO or end > MOST_PEEKED:
                return FirstBytes.OTHER
            if end > len(data):
                self.needed = end
                return FirstBytes.MORE
            self._message += data[self._position + _RECORD_HEAD : end]
            self._position = end
        name = _server_name(bytes(self._message))
        return FirstBytes.OTHER if name is None else ClientHello(name)

    def _is_whole(self) -> bool:
        message = self._message
        return len(message) >= _MESSAGE_HEAD and len(message) - _MESSAGE_HEAD >= int.from_bytes(message[1:4])

    def _record_end(self, data: bytes) -> int | None:
        """Return where the next record ends, or its head if that has not come as a whole; None if it is none."""
        head = data[self._position : self._position + _RECORD_HEAD]
        if len(head) < _RECORD_HEAD:
            return self._position + _RECORD_HEAD
        length = int.from_bytes(head[3:5])
        if head[0] != _HANDSHAKE or head[1] != 3 or not 0 < length <= _LONGEST_FRAGMENT:
            return None
        return self._position + _RECORD_HEAD + length


class _MalformedError(Exception):
    """A length that leads beyond the end, or what is longer than it may be."""


class _Fields:
    """Reads fields that are preceded by their length, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def is_at_end(self) -> bool:
        return self._position == len(self._data)

    def take(self, size: int) -> bytes:
        """Return so many bytes."""
        end = self._position + size
        if end > len(self._data):
            raise _MalformedError
        taken = self._data[self._position : end]
        self._position = end
        return taken

    def number(self, size: int) -> int:
        """Return a number of so many bytes."""
        return int.from_bytes(self.take(size))

    def vector(self, size: int) -> bytes:
        """Return what a length of so many bytes precedes."""
        return self.take(self.number(size))


def _server_name(message: bytes) -> str | None:
    """Return the server name of a ClientHello, empty without one; None if the message is none."""
    if message[0] != _CLIENT_HELLO:
        return None
    try:
        fields = _Fields(message[_MESSAGE_HEAD : _MESSAGE_HEAD + int.from_bytes(message[1:4])])
        fields.take(2 + 32)  # version, random
        for size in (1, 2, 1):  # session id, cipher suites, compression methods
            fields.vector(size)
        if fields.is_at_end:
            return ""
        extensions = _Fields(fields.vector(2))
        while not extensions.is_at_end:
            kind, content = extensions.number(2), extensions.vector(2)
            if kind == _SERVER_NAME:
                return _host_name(_Fields(content))
    except (_MalformedError, UnicodeDecodeError):
        return None
    return ""


def _host_name(extension: _Fields) -> str:
    names = _Fields(extension.vector(2))
    while not names.is_at_end:
        kind, name = names.number(1), names.vector(2)
        if kind == _HOST_NAME:
            if len(name) > _LONGEST_NAME:  # no name of a host; the TLS library refuses it as well
                raise _MalformedError
            return name.decode("ascii").lower().rstrip(".")
    return ""
