"""WebSocket through the gateway, with aiohttp at both ends: messages, close codes, and TLS on either side."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from gateway_core.testing import RunningGateway

from tests.core.process.certificates import Pair, make
from tests.integration.servers.before import gateway_before
from tests.protocols.running import spoken_to_in_turn


class Upstream:
    """A server of WebSockets."""

    def __init__(self) -> None:
        self.url = ""
        self.codes: list[int | None] = []
        self.closed = asyncio.Event()

    async def echo(self, request: web.Request) -> web.WebSocketResponse:
        """Echo messages; ``close 4001 words`` closes with that code."""
        socket = web.WebSocketResponse(protocols=("chat.v2", "chat"), max_msg_size=0)
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT and message.data.startswith("close "):
                _, code, words = message.data.split(" ", 2)
                await socket.close(code=int(code), message=words.encode())
            elif message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
            else:
                await socket.send_bytes(message.data)
        self.codes.append(socket.close_code)
        self.closed.set()
        return socket


@asynccontextmanager
async def serving(pair: Pair | None) -> AsyncIterator[Upstream]:
    upstream, app, context = Upstream(), web.Application(), None
    app.router.add_get("/ws", upstream.echo)
    runner = web.AppRunner(app)
    await runner.setup()
    if pair is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pair.cert, pair.key)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    upstream.url = f"{'https' if context else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield upstream
    finally:
        await runner.cleanup()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make(tmp_path_factory.mktemp("tls"), "localhost")


SIDES = ["plain-plain", "tls-plain", "plain-tls", "tls-tls"]


@pytest.fixture(params=[f"{loop}-{sides}" for loop in ("asyncio", "uvloop") for sides in SIDES])
async def both(request: pytest.FixtureRequest, pair: Pair) -> AsyncIterator[tuple[RunningGateway, Upstream]]:
    loop, client_side, upstream_side = request.param.split("-")
    async with serving(pair if upstream_side == "tls" else None) as upstream:
        tls: dict[str, Any] = {"tls": {"verify": False}} if upstream_side == "tls" else {}
        before = gateway_before(upstream.url, loop, pair if client_side == "tls" else None, **tls)
        gateway = await asyncio.to_thread(before.__enter__)
        in_turn = spoken_to_in_turn(gateway)
        try:
            yield await asyncio.to_thread(in_turn.__enter__), upstream
            await asyncio.to_thread(in_turn.__exit__, None, None, None)
        finally:
            await asyncio.to_thread(before.__exit__, None, None, None)


@asynccontextmanager
async def opened(gateway: RunningGateway, **more: Any) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://localhost:{gateway.port}/ws", max_msg_size=0, **more) as socket,
    ):
        yield socket


async def test_messages_of_all_sizes_come_back(both: tuple[RunningGateway, Upstream]) -> None:
    gateway, _ = both
    for _ in range(2):
        async with opened(gateway, protocols=("chat",)) as socket:
            assert socket.protocol == "chat"
            for size in (0, 1, 125, 126, 65_535, 65_536, 3_000_000):
                await socket.send_bytes(b"x" * size)
                assert await socket.receive_bytes() == b"x" * size
            await asyncio.gather(*[socket.send_str(str(number)) for number in range(200)])
            assert [await socket.receive_str() for _ in range(200)] == [str(number) for number in range(200)]


async def test_close_codes_pass_both_ways(both: tuple[RunningGateway, Upstream]) -> None:
    gateway, upstream = both
    for _ in range(2):
        async with opened(gateway) as socket:
            await socket.send_str("close 4001 enough")
            message = await socket.receive()
            assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 4001, "enough")
    for _ in range(2):
        upstream.closed.clear()
        async with opened(gateway) as socket:
            await socket.close(code=4002)
            async with asyncio.timeout(30):
                await upstream.closed.wait()
        assert upstream.codes[-1] == 4002


async def test_a_client_that_resets_ends_the_upstreams_side(both: tuple[RunningGateway, Upstream]) -> None:
    gateway, upstream = both
    for _ in range(2):
        upstream.closed.clear()
        async with opened(gateway) as socket:
            await socket.send_str("hello")
            await socket.receive_str()
            transport = socket._response.connection.transport  # type: ignore[union-attr]
            assert transport is not None
            transport.abort()
            async with asyncio.timeout(30):
                await upstream.closed.wait()
    await asyncio.to_thread(gateway.settle)
