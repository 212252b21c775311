"""What the first bytes on a TLS listener are: the beginning of a handshake or not (RFC 8446 section 5.1)."""

from __future__ import annotations

from enum import Enum
from typing import Final

_HANDSHAKE: Final = 22
_RECORD_HEAD: Final = 5
_MOST_FRAGMENT: Final = 16384
PEEK: Final = _RECORD_HEAD + _MOST_FRAGMENT
"""Bytes that are looked at: the longest record that may begin a handshake."""


class FirstBytes(Enum):
    """What to do with a new connection."""

    MORE = 1
    """Wait for more bytes: this is the beginning of a ClientHello."""
    TLS = 2
    """Begin TLS; what is no valid ClientHello gets its alert from the TLS library."""
    TEXT = 3
    """This is a request without TLS."""


def judge_first_bytes(data: bytes) -> FirstBytes:
    """Say what a connection begins with; ``data`` is not empty.

    The first record of a handshake is waited for as a whole, so that a client that never finishes it costs a socket
    and no TLS state. A ClientHello may go on in further records, which the TLS library waits for.
    """
    if data[0] != _HANDSHAKE:
        # A method is upper-case letters; servers skip empty lines before it (RFC 9112 section 2.2).
        return FirstBytes.TEXT if data[:1].isalpha() or data[:1] in {b"\r", b"\n"} else FirstBytes.TLS
    if len(data) < _RECORD_HEAD:
        return FirstBytes.MORE
    length = int.from_bytes(data[3:5], "big")
    if data[1] != 3 or not 0 < length <= _MOST_FRAGMENT:
        return FirstBytes.TLS
    return FirstBytes.TLS if len(data) >= _RECORD_HEAD + length else FirstBytes.MORE
