"""What other readers of HTTP/1 make of a request head: aiohttp's parser in C and in Python, and h11."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import h11
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError
from aiohttp.http_parser import HttpRequestParser, HttpRequestParserPy


class Reading(NamedTuple):
    """A head as one reader has it."""

    method: bytes
    target: bytes
    version: bytes
    fields: list[tuple[bytes, bytes]]
    """Names in lower case, values without white space around them."""


class AiohttpOracle:
    """One of aiohttp's parsers."""

    def __init__(self, parser: Any) -> None:
        self._parser = parser
        self._loop = asyncio.new_event_loop()

    def read(self, head: bytes) -> Reading | None:
        """Return the head, or None if it is refused or not complete."""
        parser = self._parser(
            BaseProtocol(self._loop), self._loop, 2**16, max_line_size=2**16, max_field_size=2**16, max_headers=1000
        )
        try:
            messages, _, _ = parser.feed_data(head)
        except (BadHttpMessage, HttpProcessingError):
            return None
        if not messages:
            return None
        message, payload = messages[0]
        if payload is not None and payload.exception() is not None:
            return None
        fields = [(name.lower(), value.strip(b" \t")) for name, value in message.raw_headers]
        version = b"%d.%d" % (message.version.major, message.version.minor)
        return Reading(
            message.method.encode("latin-1"), message.path.encode("utf-8", "surrogateescape"), version, fields
        )

    def close(self) -> None:
        self._loop.close()


class H11Oracle:
    """h11, which aims at what the RFCs say."""

    def read(self, head: bytes) -> Reading | None:
        """Return the head, or None if it is refused or not complete."""
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=2**17)
        connection.receive_data(head)
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            return None
        if not isinstance(event, h11.Request):
            return None
        fields = [(bytes(name), bytes(value)) for name, value in event.headers]
        return Reading(bytes(event.method), bytes(event.target), bytes(event.http_version), fields)

    def close(self) -> None: ...


ORACLES = {
    "aiohttp in C": lambda: AiohttpOracle(HttpRequestParser),
    "aiohttp in Python": lambda: AiohttpOracle(HttpRequestParserPy),
    "h11": H11Oracle,
}
