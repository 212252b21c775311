"""Raw peers on both sides of a real proxy."""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import yaml
from gateway_core.clock import SystemClock
from gateway_core.hooks import Plugin, PluginServices
from gateway_core.leases import Leases
from gateway_core.metrics import Metrics
from gateway_core.packages import PluginRegistry
from gateway_core.proxy import Proxy
from gateway_core.proxy.socket_options import reset_on_close
from gateway_core.proxy.sweeper import NEVER
from gateway_core.proxy.upstream.grpc_health import check_health
from gateway_core.snapshot import Environment, Snapshot, SnapshotHolder, compile_snapshot, load
from gateway_core.tasks import spawn
from gateway_core.testing.configuration import INSTALLED
from gateway_core.upstreams.runtime import UpstreamRuntime

from tests.protocols.bridges import http2_ports
from tests.protocols.choice import with_http2_upstreams

Plugins = Iterable[type[Plugin[Any]]]
T = TypeVar("T")
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

    async def response(self) -> tuple[int, bytes, bytes]:
        """Read a response that has Content-Length; return status, head and body."""
        head = await self.head()
        length = int(field(head, b"content-length") or b"0")
        return int(head[9:12]), head, await self.exactly(length)

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        self.writer.transport.abort()

    def reset_hard(self) -> None:
        """Close with a reset even if everything that came was read."""
        reset_on_close(self.writer.transport)
        self.writer.transport.abort()


async def until(condition: Callable[[], object], seconds: float = 30) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for knows no event
            await asyncio.sleep(0.01)


async def turns(count: int = 5) -> None:
    """Let the event loop turn, so that the gateway, which runs on it too, reads what was sent to it.

    Bytes on the loopback interface have arrived when they are sent, and every turn reads all sockets that have some.
    """
    for _ in range(count):
        await asyncio.sleep(0)


def unfinished(response: bytes, reached: asyncio.Event, closed: asyncio.Event) -> Handler:
    """Return a handler that sends a part of a response, sets ``reached``, and sets ``closed`` when the other end has
    closed the connection.
    """

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(response)
        reached.set()
        await peer.rest()
        closed.set()

    return script


async def settled(count: Callable[[], int]) -> int:
    """Return a count once it grows no more, such as of what was sent when all buffers are full."""
    before = -1
    while before != count():
        before = count()
        await turns(2000)
    return before


def fields(head: bytes, name: bytes) -> list[bytes]:
    """Return every value of a field in a raw head."""
    lines = [line.partition(b":") for line in head.split(b"\r\n")[1:]]
    return [value.strip() for key, _, value in lines if key.lower() == name]


def field(head: bytes, name: bytes) -> bytes | None:
    """Return the first value of a field in a raw head."""
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.lower() == name:
            return value.strip()
    return None


class RawUpstream:
    """Serves each connection with a coroutine; records the heads it read through `serve_responses`."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0
        self.is_behind_bridge = False
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def accepted(self) -> None:
        """Count a connection, unless it is a stream that a bridge has passed on."""
        self.connections += not self.is_behind_bridge

    def opened(self) -> None:
        """Count a connection of the gateway's to the bridge."""
        self.connections += 1

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


class MovedClock(SystemClock):
    """The machine's clocks, which tests move on, so that they need not wait for deadlines."""

    __slots__ = ("_moved",)

    def __init__(self) -> None:
        self._moved = 0.0

    def monotonic(self) -> float:
        return SystemClock.monotonic() + self._moved

    def move(self, seconds: float) -> None:
        self._moved += seconds


class Probe:
    """Stands among the exchanges to be told of the next sweep."""

    deadline = 0.0

    def __init__(self, exchanges: set[Any]) -> None:
        self._exchanges = exchanges
        exchanges.add(self)

    def expire(self, now: float) -> None:
        self.deadline = NEVER
        self._exchanges.discard(self)

    def snapshot_replaced(self) -> None:
        """Do nothing."""


class RunningProxy:
    """A proxy that listens, with the parts that tests look at."""

    def __init__(
        self,
        port: int,
        proxy: Proxy,
        environment: Environment,
        folder: Path,
        clock: MovedClock | None = None,
    ) -> None:
        self.port = port
        self.clients_port = port
        """Where `connect` goes: over HTTP/2, to the bridge before the proxy."""
        self.proxy = proxy
        self.environment = environment
        self.folder = folder
        self.clock = clock or MovedClock()
        self.servers: list[asyncio.AbstractServer] = []
        """What accepts for it, closed at the end."""
        self._clients: list[Peer] = []

    async def connect(self) -> Peer:
        return await self._connect(self.clients_port)

    async def connect_directly(self) -> Peer:
        """Connect without a bridge, whatever protocol the test is run over."""
        return await self._connect(self.port)

    async def _connect(self, port: int) -> Peer:
        peer = Peer(*await asyncio.open_connection("127.0.0.1", port))
        self._clients.append(peer)
        return peer

    async def connect_tls(self, context: ssl.SSLContext) -> Peer:
        """Connect to a proxy with TLS, whose certificate is for localhost."""
        connected = await asyncio.open_connection("127.0.0.1", self.port, ssl=context, server_hostname="localhost")
        self._clients.append(peer := Peer(*connected))
        return peer

    async def pass_time(self, seconds: float) -> None:
        """Move the clock on, and return when the deadlines that are over by then were acted on."""
        self.clock.move(seconds)
        probe = Probe(self.proxy.exchanges)
        try:
            await until(lambda: probe.deadline == NEVER)
        finally:
            self.proxy.exchanges.discard(probe)

    async def passing(self, seconds: float, awaited: Coroutine[Any, Any, T]) -> T:
        """Return what something comes to while the clock moves on by so many seconds again and again."""
        task = spawn(awaited, name="waits for time to pass")
        while not task.done():
            await self.pass_time(seconds)
        return await task

    async def close_clients(self) -> None:
        for peer in self._clients:
            peer.reset()
        await asyncio.sleep(0)

    async def ask(self, data: bytes) -> tuple[int, bytes, bytes]:
        """Send a request over a new connection; return status, head and body of a response with Content-Length."""
        peer = await self.connect()
        try:
            await peer.send(data)
            return await asyncio.wait_for(peer.response(), 20)
        finally:
            peer.close()

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


async def compile_config(config: str, environment: Environment, folder: Path) -> Snapshot:
    path = folder / "gateway.yaml"
    ports = http2_ports()
    path.write_text(yaml.safe_dump(with_http2_upstreams(config, ports), sort_keys=False) if ports else config)
    loaded = load([path], registry=environment.registry, environ=os.environ)
    return (await compile_snapshot(loaded, environment)).snapshot


@asynccontextmanager
async def run_proxy(
    config: str, folder: Path, plugins: Plugins = (), tls: ssl.SSLContext | None = None
) -> AsyncIterator[RunningProxy]:
    """Run a proxy for a configuration, with plugins that no distribution publishes."""
    clock, metrics, registry = MovedClock(), Metrics(), PluginRegistry(INSTALLED.find)
    for plugin in plugins:
        registry.register(plugin)
    holder = SnapshotHolder()
    proxy = Proxy(holder, clock=clock, metrics=metrics)
    services = PluginServices(fetch=proxy.fetches.open)
    environment = Environment(
        registry, Leases(), UpstreamRuntime(clock, grpc=check_health), clock, metrics, services=services
    )
    holder.swap(await compile_config(config, environment, folder))
    accept = proxy.server_for(holder.current.config.listen[0].address)
    server = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0, ssl=tls)
    running = RunningProxy(server.sockets[0].getsockname()[1], proxy, environment, folder, clock)
    running.servers.append(server)
    try:
        yield running
    finally:
        for each in running.servers:
            each.close()
        await running.close_clients()
        await proxy.drain(1)
        await proxy.aclose()
        await holder.aclose()


def bytes_of_endpoints(gateway: RunningProxy) -> tuple[int, int]:
    """Return the bytes that were counted from and to all endpoints."""
    upstreams = gateway.proxy.holder.current.upstreams.values()
    counted = [endpoint.counts for upstream in upstreams for endpoint in upstream.endpoints]
    return sum(each.bytes_in for each in counted), sum(each.bytes_out for each in counted)


def counts(gateway: RunningProxy) -> dict[str, int]:
    """Return what is counted of requests under way, by its name, if it is not zero."""
    proxy = gateway.proxy
    snapshot = proxy.holder.current
    found = {"exchanges": len(proxy.exchanges), "requests of the snapshot": snapshot.active}
    for upstream in snapshot.upstreams.values():
        load = upstream.admission.load
        found |= {f"{upstream.name} {name}": getattr(load, name) for name in ("active", "pending", "retrying")}
        for endpoint in upstream.endpoints:
            found |= {f"{endpoint.id} active": endpoint.active, f"{endpoint.id} pending": endpoint.pending}
    return {name: count for name, count in found.items() if count}


class OwnLoop:
    """An event loop in a thread of its own, and what is to end with it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.stack = AsyncExitStack()
        self._loop = loop
        self._thread = threading.Thread(target=loop.run_forever)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _stop(self) -> None:
        await self.stack.aclose()
        if responding := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(responding, timeout=5)

    def close(self) -> None:
        self.run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


StartProxy = Callable[..., Awaitable[RunningProxy]]


class Proxied(Protocol):
    """Starts an upstream and a proxy that sends everything there."""

    async def __call__(
        self, script: bytes | Handler = ..., extra: str = ..., upstream_extra: str = ..., plugins: Plugins = ...
    ) -> tuple[RunningProxy, RawUpstream]: ...
