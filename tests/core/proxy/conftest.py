"""A real proxy on a real socket, and raw peers on both sides of it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.core.proxy.abilities import Ability, Case, StartCase, records
from tests.core.proxy.kit import (
    Handler,
    Peer,
    Plugins,
    Proxied,
    RawUpstream,
    RunningProxy,
    StartProxy,
    StartUpstream,
    run_proxy,
)
from tests.protocols.bridges import http2_in_front_of, http2_to
from tests.protocols.choice import Protocols

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
async def start_upstream(protocols: Protocols) -> AsyncIterator[StartUpstream]:
    """Start an upstream: with a coroutine for each connection, or with bytes that are the response to every request.

    Over HTTP/2 each stream is a connection to the coroutine; see `tests.protocols.bridges`.
    """
    stack = AsyncExitStack()

    async def start(script: bytes | Handler = OK) -> RawUpstream:
        upstream = RawUpstream()
        writers: set[asyncio.StreamWriter] = set()

        async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            upstream.accepted()
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
                if not writer.transport.is_closing() or writer.transport.get_write_buffer_size():
                    writer.transport.abort()
            await asyncio.sleep(0)

        stack.push_async_callback(stop)
        upstream.port = server.sockets[0].getsockname()[1]
        if protocols.upstream == "http2":
            upstream.is_behind_bridge = True
            upstream.port = await stack.enter_async_context(http2_in_front_of(upstream.port, upstream.opened))
        return upstream

    async with stack:
        yield start


@pytest.fixture
async def start_proxy(tmp_path: Path, protocols: Protocols) -> AsyncIterator[StartProxy]:
    """Start a proxy for a configuration."""
    async with AsyncExitStack() as stack:

        async def start(config: str, plugins: Plugins = (), tls: ssl.SSLContext | None = None) -> RunningProxy:
            running = await stack.enter_async_context(run_proxy(config, tmp_path, plugins, tls))
            if protocols.downstream == "http2":
                running.clients_port = await stack.enter_async_context(http2_to(running.port, tls))
            return running

        yield start


@pytest.fixture
def proxied(start_proxy: StartProxy, start_upstream: StartUpstream) -> Proxied:
    """Start an upstream and a proxy that sends everything there; return both."""

    async def start(
        script: bytes | Handler = OK, extra: str = "", upstream_extra: str = "", plugins: Plugins = ()
    ) -> tuple[RunningProxy, RawUpstream]:
        upstream = await start_upstream(script)
        config = f"""
upstreams:
  - name: u
    endpoints: [{{url: "{upstream.url}"}}]
{upstream_extra}
routes:
  - {{id: all, path_prefix: /, target: u}}
{extra}
"""
        return await start_proxy(config, plugins), upstream

    return start


@pytest.fixture
def start_case(start_proxy: StartProxy, start_upstream: StartUpstream) -> StartCase:
    """Start an upstream, and a gateway before it whose plugins are an ability, and more."""

    async def started(
        ability: Ability, script: bytes | Handler, extra: str = "", route: str = "", more: tuple[Ability, ...] = ()
    ) -> Case:
        records.clear()
        upstream = await start_upstream(script)
        bindings = ", ".join(f"{{name: {each.name}}}" for each in (*more, ability))
        config = f"""
{extra}
upstreams: [{{name: u, endpoints: [{{url: "{upstream.url}"}}], retries: {{attempts: 1, methods: [GET, POST]}}}}]
routes:
  - {{id: r, path_prefix: /, target: u, plugins: [{bindings}]{route}}}
  - {{id: other, path_prefix: /other, target: u, plugins: [{bindings}]{route}}}
"""
        return Case(await start_proxy(config, [ability, *more]), upstream)

    return started
