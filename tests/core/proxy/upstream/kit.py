"""A pool on a real socket, and handlers that write down what they are told."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from gateway_core.config import UpstreamConfig
from gateway_core.proxy.sweeper import Sweeper
from gateway_core.proxy.upstream.connection import UpstreamConnection
from gateway_core.proxy.upstream.pool import NameResolver, Pool, ProxyClient
from gateway_core.proxy.upstream.response_handler import Failure
from gateway_core.proxy.wire.response_head import ResponseHead
from gateway_core.upstreams.transport import TransportSettings

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
NO_CLIENT = ProxyClient()
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Recorder:
    """Handles one response by writing it down."""

    interims: list[int] = field(default_factory=list)
    head: ResponseHead | None = None
    body: bytes = b""
    trailer: bytes = b""
    is_complete: bool = False
    switched: bytes | None = None
    failure: Failure | None = None
    detail: str = ""
    bound: UpstreamConnection | None = None
    pauses: list[str] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def on_interim(self, head: ResponseHead) -> None:
        self.interims.append(head.status)

    def on_response(self, head: ResponseHead, body: bytes, complete: bool) -> None:
        assert self.head is None
        self.head = head
        self.body += body
        if complete:
            self.on_end(b"")

    def on_whole(self, head: ResponseHead, body: bytes, trailers: bytes) -> None:
        self.on_response(head, body, False)
        self.on_end(trailers)

    def on_body(self, data: bytes | memoryview) -> None:
        assert self.head is not None
        self.body += data

    def sink(self) -> None:
        pass

    def on_end(self, trailer: bytes) -> None:
        assert not self.is_complete
        self.is_complete = True
        self.trailer = trailer
        self.over.set()

    @property
    def seconds_left(self) -> float:
        return float("inf")

    def on_switch(self, connection: UpstreamConnection, head: ResponseHead, data: bytes) -> None:
        self.switched = data
        self.over.set()

    def on_failure(self, failure: Failure, detail: str) -> None:
        assert self.failure is None
        assert not self.is_complete
        self.failure, self.detail = failure, detail
        self.over.set()

    def keep_bound(self, connection: UpstreamConnection) -> None:
        self.bound = connection

    def pause_upload(self) -> None:
        self.pauses.append("pause")

    def resume_upload(self) -> None:
        self.pauses.append("resume")

    async def wait(self) -> Recorder:
        await asyncio.wait_for(self.over.wait(), 30)
        return self


@dataclass(frozen=True)
class Connected:
    """How connecting ended."""

    connection: UpstreamConnection | None
    failure: Failure
    reason: str


async def connect(pool: Pool, client: ProxyClient = NO_CLIENT, seconds: float = 10) -> Connected:
    """Connect over a pool."""
    ended: asyncio.Future[Connected] = asyncio.get_running_loop().create_future()
    pool.connect(seconds, lambda *result: ended.set_result(Connected(*result)), client)
    return await asyncio.wait_for(ended, 20)


async def open_connection(pool: Pool, client: ProxyClient = NO_CLIENT) -> UpstreamConnection:
    """Return a new connection of a pool."""
    result = await connect(pool, client)
    assert result.connection is not None, result.reason
    return result.connection


async def ask(pool: Pool, request: bytes = GET, flags: int = 0) -> Recorder:
    """Send a request over an idle connection of a pool, or a new one, and wait for the end of its response."""
    recorder = Recorder()
    connection = pool.take() or await open_connection(pool)
    connection.send(recorder, request, flags)
    return await recorder.wait()


def make_sweeper() -> Sweeper:
    """Return a sweeper that does not sweep: its ``time`` is what a test sets."""
    return Sweeper(asyncio.get_running_loop(), lambda: 0.0)


def make_pool(
    port: int = 0,
    *,
    host: str = "127.0.0.1",
    path: str = "",
    resolver: NameResolver | None = None,
    sweeper: Sweeper | None = None,
    context: ssl.SSLContext | None = None,
    **config: Any,
) -> Pool:
    """Return a pool for an endpoint; ``config`` is that of its upstream."""
    settings = UpstreamConfig.model_validate({"name": "u", "endpoints": [{"url": "http://127.0.0.1"}], **config})
    return Pool(
        asyncio.get_running_loop(),
        host,
        port,
        TransportSettings.of(settings),
        path=path,
        context=context,
        resolver=resolver,
        sweeper=sweeper or make_sweeper(),
    )


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that does not respond: its queue of connections is full, so that the kernel drops what comes."""
    with silent_listener() as listener:
        yield listener.getsockname()[1]


@contextmanager
def silent_listener() -> Iterator[socket.socket]:
    """The same, as the socket that listens: it responds once connections are accepted."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(2)]
        try:
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(listener.getsockname())
            yield listener
        finally:
            for each in waiting:
                each.close()
