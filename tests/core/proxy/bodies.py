"""Plugins that look at response bodies, and what clients read."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any

from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import BodyFilter, Record, Request, Response

from tests.core.proxy.kit import Peer, Plugins

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
GET_TE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: TE\r\nTE: trailers\r\n\r\n"
CLOSING = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
BIND = "plugins: [{name: p}]"
FIELDS = b'ETag: "1"\r\nContent-Digest: x\r\nRepr-Digest: x\r\nDigest: x\r\nContent-MD5: x\r\nX-Kept: 1\r\n'
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n" + FIELDS + b"\r\nabcdef"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

current: contextvars.ContextVar[str] = contextvars.ContextVar("current", default="nobody")


class Noted(BodyFilter):
    """Notes what happens to it, and changes nothing."""

    def __init__(self) -> None:
        self.fed: list[bytes] = []
        self.closed: list[Exception | None] = []
        self.contexts: set[str] = set()

    def feed(self, data: bytes) -> Any:
        self.fed.append(data)
        self.contexts.add(current.get())
        return data

    def close(self, error: Exception | None) -> None:
        self.closed.append(error)
        self.contexts.add(current.get())


class Upper(Noted):
    def feed(self, data: bytes) -> Any:
        return super().feed(data).upper()


def adds(
    factory: Callable[[], BodyFilter], records: list[Record] | None = None, *, observe: bool = False
) -> type[Plugin[Any]]:
    """Return a plugin that adds a filter to each response."""

    class Adds(Plugin[Any]):
        name = "p"

        @hookimpl
        def gateway_response(self, request: Request, response: Response) -> None:
            current.set(request.raw_path)
            response.add_body_filter(factory, observe=observe)

        @hookimpl
        def gateway_log(self, record: Record) -> None:
            if records is not None:
                records.append(record)

    return Adds


def collected(made: list[BodyFilter]) -> Callable[[], BodyFilter]:
    """Return a factory that keeps what it makes."""

    def factory() -> BodyFilter:
        made.append(Upper())
        return made[-1]

    return factory


def hook(run: Callable[[Response], Any]) -> Plugins:
    """Return a plugin with an awaited response hook."""

    class Hooked(Plugin[Any]):
        name = "p"

        @hookimpl
        async def gateway_response(self, response: Response) -> Response | None:
            result = await run(response)
            assert result is None or isinstance(result, Response)
            return result

    return [Hooked]


async def chunks(client: Peer) -> bytes:
    """Read a body in chunks and return it."""
    body = b""
    while size := int(await client.reader.readuntil(b"\r\n"), 16):
        body += await client.exactly(size)
        await client.exactly(2)
    return body


class FailsAt(Noted):
    """Fails when it is fed for a number of times; behind that, or at the end."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count

    def feed(self, data: bytes) -> Any:
        super().feed(data)
        if len(self.fed) > self._count:
            raise ValueError("no")
        return data
