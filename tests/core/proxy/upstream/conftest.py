"""Servers that speak whatever bytes a test has them speak."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.core.proxy.kit import Plugins, RunningProxy, StartProxy
from tests.core.proxy.upstream.authority import Authority
from tests.core.proxy.upstream.http2_endpoint import Endpoint, StartHttp2, http2_endpoint
from tests.core.proxy.upstream.http2_endpoint import Script as EndpointScript
from tests.core.proxy.upstream.kit import Script


def respond(*responses: bytes) -> Script:
    """Return a script that responds to each request of a connection with the next bytes, and holds it open."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for response in responses:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(response)
        await reader.read()

    return script


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"), "authority")


StartServer = Callable[..., Awaitable[int]]


@pytest.fixture
async def start_server() -> AsyncIterator[StartServer]:
    """Start a server with a script, or with the responses of each connection; return its port, 0 for a unix socket."""
    writers: list[asyncio.StreamWriter] = []
    async with AsyncExitStack() as stack:

        async def start(*script: Script | bytes, path: Path | None = None) -> int:
            run = script[0] if script and callable(script[0]) else respond(*[s for s in script if isinstance(s, bytes)])

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                writers.append(writer)
                try:
                    await run(reader, writer)
                except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                    pass
                finally:
                    writer.close()

            if path is None:
                server = await asyncio.start_server(serve, "127.0.0.1", 0)
            else:
                server = await asyncio.start_unix_server(serve, path)

            async def stop() -> None:
                server.close()
                for writer in writers:
                    if not writer.transport.is_closing():
                        writer.transport.abort()
                await asyncio.sleep(0)

            stack.push_async_callback(stop)
            name = server.sockets[0].getsockname()
            return int(name[1]) if path is None else 0

        yield start


@pytest.fixture
async def start_http2(start_proxy: StartProxy) -> AsyncIterator[StartHttp2]:
    """Start an endpoint with a script, and a proxy that sends everything there over HTTP/2."""
    async with AsyncExitStack() as stack:

        async def begin(
            script: EndpointScript,
            extra: str = "",
            upstream_extra: str = "",
            settings: dict[int, int] | None = None,
            plugins: Plugins = (),
        ) -> tuple[RunningProxy, Endpoint]:
            endpoint = await stack.enter_async_context(http2_endpoint(script, settings))
            gateway = await start_proxy(
                f"listen: 127.0.0.1:0\n{extra}\nupstreams:\n"
                f"  - {{name: u, protocol: http2, endpoints: [{{url: '{endpoint.url}'}}], {upstream_extra}}}\n"
                "routes: [{id: all, path_prefix: /, target: u}]\n",
                plugins,
            )
            return gateway, endpoint

        yield begin
