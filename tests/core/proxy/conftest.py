"""A real proxy on a real socket, and raw peers on both sides of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web

from gateway_core.clock import SystemClock
from gateway_core.leases import Leases
from gateway_core.metrics import Metrics
from gateway_core.plugins import PluginRegistry
from gateway_core.proxy import Proxy
from gateway_core.snapshot import Environment, SnapshotHolder, compile_snapshot, load
from gateway_core.upstreams.runtime import UpstreamRuntime

Handler = Callable[["Peer"], Awaitable[None]]


class Peer:
    """One end of a raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> bytes:
        """Read up to and with the empty line."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def rest(self) -> bytes:
        """Read until the other end closes."""
        return await self.reader.read()

    async def exactly(self, count: int) -> bytes:
        return await self.reader.readexactly(count)

    async def answer(self) -> tuple[int, bytes, bytes]:
        """Read an answer that has Content-Length; return status, head and body."""
        head = await self.head()
        length = int(field(head, b"content-length") or b"0")
        return int(head[9:12]), head, await self.exactly(length)

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        self.writer.transport.abort()


def field(head: bytes, name: bytes) -> bytes | None:
    """Return the first value of a field in a raw head."""
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.lower() == name:
            return value.strip()
    return None


class RawUpstream:
    """Serves each connection with a coroutine; records the heads it read through `serve_answers`."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def read_request(self, peer: Peer) -> bytes:
        head = await peer.head()
        length = int(field(head, b"content-length") or b"0")
        body = await peer.exactly(length)
        if field(head, b"transfer-encoding"):
            body = await peer.reader.readuntil(b"0\r\n\r\n")
        self.heads.append(head)
        self.bodies.append(body)
        return head


StartUpstream = Callable[..., Awaitable[RawUpstream]]


@pytest.fixture
async def start_upstream() -> AsyncIterator[StartUpstream]:
    """Start an upstream: with a coroutine for each connection, or with bytes that answer every request."""
    stack = AsyncExitStack()

    async def start(script: bytes | Handler = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") -> RawUpstream:
        upstream = RawUpstream()
        writers: set[asyncio.StreamWriter] = set()

        async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            upstream.connections += 1
            writers.add(writer)
            peer = Peer(reader, writer)
            try:
                if not isinstance(script, bytes):
                    await script(peer)
                    return
                while True:
                    await upstream.read_request(peer)
                    await peer.send(script)
            except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(on_connection, "127.0.0.1", 0)

        async def stop() -> None:
            server.close()
            for writer in writers:
                writer.transport.abort()
            await asyncio.sleep(0)

        stack.push_async_callback(stop)
        upstream.port = server.sockets[0].getsockname()[1]
        return upstream

    async with stack:
        yield start


class RunningProxy:
    """A proxy that listens, with the parts that tests look at."""

    def __init__(self, port: int, proxy: Proxy, environment: Environment, folder: Path) -> None:
        self.port = port
        self.proxy = proxy
        self.environment = environment
        self.folder = folder
        self._clients: list[Peer] = []

    async def connect(self) -> Peer:
        peer = Peer(*await asyncio.open_connection("127.0.0.1", self.port))
        self._clients.append(peer)
        return peer

    async def close_clients(self) -> None:
        for peer in self._clients:
            peer.reset()
        await asyncio.sleep(0)

    async def send(self, data: bytes) -> bytes:
        """Send bytes over a new connection and return everything that comes until it is closed."""
        peer = await self.connect()
        try:
            await peer.send(data)
            return await asyncio.wait_for(peer.rest(), 20)
        finally:
            peer.close()

    async def reload(self, config: str) -> None:
        self.proxy.holder.swap(await compile_config(config, self.environment, self.folder))


async def compile_config(config: str, environment: Environment, folder: Path):  # type: ignore[no-untyped-def]
    path = folder / "gateway.yaml"
    path.write_text(config)
    loaded = load([path], registry=environment.registry, environ=os.environ)
    return (await compile_snapshot(loaded, environment)).snapshot


StartProxy = Callable[..., Awaitable[RunningProxy]]


@pytest.fixture(params=["fast", "aiohttp"])
def lane(request: pytest.FixtureRequest) -> str:
    """Both lanes, one after the other."""
    return str(request.param)


@pytest.fixture
async def start_proxy(tmp_path: Path, lane: str) -> AsyncIterator[StartProxy]:
    """Start a proxy for a configuration, in the lane that the test runs for."""
    stack = AsyncExitStack()

    async def start(config: str) -> RunningProxy:
        clock, metrics = SystemClock(), Metrics()
        runtime = UpstreamRuntime(clock)
        environment = Environment(PluginRegistry(), Leases(), runtime, clock, metrics)
        text = f"fast_lane: {'true' if lane == 'fast' else 'false'}\n{config}"
        holder = SnapshotHolder()
        holder.swap(await compile_config(text, environment, tmp_path))
        proxy = Proxy(holder, clock=clock, metrics=metrics)
        runner = web.ServerRunner(proxy.server_for(holder.current.config.listen[0]))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()

        running = RunningProxy(runner.addresses[0][1], proxy, environment, tmp_path)

        async def stop() -> None:
            await site.stop()
            await running.close_clients()
            await proxy.drain(1)
            await runner.cleanup()
            await proxy.aclose()
            await holder.aclose()

        stack.push_async_callback(stop)
        return running

    async with stack:
        yield start


@pytest.fixture
async def proxied(start_proxy: StartProxy, start_upstream: StartUpstream):  # type: ignore[no-untyped-def]
    """Start an upstream and a proxy that sends everything there; return both."""

    async def start(script: bytes | Handler | None = None, extra: str = "", upstream_extra: str = ""):  # type: ignore[no-untyped-def]
        upstream = await (start_upstream() if script is None else start_upstream(script))
        config = f"""
upstreams:
  - name: u
    endpoints: [{{url: "{upstream.url}"}}]
{upstream_extra}
routes:
  - {{id: all, path_prefix: /, target: u}}
{extra}
"""
        return await start_proxy(config), upstream

    return start
