"""WebSocket in streams of HTTP/2 (RFC 8441)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import hyperframe.frame as hf
import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response

from tests.core.proxy.downstream.http2_client import CANCEL, OK, Http2Client, http2
from tests.core.proxy.kit import Peer, Proxied, StartProxy, counts, field, until


async def websocket(peer: Peer) -> None:
    head = await peer.head()
    assert field(head, b"upgrade") == b"websocket"
    assert field(head, b"sec-websocket-version") == b"13"
    assert len(field(head, b"sec-websocket-key") or b"") == 24
    await peer.send(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: x\r\nX-Own: 1\r\n\r\nhello"
    )
    while data := await peer.reader.read(65536):
        await peer.send(data)
    peer.writer.write_eof()


def asks_for_websocket(client: Http2Client) -> hf.HeadersFrame:
    return client.head(("sec-websocket-version", "13"), method="CONNECT", protocol="websocket", ends=False)


async def test_a_websocket_passes_in_a_stream(proxied: Proxied) -> None:
    gateway, _ = await proxied(websocket)
    async with http2(gateway) as client:
        assert client.settings[8] == 1
        head = asks_for_websocket(client)
        await client.send(head, *client.data(head.stream_id, b"early ", ends=False))
        got = client.streams[head.stream_id]
        await client.until(lambda: b"early" in got.body)
        assert got.status == 200
        assert not {"upgrade", "connection", "sec-websocket-accept"} & got.headers.keys()
        assert got.headers["x-own"] == "1"
        for _ in range(20):
            await client.send(*client.data(head.stream_id, bytes(16000), ends=False))
            await client.settle()
        await client.until(lambda: len(got.body) == len(b"helloearly ") + 20 * 16000)
        await client.send(*client.data(head.stream_id, b"bye"))
        await client.until(lambda: got.ended)
        assert got.body.endswith(b"bye")
        await client.settle()
        assert counts(gateway) == {}
        assert not gateway.proxy.tunnels


async def test_hooks_see_a_get_that_asks_for_websocket(proxied: Proxied) -> None:
    seen: list[tuple[str, str | None]] = []

    class Sees(Plugin[Any]):
        name = "p"

        @hookimpl
        def gateway_request(self, request: Request) -> None:
            seen.append((request.method, request.upgrade))

    gateway, _ = await proxied(websocket, "plugins: [{name: p}]", plugins=[Sees])
    async with http2(gateway) as client:
        head = asks_for_websocket(client)
        await client.send(head)
        await client.until(lambda: client.streams[head.stream_id].body == b"hello")

    assert seen == [("GET", "websocket")]


async def test_a_websocket_that_is_refused_is_a_response(proxied: Proxied) -> None:
    gateway, _ = await proxied(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
    async with http2(gateway) as client:
        head = asks_for_websocket(client)
        await client.send(head)
        await client.until(lambda: client.streams[head.stream_id].reset is not None)
        assert client.streams[head.stream_id].status == 403


@pytest.mark.parametrize("status", [b"200 OK", b"204 No Content"])
@pytest.mark.parametrize("body", [b"Content-Length: 2\r\n\r\nok", b"Content-Length: 200\r\n\r\nok"])
async def test_a_success_without_a_change_of_the_protocol_is_none(proxied: Proxied, status: bytes, body: bytes) -> None:
    """To the client of a stream a 2xx is what a 101 is to one of HTTP/1: it would take the body for a WebSocket's."""
    gateway, _ = await proxied(b"HTTP/1.1 " + status + b"\r\n" + body)
    async with http2(gateway) as client:
        head = asks_for_websocket(client)
        await client.send(head)
        await client.until(lambda: client.streams[head.stream_id].reset is not None)
        got = client.streams[head.stream_id]
        assert got.status == 502
        assert b"ok" not in got.body
        await client.settle()
        assert counts(gateway) == {}


class RespondsWithSuccess(Plugin[Any]):
    name = "p"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | None:
        bodies: dict[str, Any] = {"/bytes": b"own", "/pieces": pieces(), "/file": Path(__file__), "/none": b""}
        return (
            None
            if request.path not in bodies
            else Response(204 if request.path == "/none" else 200, bodies[request.path])
        )


async def pieces() -> AsyncIterator[bytes]:
    yield b"own"


class MakesItASuccess(Plugin[Any]):
    name = "p"

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        response.status = 200
        response.reason = "OK"


class AwaitsAndMakesItASuccess(Plugin[Any]):
    name = "p"

    @hookimpl
    async def gateway_response(self, request: Request, response: Response) -> None:
        await asyncio.sleep(0)
        response.status = 200


class AddsAFilter(Plugin[Any]):
    name = "p"

    @hookimpl
    async def gateway_response(self, request: Request, response: Response) -> None:
        response.status = 200
        response.set_body(b"changed")


async def status_of_handshake(gateway: Any, path: str = "/", *more: tuple[str, str]) -> tuple[int | None, bytes]:
    """Ask for a WebSocket that nothing speaks, and return the response; all that it held must be free again."""
    async with http2(gateway) as client:
        fields = ("sec-websocket-version", "13"), *more
        head = client.head(*fields, method="CONNECT", path=path, protocol="websocket", ends=False)
        await client.send(head, *client.data(head.stream_id, b"early", ends=False))
        got = client.streams[head.stream_id]
        await client.until(lambda: got.reset is not None)
        await client.settle()
        assert counts(gateway) == {}
        return got.status, bytes(got.body)


@pytest.mark.parametrize("path", ["/bytes", "/pieces", "/file", "/none"])
async def test_a_success_of_a_plugin_opens_no_tunnel(proxied: Proxied, path: str) -> None:
    gateway, upstream = await proxied(OK, "plugins: [{name: p}]", plugins=[RespondsWithSuccess])

    status, body = await status_of_handshake(gateway, path)

    assert status == 501
    assert b"Not Implemented" in body
    assert not upstream.heads


async def test_a_success_of_respond_opens_no_tunnel(start_proxy: StartProxy) -> None:
    config = "routes: [{id: own, path_prefix: /, respond: {status: 200, body: ok}}]"
    gateway = await start_proxy(config)

    assert (await status_of_handshake(gateway))[0] == 501


@pytest.mark.parametrize("plugin", [MakesItASuccess, AwaitsAndMakesItASuccess, AddsAFilter])
@pytest.mark.parametrize(
    "refused", [b"403 Forbidden", b"101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade"]
)
async def test_a_hook_cannot_open_a_tunnel_by_a_status(
    proxied: Proxied, plugin: type[Plugin[Any]], refused: bytes
) -> None:
    length = b"" if refused.startswith(b"101") else b"\r\nContent-Length: 2"
    gateway, _ = await proxied(
        b"HTTP/1.1 " + refused + length + b"\r\n\r\nno", "plugins: [{name: p}]", plugins=[plugin]
    )

    assert (await status_of_handshake(gateway))[0] in {403, 501}


async def test_a_refusal_that_claims_to_be_of_grpc_opens_no_tunnel(start_proxy: StartProxy) -> None:
    """The refusals of calls are sent with 200, and their status in a field."""
    config = "routes: [{id: own, path_prefix: /, respond: {status: 403}}]"
    gateway = await start_proxy(config)

    assert (await status_of_handshake(gateway, "/", ("content-type", "application/grpc")))[0] == 403


@pytest.mark.parametrize("by", ["client", "connection", "upstream"])
async def test_a_websocket_that_is_cut_off_is_cut_off_on_the_other_side(proxied: Proxied, by: str) -> None:
    closed, gate = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello")
        if by == "upstream":
            await gate.wait()
            peer.reset()
        else:
            await peer.rest()
            closed.set()

    gateway, _ = await proxied(script)
    async with http2(gateway) as client:
        head = asks_for_websocket(client)
        await client.send(head)
        got = client.streams[head.stream_id]
        await client.until(lambda: got.body == b"hello")
        if by == "client":
            await client.send(hf.RstStreamFrame(head.stream_id, error_code=CANCEL))
        elif by == "connection":
            client.peer.reset()
        else:
            gate.set()
            await client.until(lambda: got.ended or got.reset is not None)
            closed.set()
        await asyncio.wait_for(closed.wait(), 20)
    await until(lambda: counts(gateway) == {} and not gateway.proxy.tunnels)


@pytest.mark.parametrize("early", [b"early", b""], ids=["behind bytes", "with the head"])
async def test_a_half_close_before_the_upstream_has_agreed_reaches_it(proxied: Proxied, early: bytes) -> None:
    gate = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await gate.wait()
        await peer.send(b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello ")
        await peer.send(await peer.rest())
        peer.writer.write_eof()

    gateway, _ = await proxied(script)
    async with http2(gateway) as client:
        head = client.head(("sec-websocket-version", "13"), method="CONNECT", protocol="websocket", ends=not early)
        await client.send(head, *(client.data(head.stream_id, early) if early else []))
        await client.settle()
        gate.set()
        got = client.streams[head.stream_id]
        await client.until(lambda: got.ended)
        assert got.body == b"hello " + early
    await until(lambda: counts(gateway) == {} and not gateway.proxy.tunnels)


@pytest.mark.parametrize(("protocol", "status"), [("h2c", 501), ("h2-own", 501), ("connect-udp", 502)])
async def test_a_protocol_that_is_not_tunnelled_is_not_asked_for(proxied: Proxied, protocol: str, status: int) -> None:
    gateway, upstream = await proxied(OK)
    async with http2(gateway) as client:
        head = client.head(method="CONNECT", protocol=protocol, ends=False)
        await client.send(head)
        await client.until(lambda: client.streams[head.stream_id].reset is not None)
        assert client.streams[head.stream_id].status == status
    assert all(field(head, b"upgrade") != b"h2c" for head in upstream.heads)


async def test_connect_is_refused(proxied: Proxied) -> None:
    gateway, upstream = await proxied(OK)
    async with http2(gateway) as client:
        got = await client.ask(method="CONNECT", path=None, scheme=None, authority="a.example:443")
        assert got.status in {405, 501}
    assert not upstream.heads
