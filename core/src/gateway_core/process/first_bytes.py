"""Read the first bytes on a TLS listener: the ClientHello, or a request without TLS (RFC 8446 sections 4.1.2 and 5.1).

A ClientHello names the server that the client wants (SNI), and that decides which settings TLS begins with; and what
it wants to speak (ALPN), since an authority that validates a name by TLS is served by itself (RFC 8737). It may
come in any number of TCP segments and be spread over several TLS records; those of post-quantum key exchanges usually
do. `HelloReader` is given everything that has come so far, again and again, and goes on where it stopped, so that its
work is linear in what the client sends. Nothing here judges whether a handshake can succeed: what is no ClientHello is
left to the TLS library, which sends the alert.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_SERVER_NAME: Final = 0
_PROTOCOLS: Final = 16
_HOST_NAME: Final = 0
_RECORD_HEAD: Final = 5
_MESSAGE_HEAD: Final = 4
_LONGEST_FRAGMENT: Final = 16384

_LONGEST_NAME: Final = 255

_VALIDATION: Final = b"\x0aacme-tls/1"
"""The protocol as an item of the list of a ClientHello (RFC 8737 section 6.2)."""

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


class ClientHello(NamedTuple):
    """What matters of a whole ClientHello."""

    server_name: str
    """The name that the client asks for (SNI, RFC 6066 section 3), lower-cased, without a final dot; empty if none."""

    is_validation: bool = False
    """Whether ``acme-tls/1`` is all that it wants to speak: it is an authority, which looks at the certificate."""


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
        size = int.from_bytes(data[3:5])
        if (not self._position and data[1:2] == b"\x03" and _MESSAGE_HEAD <= size <= _LONGEST_FRAGMENT) and (
            len(data) >= _RECORD_HEAD + size and size - _MESSAGE_HEAD >= int.from_bytes(data[6:9])
        ):  # as mostly, it came as a whole, in one record
            return _read_message(data[_RECORD_HEAD : _RECORD_HEAD + size])
        while not self._is_whole():
            end = self._record_end(data)
            if end is None or len(self._message) > _LONGEST_HELLO or end > MOST_PEEKED:
                return FirstBytes.OTHER
            if end > len(data):
                self.needed = end
                return FirstBytes.MORE
            self._message += data[self._position + _RECORD_HEAD : end]
            self._position = end
        return _read_message(self._message)

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


def _read_message(message: bytes | bytearray) -> FirstBytes | ClientHello:
    name = _server_name(message)
    if name is None:
        return FirstBytes.OTHER
    # A search through all bytes costs each connection less than a second parser would.
    return ClientHello(name, message.find(_VALIDATION) >= 0 and _only_validates(message))


def _server_name(message: bytes | bytearray) -> str | None:
    """Return the server name of a ClientHello, empty without one; None if the message is none."""
    try:
        extension = _extension(message, _SERVER_NAME)
        return None if extension is None else _host_name(extension) if extension else ""
    except (IndexError, UnicodeDecodeError):
        return None


def _only_validates(message: bytes | bytearray) -> bool:
    """Whether the list of protocols of a ClientHello has exactly ``acme-tls/1``."""
    try:
        return bytes(_extension(message, _PROTOCOLS) or b"") == len(_VALIDATION).to_bytes(2) + _VALIDATION
    except IndexError:
        return False


def _extension(message: bytes | bytearray, wanted: int) -> bytes | bytearray | None:
    """Return the content of the first extension of a kind, empty without one; None if the message is no ClientHello.

    Each connection pays for this: it goes by index over the bytes.

    :raises IndexError: something leads beyond their end.
    """
    if message[0] != _CLIENT_HELLO:
        return None
    hello = message[: _MESSAGE_HEAD + int.from_bytes(message[1:4])]
    at = _MESSAGE_HEAD + 2 + 32  # version, random
    at += 1 + hello[at]  # session id
    at += 2 + (hello[at] << 8 | hello[at + 1])  # cipher suites
    at += 1 + hello[at]  # compression methods
    if at == len(hello):
        return b""
    end = at + 2 + (hello[at] << 8 | hello[at + 1])
    if end > len(hello):
        return None
    at += 2
    while at < end:
        kind, size = hello[at] << 8 | hello[at + 1], hello[at + 2] << 8 | hello[at + 3]
        at += 4
        if at + size > end:
            return None
        if kind == wanted:
            return hello[at : at + size]
        at += size
    return b""


def _host_name(extension: bytes | bytearray) -> str | None:
    end = 2 + (extension[0] << 8 | extension[1])
    if end > len(extension):
        return None
    at = 2
    while at < end:
        kind, size = extension[at], extension[at + 1] << 8 | extension[at + 2]
        at += 3
        if at + size > end:
            return None
        if kind == _HOST_NAME:
            # No host has a longer name; the TLS library refuses it as well.
            return extension[at : at + size].decode("ascii").lower().rstrip(".") if size <= _LONGEST_NAME else None
        at += size
    return ""
