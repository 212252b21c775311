"""Messages in the text of HTTP/1, which tests write, and the fields of HTTP/2, which go to the other side."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http.client import responses

Fields = list[tuple[str, str]]

_HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "http2-settings", "host"}
_WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass
class Head:
    """First line and fields; in a request its trailers are added when the body has ended."""

    line: str
    fields: Fields
    trailers: Fields = field(default_factory=list)

    @property
    def method(self) -> str:
        return self.line.partition(" ")[0]

    @property
    def target(self) -> str:
        return self.line.split(" ", 2)[1]

    @property
    def status(self) -> int:
        return int(self.line.split(" ", 2)[1])

    def value(self, name: str) -> str | None:
        """Return the first value of a field."""
        return next((value for key, value in self.fields if key.lower() == name), None)

    @property
    def is_last(self) -> bool:
        """Whether its sender wants the connection to be closed behind the response."""
        wish = (self.value("connection") or "").lower()
        return "close" in wish or (self.line.endswith("HTTP/1.0") and "keep-alive" not in wish)

    @property
    def upgrade(self) -> str | None:
        """The protocol that is asked for: an extended CONNECT over HTTP/2 (RFC 8441)."""
        return self.value("upgrade") if self.method == "GET" else None

    @property
    def is_chunked(self) -> bool:
        return "chunked" in (self.value("transfer-encoding") or "").lower()


async def read_head(reader: asyncio.StreamReader) -> Head:
    """Read a request's or response's head.

    :raises asyncio.IncompleteReadError: the connection ended.
    """
    text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *lines = text[:-4].lstrip("\r\n").split("\r\n")
    pairs = [each.partition(":") for each in lines]
    return Head(line, [(name, value.strip(" \t")) for name, _, value in pairs])


async def read_body(reader: asyncio.StreamReader, head: Head, *, until_close: bool) -> AsyncIterator[bytes]:
    """Read a body in the pieces in which it comes, and the trailers into the head.

    :param until_close: whether a body without a length ends with the connection, as a response's does.
    :raises asyncio.IncompleteReadError: the connection ended within the body.
    """
    if head.is_chunked:
        while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            async for piece in _exactly(reader, size):
                yield piece
            await reader.readexactly(2)
        while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
            name, _, value = line.decode("latin-1").partition(":")
            head.trailers.append((name.lower(), value.strip()))
    elif (length := head.value("content-length")) is not None:
        async for piece in _exactly(reader, int(length)):
            yield piece
    elif until_close:
        while piece := await reader.read(65536):
            yield piece


async def _exactly(reader: asyncio.StreamReader, count: int) -> AsyncIterator[bytes]:
    while count:
        piece = await reader.read(min(count, 65536))
        if not piece:
            raise asyncio.IncompleteReadError(b"", count)
        count -= len(piece)
        yield piece


def request_fields(head: Head) -> Fields:
    """Return what HEADERS of a request say."""
    method, scheme, authority, path = head.method, "http", head.value("host"), head.target
    if "://" in path and not path.startswith("/"):
        scheme, _, rest = path.partition("://")
        authority, slash, path = rest.partition("/")
        path = slash + path or "/"
    pseudo = [(":method", method), (":scheme", scheme), (":path", path)]
    if head.upgrade is not None:
        pseudo = [(":method", "CONNECT"), (":protocol", head.upgrade), *pseudo[1:]]
    elif method == "CONNECT":
        pseudo, authority = [(":method", method)], head.target
    if authority is not None:
        pseudo.append((":authority", authority))
    return [*pseudo, *plain_fields(head)]


def plain_fields(head: Head) -> Fields:
    """Return the fields that HTTP/2 has too, with the names in lower case."""
    dropped = _HOP_BY_HOP | {name.strip().lower() for name in (head.value("connection") or "").split(",")} - {"te"}
    if head.upgrade is not None:
        dropped |= {"sec-websocket-key"}
    return [(name.lower(), value) for name, value in head.fields if name.lower() not in dropped]


def request_text(fields: Fields, *, ends: bool) -> bytes:
    """Return the text of a request, whose body is chunked if it has one without a length."""
    named = dict(fields)
    lines = [f"{named[':method']} {named[':path']} HTTP/1.1", f"Host: {named.get(':authority', '')}"]
    lines += _lines(fields)
    if not ends and "content-length" not in named:
        lines.append("Transfer-Encoding: chunked")
    return _text(lines)


def response_text(fields: Fields, *, chunked: bool, request: Head) -> bytes:
    """Return the text of a response's head."""
    status = int(dict(fields)[":status"])
    if request.upgrade is not None and status == 200:
        digest = hashlib.sha1(f"{request.value('sec-websocket-key')}{_WEBSOCKET_GUID}".encode(), usedforsecurity=False)
        accepted = base64.b64encode(digest.digest()).decode()
        lines = ["HTTP/1.1 101 Switching Protocols", f"Upgrade: {request.upgrade}", "Connection: Upgrade"]
        return _text([*lines, f"Sec-Websocket-Accept: {accepted}", *_lines(fields)])
    return _text(
        [
            f"HTTP/1.1 {status} {responses.get(status, '')}",
            *_lines(fields),
            *(["Transfer-Encoding: chunked"] if chunked else []),
        ]
    )


def chunk(data: bytes) -> bytes:
    """Return a chunk; nothing for an empty piece, which would be the last chunk."""
    return data and b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: Fields) -> bytes:
    return _text(["0", *_lines(trailers)])


def _lines(fields: Fields) -> list[str]:
    return [f"{'TE' if name == 'te' else name.title()}: {value}" for name, value in fields if not name.startswith(":")]


def _text(lines: list[str]) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
