"""The wire format of gRPC-Web: content types, frames of trailers, and base64 in pieces.

A body is that of gRPC, a frame for each message, with one frame more behind them: its first byte has the bit 0x80, and
its content is the trailers, as lines of HTTP/1 in lower case. In ``application/grpc-web-text`` all of it is base64, in
sections that may end with padding wherever a sender has nothing more to send for now.

    https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

TRAILERS: Final = 0x80
"""First byte of the frame of trailers."""

_TYPE: Final = re.compile(r"application/grpc-web(-text)?(\+[a-z0-9.+-]+)?[ \t]*(?:;.*)?", re.IGNORECASE)
_SPACE: Final = re.compile(rb"[\r\n\t ]+")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]*={0,2}")


class WebType(NamedTuple):
    """What a Content-Type of gRPC-Web says."""

    is_text: bool
    suffix: str
    """``+proto``, or another format of messages; may be empty."""

    @property
    def as_grpc(self) -> str:
        """The Content-Type of the same call in gRPC."""
        return f"application/grpc{self.suffix}"

    def named(self, suffix: str) -> str:
        """Return the Content-Type of a response whose messages have a format."""
        return f"application/grpc-web{'-text' if self.is_text else ''}{suffix}"


def read_type(value: str | None) -> WebType | None:
    """Return what a Content-Type says; None if it is none of gRPC-Web."""
    found = None if value is None else _TYPE.fullmatch(value.strip(" \t"))
    return None if found is None else WebType(found[1] is not None, (found[2] or "").lower())


def trailers_frame(fields: Iterable[tuple[str, str]]) -> bytes:
    """Return the frame of trailers."""
    content = "".join([f"{name.lower()}: {value}\r\n" for name, value in fields]).encode("latin-1")
    return bytes((TRAILERS,)) + len(content).to_bytes(4, "big") + content


def decode_text(text: bytes) -> bytes:
    """Return what base64 stands for, in any number of sections.

    :raises ValueError: it is no base64.
    """
    text = _SPACE.sub(b"", text)
    if b"=" not in text:
        return binascii.a2b_base64(text, strict_mode=True)
    parts, position = [], 0
    while position < len(text):
        section = _BASE64.match(text, position)
        if section is None or not section[0]:
            raise ValueError("it is no base64")
        parts.append(binascii.a2b_base64(section[0], strict_mode=True))
        position = section.end()
    return b"".join(parts)


class TextEncoder:
    """Makes base64 of pieces; what does not fill a group of three bytes waits for the next piece."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def encode(self, data: bytes) -> bytes:
        """Return what can be sent with these bytes."""
        data = self._rest + data
        whole = len(data) - len(data) % 3
        self._rest = data[whole:]
        return binascii.b2a_base64(data[:whole], newline=False)

    def flush(self) -> bytes:
        """Return what waits, which ends a section."""
        rest, self._rest = self._rest, b""
        return binascii.b2a_base64(rest, newline=False) if rest else b""
