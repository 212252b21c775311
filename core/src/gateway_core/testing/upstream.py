"""A scripted upstream on a real socket: responds as a test says, and keeps what it received."""

from __future__ import annotations

import asyncio
import inspect
import json as json_module
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from gateway_core.messages import Headers
from gateway_core.messages.response import reason_phrase
from gateway_core.testing.client import Fields, pairs_of
from gateway_core.testing.loop_thread import LoopThread, eventually
from gateway_core.testing.stream_server import StreamServer


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One request as the upstream received it."""

    method: str
    target: str
    """Path and query as they were sent."""

    headers: Headers
    """In the order of the wire, duplicates included."""

    body: bytes

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The target's query, without its question mark."""
        return self.target.partition("?")[2]

    def json(self) -> Any:
        """Return the body as JSON."""
        return json_module.loads(self.body)


@dataclass(frozen=True, slots=True)
class UpstreamAnswer:
    """What the upstream does with a request."""

    status: int = 200
    body: bytes | str | Iterable[bytes] = b""
    """Bytes or text go with a Content-Length; an iterable of bytes goes in chunks."""

    headers: Fields = field(default_factory=list)
    delay: float = 0.0
    """Seconds to wait before the answer."""

    raw: bytes | None = None
    """Sent as it is in place of an answer; the connection is closed after it."""

    reset: bool = False
    """Whether to reset the connection instead."""


Script = Callable[[ReceivedRequest], UpstreamAnswer | Awaitable[UpstreamAnswer]]
"""Called in the upstream's own event loop."""


class ScriptedUpstream:
    """An HTTP/1.1 server that is there from its making until `close`."""

    def __init__(self) -> None:
        self._requests: list[ReceivedRequest] = []
        self._next: deque[UpstreamAnswer] = deque()
        self._script: Script = lambda _: UpstreamAnswer()
        self._thread = LoopThread("scripted upstream")
        self._server = StreamServer(self._serve)
        self.port: int = self._thread.run(self._server.start())

    @property
    def url(self) -> str:
        """Where it listens: what a route's ``target`` or an endpoint's ``url`` says."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[ReceivedRequest]:
        """What was received so far, in order."""
        return self._requests.copy()

    @property
    def last(self) -> ReceivedRequest:
        """The latest request.

        :raises AssertionError: nothing was received.
        """
        assert self._requests, "the upstream received no request"
        return self._requests[-1]

    def wait_for(self, count: int) -> list[ReceivedRequest]:
        """Wait until so many requests were received in all, and return them."""
        return eventually(lambda: self.requests if len(self._requests) >= count else [])

    def clear(self) -> None:
        """Forget the requests and the answers that are still queued."""
        self._requests.clear()
        self._next.clear()

    # -- what it answers

    def answer_with(
        self,
        status: int = 200,
        body: bytes | str | Iterable[bytes] = b"",
        headers: Fields = (),
        *,
        json: Any = None,
        delay: float = 0.0,
        raw: bytes | None = None,
        reset: bool = False,
    ) -> None:
        """Answer every request from now on like this; see `UpstreamAnswer`."""
        answer = _answer(status, body, headers, json, delay, raw, reset)
        self._script = lambda _: answer

    def answer_next(
        self,
        status: int = 200,
        body: bytes | str | Iterable[bytes] = b"",
        headers: Fields = (),
        *,
        json: Any = None,
        delay: float = 0.0,
        raw: bytes | None = None,
        reset: bool = False,
    ) -> None:
        """Answer one request like this; several calls queue up."""
        self._next.append(_answer(status, body, headers, json, delay, raw, reset))

    def answer_by(self, script: Script) -> None:
        """Answer every request from now on with what ``script`` returns for it; it may be ``async``."""
        self._script = script

    # -- serving

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await self._exchange(reader, writer):
            pass

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = await _read(reader)
        self._requests.append(request)
        answer = self._next.popleft() if self._next else self._script(request)
        if inspect.isawaitable(answer):
            answer = await answer
        if answer.delay:
            await asyncio.sleep(answer.delay)
        if answer.reset:
            _reset(writer)
            return False
        writer.write(_wire(answer, request.method) if answer.raw is None else answer.raw)
        await writer.drain()
        return answer.raw is None

    # -- the end

    def close(self) -> None:
        """Close every connection and the socket."""
        self._thread.run(self._server.close())
        self._thread.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _answer(
    status: int,
    body: bytes | str | Iterable[bytes],
    headers: Fields,
    json: Any,
    delay: float,
    raw: bytes | None,
    reset: bool,
) -> UpstreamAnswer:
    fields = pairs_of(headers)
    if json is not None:
        body = json_module.dumps(json)
        fields.append(("Content-Type", "application/json"))
    whole = body if isinstance(body, bytes | str) else tuple(body)
    return UpstreamAnswer(status, whole, fields, delay, raw, reset)


async def _read(reader: asyncio.StreamReader) -> ReceivedRequest:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *lines = head[:-4].split("\r\n")
    method, target, _ = line.split(" ", 2)
    headers = Headers((name, value.strip()) for name, _, value in (each.partition(":") for each in lines))
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return ReceivedRequest(method, target, headers, body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        body += (await reader.readexactly(size + 2))[:-2]
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return bytes(body)


def _wire(answer: UpstreamAnswer, method: str) -> bytes:
    body = answer.body.encode() if isinstance(answer.body, str) else answer.body
    head = f"HTTP/1.1 {answer.status} {reason_phrase(answer.status)}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in pairs_of(answer.headers))
    has_body = method != "HEAD" and answer.status >= 200 and answer.status not in {204, 304}
    if not isinstance(body, bytes):
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in body if each)
        return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode("latin-1") + (chunks + b"0\r\n\r\n") * has_body
    if answer.status >= 200 and answer.status != 204 and "content-length:" not in head.lower():
        head += f"Content-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode("latin-1") + body * has_body


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST: with nothing to linger for, the kernel sends no FIN."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
