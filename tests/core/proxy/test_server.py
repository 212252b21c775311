"""The proxy on the other event loop, and what both loops are told."""

from __future__ import annotations

import asyncio
import weakref
from asyncio import sslproto
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop
from gateway_core.proxy.socket_options import READ_SIZE

from tests.core.proxy.kit import Peer, RunningProxy, StartProxy, field, run_proxy, turns, until

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SIZE = 3_000_000


async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Do what the path says."""
    peer = Peer(reader, writer)
    try:
        while True:
            head = await peer.head()
            path = head.split(b" ")[1]
            if path == b"/early":
                await peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
                break
            body = await peer.exactly(int(field(head, b"content-length") or b"0"))
            if field(head, b"transfer-encoding"):
                body = await reader.readuntil(b"0\r\n\r\n")
            if path == b"/ws":
                await peer.send(b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
                while data := await reader.read(65536):
                    await peer.send(data)
                break
            if path == b"/large":
                await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE + bytes(SIZE))
            elif path == b"/cut":
                await peer.send(b"HTTP/1.1 200 OK\r\n\r\nsome")
                await turns()
                peer.reset_hard()
                break
            else:
                await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def plain_requests(gateway: RunningProxy) -> None:
    client = await gateway.connect()
    for _ in range(3):
        await client.send(GET + b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        assert (await client.response())[0] == 200
        assert (await client.response())[2] == b"abc"


async def chunked_upload(gateway: RunningProxy) -> None:
    client = await gateway.connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    await client.send(b"0\r\n\r\n")
    assert (await client.response())[2].endswith(b"0\r\n\r\n")


async def large_response(gateway: RunningProxy) -> None:
    assert len((await gateway.ask(GET.replace(b"/ ", b"/large ")))[2]) == SIZE


async def tunnel(gateway: RunningProxy) -> None:
    client = await gateway.connect()
    await client.send(b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst")
    assert (await client.head()).startswith(b"HTTP/1.1 101 ")
    assert await client.exactly(5) == b"first"
    client.writer.write_eof()
    assert await client.rest() == b""
    await until(lambda: gateway.proxy.in_flight == 0)


async def cut_off(gateway: RunningProxy) -> None:
    client = await gateway.connect()
    await client.send(b"GET /cut HTTP/1.0\r\n\r\n")
    with pytest.raises(ConnectionResetError):
        await client.rest()


async def early_response(gateway: RunningProxy) -> None:
    client = await gateway.connect()
    await client.send(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
    assert (await client.response())[0] == 413
    assert await client.rest() == b""


async def bad_request(gateway: RunningProxy) -> None:
    assert (await gateway.send(b"GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


SCENARIOS = [plain_requests, chunked_upload, large_response, tunnel, cut_off, early_response, bad_request]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_uvloop_does_the_same(tmp_path: Path, scenario: Callable[[RunningProxy], Awaitable[None]]) -> None:
    async def run() -> None:
        server = await asyncio.start_server(upstream, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        config = f"""
routes: [{{id: all, path_prefix: /, target: "http://127.0.0.1:{port}"}}]
"""
        async with run_proxy(config, tmp_path) as gateway:
            await asyncio.wait_for(scenario(gateway), 20)
        server.close()

    uvloop.run(run())


async def test_tls_connections_read_no_more_at_once_than_plain_ones(start_proxy: StartProxy) -> None:
    await start_proxy('routes: [{id: r, path_prefix: /, target: "http://127.0.0.1:9"}]')

    assert sslproto.SSLProtocol.max_size == READ_SIZE


async def test_the_server_of_a_listener_that_is_gone_needs_no_garbage_collector(start_proxy: StartProxy) -> None:
    gateway = await start_proxy('routes: [{id: r, path_prefix: /, target: "http://127.0.0.1:9"}]')

    server = weakref.ref(gateway.proxy.server_for("127.0.0.1:1"))

    assert server() is None
